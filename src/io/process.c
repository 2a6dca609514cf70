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
#include <sys/wait.h>

#include "../base/mem.h"
#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "io.h"
#include "oserror.h"
#include "process.h"
#include "signal_names.h"

// Every Child of a state. An object in the registry.
typedef struct Children {
  ClassHead head;
  List list;
} Children;

static const char children_key = 0;
static const Class children_class;

// ---- the life of a Child

static void free_if_unused(Child *c) {
  if (c->boxed || !c->closed) return;
  if (link_is_linked(&c->link)) list_remove(&c->link);
  mem_free(c);
}

void process_on_closed(uv_handle_t *handle) {
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

void process_on_exit(uv_process_t *handle, int64_t status, int number) {
  Child *c = CONTAINER_OF(handle, Child, handle);
  has_exited(c, number != 0 ? -number : (int)status);
  uv_close((uv_handle_t *)handle, process_on_closed);
}

static bool is_forgotten(const Child *c) {
  return !c->exited && uv_is_closing((const uv_handle_t *)&c->handle);
}

// Has it ended by now? It stays a zombie until libuv reaps it, if libuv still
// knows it. Where somebody else reaped it the code is lost: 0, as in Trio.
static void refresh(Child *c) {
  if (c->exited) return;
  siginfo_t info;
  memset(&info, 0, sizeof info);
  int result, how = WEXITED | WNOHANG;
  if (!is_forgotten(c)) how |= WNOWAIT;
  do {
    result = waitid(P_PID, (id_t)c->handle.pid, &info, how);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    if (errno == ECHILD) has_exited(c, 0);
  } else if (info.si_pid != 0) {
    int status = info.si_status;
    has_exited(c, info.si_code == CLD_EXITED ? status : -status);
  }
}

static Children *children_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &children_key);
  Children *children = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return children;
}

void process_forget_all(lua_State *L) {
  Children *children = children_of(L);
  for (Link *l = list_first(&children->list); l != NULL;
       l = list_next(&children->list, l)) {
    Child *c = CONTAINER_OF(l, Child, link);
    uv_handle_t *handle = (uv_handle_t *)&c->handle;
    if (!uv_is_closing(handle)) uv_close(handle, process_on_closed);
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
    uv_close(handle, process_on_closed);
    if (pid > 0) waitpid(pid, NULL, WNOHANG);
  }
  return 0;
}

Child *process_new_child(lua_State *L, Process *p) {
  Child *c = mem_alloc(sizeof(Child));
  if (c == NULL) luaL_error(L, "not enough memory");
  lot_init(&c->lot);
  list_push(&children_of(L)->list, &c->link);
  c->boxed = true;
  p->child = c;
  return c;
}

// ---- waiting

static int try_wait(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  Child *c = ((Process *)self)->child;
  refresh(c);
  if (is_forgotten(c)) {
    return luaL_error(L,
                      "this process was opened on another event loop, and "
                      "can't be waited for on this one");
  }
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
const Class process_class = {"trio.Process", process_methods, process_fields,
                             process_meta};
static const luaL_Reg children_meta[] = {{"__gc", children_gc}, {NULL, NULL}};
static const Class children_class = {"trio.children", NULL, NULL,
                                     children_meta};

void process_open(lua_State *L) {
  class_register(L, &process_class);
  class_register(L, &process_plan_class);
  class_register(L, &children_class);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &children_key) == LUA_TNIL) {
    Children *children = class_new(L, &children_class, sizeof(Children), 0);
    list_init(&children->list);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &children_key);
  }
  lua_pop(L, 1);
  lua_getfield(L, -1, "lowlevel");
  lua_getfield(L, -1, "FdStream");
  lua_pushcclosure(L, process_spawn, 1);
  lua_setfield(L, -2, "_open_process");
  lua_pushcfunction(L, l_set_stream);
  lua_setfield(L, -2, "_set_stream");
  lua_pop(L, 1);
}
