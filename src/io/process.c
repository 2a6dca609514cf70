// SPDX-License-Identifier: MIT
// process.c: child processes (Trio: Process, lowlevel.open_process). Options
// are checked and run_process is written in lua/trio/process.lua.
//
// A Process (Lua) points to a Child (C memory), which holds the libuv handle.
// The Child outlives a Process that is collected while the child runs: libuv
// reaps it when it ends. Only libuv reaps. To know at once whether the child
// has ended, `refresh` looks without reaping, so libuv's notice still comes.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "../base/mem.h"
#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "io.h"
#include "oserror.h"
#include "process_hide.h"
#include "signal_names.h"

typedef struct Child {
  uv_process_t handle;
  Link link;    // in the Children of its state
  Lot lot;      // tasks in wait()
  bool boxed;   // a Process points here
  bool closed;  // libuv is done with the handle
  bool exited;
  int returncode;  // once exited: -number where a signal ended it
} Child;

typedef struct Process {
  ClassHead head;
  Child *child;
} Process;

// Every Child of a state. An object in the registry.
typedef struct Children {
  ClassHead head;
  List list;
} Children;

// Descriptors of a child to be, until they belong to somebody else.
typedef struct Plan {
  ClassHead head;
  int theirs[3];  // the child's ends of pipes, -1: none
  int ours;       // an end of ours that has no stream yet, -1: none
} Plan;

// User values of a Process.
enum { STREAMS = 1, STDIO = 4, COMMAND = 5, VALUES = 5 };

// Arguments of _open_process, and the Process that is made.
enum { ARGV = 1, STDIN = 2, CWD = 5, ENV, GIVEN, SELF };

static const char children_key = 0;
static const Class children_class, plan_class, process_class;

// ---- the life of a Child

static void free_if_unused(Child *c) {
  if (c->boxed || !c->closed) return;
  if (link_is_linked(&c->link)) list_remove(&c->link);
  mem_free(c);
}

static void on_closed(uv_handle_t *handle) {
  Child *c = CONTAINER_OF(handle, Child, handle);
  c->closed = true;
  free_if_unused(c);
}

// Its return code is known: tell who waits.
static void has_exited(Child *c, int returncode) {
  if (c->exited) return;
  c->exited = true;
  c->returncode = returncode;
  while (lot_unpark(&c->lot, WAKE_OK) != NULL) continue;
}

static void on_exit(uv_process_t *handle, int64_t status, int number) {
  Child *c = CONTAINER_OF(handle, Child, handle);
  has_exited(c, number != 0 ? -number : (int)status);
  uv_close((uv_handle_t *)handle, on_closed);
}

// Has it ended by now? It stays a zombie until libuv reaps it. Where somebody
// else reaped it the code is lost: 0, as in Trio.
static void refresh(Child *c) {
  if (c->exited) return;
  siginfo_t info;
  memset(&info, 0, sizeof info);
  int result;
  do {
    result =
        waitid(P_PID, (id_t)c->handle.pid, &info, WEXITED | WNOHANG | WNOWAIT);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    if (errno == ECHILD) has_exited(c, 0);
  } else if (info.si_pid != 0) {
    int status = info.si_status;
    has_exited(c, info.si_code == CLD_EXITED ? status : -status);
  }
}

static int process_gc(lua_State *L) {
  Process *p = lua_touserdata(L, 1);
  Child *c = p->child;
  if (c == NULL) return 0;
  p->child = NULL;
  c->boxed = false;
  free_if_unused(c);
  return 0;
}

// The state ends: so must the handles of children that still run.
static int children_gc(lua_State *L) {
  Children *children = lua_touserdata(L, 1);
  for (Link *l = list_first(&children->list); l != NULL;) {
    Child *c = CONTAINER_OF(l, Child, link);
    l = list_next(&children->list, l);
    uv_handle_t *handle = (uv_handle_t *)&c->handle;
    list_remove(&c->link);
    if (uv_is_closing(handle)) continue;
    pid_t pid = c->handle.pid;
    uv_close(handle, on_closed);
    if (pid > 0) waitpid(pid, NULL, WNOHANG);
  }
  return 0;
}

