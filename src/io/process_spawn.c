// SPDX-License-Identifier: MIT
// process_spawn.c: starts a child process: its pipes, its arguments, uv_spawn.
// Whatever fails on the way, no descriptor is left open.
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bind/await.h"
#include "oserror.h"
#include "process.h"
#include "process_hide.h"

// Descriptors of a child to be, until they belong to somebody else.
typedef struct Plan {
  ClassHead head;
  int theirs[3];  // the child's ends of pipes, -1: none
  int ours;       // an end of ours that has no stream yet, -1: none
} Plan;

// Arguments of _open_process, and the Process that is made.
enum { ARGV = 1, STDIN = 2, CWD = 5, ENV, GIVEN, SELF };

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

static const luaL_Reg plan_meta[] = {{"__gc", plan_gc}, {NULL, NULL}};
const Class process_plan_class = {"trio.process plan", NULL, NULL, plan_meta};

static Plan *push_plan(lua_State *L) {
  Plan *plan = class_new(L, &process_plan_class, sizeof(Plan), 0);
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
  options.exit_cb = process_on_exit;
  options.args = push_strings(L, ARGV);
  options.file = options.args[0];
  options.env = lua_isnil(L, ENV) ? NULL : push_strings(L, ENV);
  options.cwd = lua_tostring(L, CWD);
  options.stdio = stdio;
  options.stdio_count = 3;
  for (int i = 0; i < 3; i++) set_stdio(L, plan, i, stdio);
  Child *c = process_new_child(L, p);
  uv_handle_t *handle = (uv_handle_t *)&c->handle;
  Hidden hidden;
  hide_descriptors(&hidden);
  int result =
      uv_spawn(poll_loop(runner_of_task(t)->state->poll), &c->handle, &options);
  unhide_descriptors(&hidden);
  if (result == 0) {
    uv_unref(handle);
  } else {
    uv_close(handle, process_on_closed);
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
int process_spawn(lua_State *L) {
  static const Op op = {.name = "trio.lowlevel.open_process",
                        .attempt = try_open};
  lua_settop(L, GIVEN);
  await_check(L, op.name);
  Process *p = class_new(L, &process_class, sizeof(Process), VALUES);
  lua_pushvalue(L, GIVEN);
  lua_setiuservalue(L, SELF, COMMAND);
  return await(L, &op, p);
}