// ---- starting one

static void close_plan(Plan *plan) {
  for (int i = 0; i < 3; i++) {
    if (plan->theirs[i] >= 0) close(plan->theirs[i]);
    plan->theirs[i] = -1;
  }
  if (plan->ours >= 0) close(plan->ours);
  plan->ours = -1;
}

static int plan_gc(lua_State *L) {
  close_plan(lua_touserdata(L, 1));
  return 0;
}

static Plan *push_plan(lua_State *L) {
  Plan *plan = class_new(L, &plan_class, sizeof(Plan), 0);
  for (int i = 0; i < 3; i++) plan->theirs[i] = -1;
  plan->ours = -1;
  return plan;
}

// Push a block with the strings of the array at idx, for C. [-0, +1, m]
static char **push_strings(lua_State *L, int idx) {
  size_t count = lua_rawlen(L, idx);
  char **strings = lua_newuserdatauv(L, sizeof(char *) * (count + 1), 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, idx, (lua_Integer)i + 1);
    // libuv takes them as not const, and doesn't write to them.
    memcpy(&strings[i], &(const char *){lua_tostring(L, -1)}, sizeof(char *));
    lua_pop(L, 1);
  }
  strings[count] = NULL;
  return strings;
}

// A pipe for the child's descriptor `i`; our end becomes a stream of the
// Process. The FdStream constructor is the upvalue.
static void make_pipe(lua_State *L, Plan *plan, int i) {
  uv_file ends[2];
  int result = uv_pipe(ends, 0, 0);
  if (result != 0) oserror_raise(L, -result, "pipe", NULL);
  plan->theirs[i] = ends[i == 0 ? 0 : 1];
  plan->ours = ends[i == 0 ? 1 : 0];
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushinteger(L, plan->ours);
  lua_call(L, 1, 1);
  plan->ours = -1;
  lua_setiuservalue(L, SELF, STREAMS + i);
}

static void set_stdio(lua_State *L, Plan *plan, int i,
                      uv_stdio_container_t *stdio) {
  int idx = STDIN + i;
  stdio[i].flags = UV_INHERIT_FD;
  if (lua_isinteger(L, idx)) {
    stdio[i].data.fd = (int)lua_tointeger(L, idx);
    return;
  }
  const char *kind = lua_tostring(L, idx);
  if (strcmp(kind, "pipe") == 0) {
    make_pipe(L, plan, i);
    stdio[i].data.fd = plan->theirs[i];
  } else if (strcmp(kind, "stdout") == 0) {
    stdio[i] = stdio[1];
  } else {
    stdio[i].flags = UV_IGNORE;
  }
}

static Child *new_child(lua_State *L, Process *p) {
  Child *c = mem_alloc(sizeof(Child));
  if (c == NULL) luaL_error(L, "not enough memory");
  lot_init(&c->lot);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &children_key);
  Children *children = lua_touserdata(L, -1);
  lua_pop(L, 1);
  list_push(&children->list, &c->link);
  c->boxed = true;
  p->child = c;
  return c;
}

static void close_streams(lua_State *L) {
  for (int i = 0; i < 3; i++) {
    if (lua_getiuservalue(L, SELF, STREAMS + i) != LUA_TNIL) {
      lua_getfield(L, -1, "close");
      lua_insert(L, -2);
      lua_call(L, 1, 0);
    } else {
      lua_pop(L, 1);
    }
  }
}

// uv_spawn failed. A folder that isn't there looks like a missing program.
static int raise_failure(lua_State *L, int result) {
  const char *cwd = lua_tostring(L, CWD);
  struct stat info;
  lua_rawgeti(L, ARGV, 1);
  if (cwd != NULL && (stat(cwd, &info) != 0 || !S_ISDIR(info.st_mode))) {
    lua_pushvalue(L, CWD);
  }
  int path = lua_gettop(L);
  oserror_push(L, -result, "spawn", lua_tostring(L, path));
  lua_pushvalue(L, path);
  lua_setfield(L, -2, "path");
  return lua_error(L);
}

// Fork and run it; the result of uv_spawn.
static int spawn(lua_State *L, Task *t, Plan *plan, Process *p) {
  uv_stdio_container_t stdio[3];
  uv_process_options_t options;
  memset(&options, 0, sizeof options);
  options.exit_cb = on_exit;
  options.args = push_strings(L, ARGV);
  options.file = options.args[0];
  options.env = lua_isnil(L, ENV) ? NULL : push_strings(L, ENV);
  options.cwd = lua_tostring(L, CWD);
  options.stdio = stdio;
  options.stdio_count = 3;
  for (int i = 0; i < 3; i++) set_stdio(L, plan, i, stdio);
  Child *c = new_child(L, p);
  uv_handle_t *handle = (uv_handle_t *)&c->handle;
  Hidden hidden;
  hide_descriptors(&hidden);
  int result =
      uv_spawn(poll_loop(runner_of_task(t)->state->poll), &c->handle, &options);
  unhide_descriptors(&hidden);
  if (result == 0) {
    uv_unref(handle);
  } else {
    uv_close(handle, on_closed);
  }
  return result;
}

static int try_open(lua_State *L, Task *t, void *self) {
  Plan *plan = push_plan(L);
  int result = spawn(L, t, plan, self);
  close_plan(plan);
  if (result != 0) {
    close_streams(L);
    return raise_failure(L, result);
  }
  lua_pushvalue(L, SELF);
  return 1;
}

// trio.lowlevel._open_process(argv, stdin, stdout, stderr, cwd, env, command)
// -> Process. stdin...: a descriptor, "pipe", "null", "stdout"; env: an array
// of "NAME=value" or nil.
static int l_open(lua_State *L) {
  static const Op op = {.name = "trio.lowlevel.open_process",
                        .attempt = try_open};
  lua_settop(L, GIVEN);
  await_check(L, op.name);
  Process *p = class_new(L, &process_class, sizeof(Process), VALUES);
  lua_pushvalue(L, GIVEN);
  lua_setiuservalue(L, SELF, COMMAND);
  return await(L, &op, p);
}

// ---- waiting

static int try_wait(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  Child *c = ((Process *)self)->child;
  refresh(c);
  if (!c->exited) return WOULD_BLOCK;
  lua_pushinteger(L, c->returncode);
  return 1;
}

// Only a child that somebody waits for is a reason to wait for events.
static void start_wait(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  Child *c = ((Process *)self)->child;
  lot_park(&c->lot, t);
  uv_ref((uv_handle_t *)&c->handle);
}

static AbortResult stop_wait(Task *t, void *self, int code) {
  UNUSED(code);
  Child *c = ((Process *)self)->child;
  lot_remove(t);
  if (c->lot.count == 0) uv_unref((uv_handle_t *)&c->handle);
  return ABORT_DONE;
}

static int finish_wait(lua_State *L, Task *t, void *self, int code) {
  if (code < 0) return await_raise(L, t, code);
  lua_pushinteger(L, ((Process *)self)->child->returncode);
  return 1;
}

static Process *check(lua_State *L) {
  return class_check(L, 1, &process_class);
}

// process:wait() -> return code. Several tasks may wait.
static int l_wait(lua_State *L) {
  static const Op op = {.name = "Process:wait",
                        .attempt = try_wait,
                        .start = start_wait,
                        .abort = stop_wait,
                        .finish = finish_wait};
  Process *p = check(L);
  lua_settop(L, 1);
  return await(L, &op, p);
}

// process:poll() -> return code, nil while it runs
static int l_poll(lua_State *L) {
  Child *c = check(L)->child;
  refresh(c);
  if (c->exited) {
    lua_pushinteger(L, c->returncode);
  } else {
    lua_pushnil(L);
  }
  return 1;
}

// ---- signals

// The pid is the child's own as long as it has not been reaped.
static int send_signal(lua_State *L, int number) {
  Child *c = check(L)->child;
  refresh(c);
  if (c->exited) return 0;
  int result = uv_process_kill(&c->handle, number);
  if (result != 0 && result != UV_ESRCH) {
    oserror_raise(L, -result, "kill", signal_name(number));
  }
  return 0;
}

// process:send_signal(name or number): nothing happens if it has ended
static int l_send_signal(lua_State *L) {
  check(L);
  return send_signal(L, signal_check(L, 2, true));
}

// process:terminate(): ask it to end
static int l_terminate(lua_State *L) { return send_signal(L, SIGTERM); }

// process:kill(): end it
static int l_kill(lua_State *L) { return send_signal(L, SIGKILL); }

// ---- fields

static int get_value(lua_State *L, int value) {
  check(L);
  lua_getiuservalue(L, 1, value);
  return 1;
}

static int get_stdin(lua_State *L) { return get_value(L, STREAMS); }
static int get_stdout(lua_State *L) { return get_value(L, STREAMS + 1); }
static int get_stderr(lua_State *L) { return get_value(L, STREAMS + 2); }
static int get_stdio(lua_State *L) { return get_value(L, STDIO); }
static int get_args(lua_State *L) { return get_value(L, COMMAND); }

static int get_pid(lua_State *L) {
  lua_pushinteger(L, check(L)->child->handle.pid);
  return 1;
}

// trio.lowlevel._set_stream(process, name, stream): for lua/trio/process.lua
static int l_set_stream(lua_State *L) {
  static const char *const names[] = {"stdin", "stdout", "stderr", "stdio",
                                      NULL};
  check(L);
  int value = STREAMS + luaL_checkoption(L, 2, NULL, names);
  lua_settop(L, 3);
  lua_setiuservalue(L, 1, value);
  return 0;
}

static int process_tostring(lua_State *L) {
  Child *c = check(L)->child;
  refresh(c);
  lua_getiuservalue(L, 1, COMMAND);
  if (lua_istable(L, -1)) lua_rawgeti(L, -1, 1);
  lua_pushfstring(L, "<trio.Process %d '%s': ", (int)c->handle.pid,
                  luaL_tolstring(L, -1, NULL));
  if (!c->exited) {
    lua_pushliteral(L, "running>");
  } else if (c->returncode >= 0) {
    lua_pushfstring(L, "exited with status %d>", c->returncode);
  } else {
    const char *name = signal_name(-c->returncode);
    lua_pushfstring(L, "exited with signal %d%s%s>", -c->returncode,
                    name == NULL ? "" : " ", name == NULL ? "" : name);
  }
  lua_concat(L, 2);
  return 1;
}

static const luaL_Reg process_methods[] = {{"wait", l_wait},
                                           {"poll", l_poll},
                                           {"send_signal", l_send_signal},
                                           {"terminate", l_terminate},
                                           {"kill", l_kill},
                                           {NULL, NULL}};
static const ClassField process_fields[] = {
    {"pid", get_pid, NULL},       {"stdin", get_stdin, NULL},
    {"stdout", get_stdout, NULL}, {"stderr", get_stderr, NULL},
    {"stdio", get_stdio, NULL},   {"args", get_args, NULL},
    {"returncode", l_poll, NULL}, {NULL, NULL, NULL}};
static const luaL_Reg process_meta[] = {
    {"__gc", process_gc}, {"__tostring", process_tostring}, {NULL, NULL}};
static const Class process_class = {"trio.Process", process_methods,
                                    process_fields, process_meta};
static const luaL_Reg plan_meta[] = {{"__gc", plan_gc}, {NULL, NULL}};
static const Class plan_class = {"trio.process plan", NULL, NULL, plan_meta};
static const luaL_Reg children_meta[] = {{"__gc", children_gc}, {NULL, NULL}};
static const Class children_class = {"trio.children", NULL, NULL,
                                     children_meta};

void process_open(lua_State *L) {
  class_register(L, &process_class);
  class_register(L, &plan_class);
  class_register(L, &children_class);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &children_key) == LUA_TNIL) {
    Children *children = class_new(L, &children_class, sizeof(Children), 0);
    list_init(&children->list);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &children_key);
  }
  lua_pop(L, 1);
  lua_getfield(L, -1, "lowlevel");
  lua_getfield(L, -1, "FdStream");
  lua_pushcclosure(L, l_open, 1);
  lua_setfield(L, -2, "_open_process");
  lua_pushcfunction(L, l_set_stream);
  lua_setfield(L, -2, "_set_stream");
  lua_pop(L, 1);
}
