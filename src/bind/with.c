// SPDX-License-Identifier: MIT
// with.c: see with.h.
//
// A body runs in lua_pcallk, and Lua allows about 200 nested C calls. A yield
// empties the C stack: so every DEPTH levels `with` hops through the runner,
// which resumes the task at once and lets nobody else run.
//
// A coroutine of the program's own can be closed in the middle of a body, and
// then nobody returns to `with`. So there the body is called from a frame which
// has a to-be-closed value, whose __close leaves in that case.
#include "with.h"

#include <lauxlib.h>

#include "await.h"
#include "coro_close.h"
#include "error.h"
#include "naming.h"
#include "spawn.h"

enum { DEPTH = 80 };

// Levels in the traceback of a group from a stack of four times as many.
enum { SHOWN_OF_DEEP = 12 };

static int body_ended(lua_State *L, int status, lua_KContext context) {
  const WithOps *ops = (const WithOps *)context;
  bool ok = status == LUA_OK || status == LUA_YIELD;
  return ops->leave(L, lua_touserdata(L, WITH_SELF), ok ? LUA_OK : status);
}

// Its user value is the object that the body belongs to.
typedef struct Guard {
  const WithOps *ops;
  bool done;  // the body has returned
} Guard;

static const char guard_key = 0;

// __close(guard, error): where the body has failed, `with` goes on.
static int guard_close(lua_State *L) {
  const Guard *guard = lua_touserdata(L, 1);
  if (guard->done || !coro_is_closing(L)) return 0;
  lua_settop(L, 2);
  const WithOps *ops = guard->ops;
  lua_getiuservalue(L, 1, 1);
  lua_replace(L, WITH_SELF);
  lua_pushcfunction(L, with_handler);
  lua_insert(L, WITH_HANDLER);
  void *self = lua_touserdata(L, WITH_SELF);
  if (ops->closed != NULL) ops->closed(self);
  if (!lua_isnil(L, WITH_BODY)) return ops->leave(L, self, LUA_ERRRUN);
  lua_settop(L, WITH_HANDLER);
  return ops->leave(L, self, LUA_OK);
}

bool with_is_guard(lua_CFunction function) { return function == guard_close; }

static int guarded_ended(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  UNUSED(context);
  ((Guard *)lua_touserdata(L, 1))->done = true;
  return lua_gettop(L) - 1;
}

// (ops, self, body, ...)
static int call_guarded(lua_State *L) {
  Guard *guard = lua_newuserdatauv(L, sizeof(Guard), 1);
  *guard = (Guard){.ops = lua_touserdata(L, 1)};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_key);
  lua_setmetatable(L, -2);
  lua_replace(L, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, 1);
  lua_remove(L, 2);
  lua_toclose(L, 1);
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, guarded_ended);
  return guarded_ended(L, LUA_OK, 0);
}

bool with_is_frame(lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "f", ar);
  bool result = lua_tocfunction(L, -1) == call_guarded;
  lua_pop(L, 1);
  if (result) return true;
  if (lua_getlocal(L, ar, WITH_HANDLER) == NULL) return false;
  result = lua_tocfunction(L, -1) == with_handler;
  lua_pop(L, 1);
  return result;
}

static COLD void guard_body(lua_State *L, Task *t, lua_KContext context) {
  lua_pushcfunction(L, call_guarded);
  lua_pushlightuserdata(L, (void *)context);
  lua_pushvalue(L, WITH_SELF);
  lua_rotate(L, WITH_BODY, 3);
  if (t != NULL) t->depth++;  // one more C call
}

static inline int call_body(lua_State *L, Task *t, lua_KContext context) {
  int depth = t == NULL ? 0 : t->depth;
  if (t == NULL || t->co != L) guard_body(L, t, context);
  int count = lua_gettop(L) - WITH_BODY;
  int result =
      lua_pcallk(L, count, LUA_MULTRET, WITH_HANDLER, context, body_ended);
  if (depth > 0) t->depth = depth - 1;
  return body_ended(L, result, context);
}

static int after_hop(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  return call_body(L, task_of(L), context);
}

int with(lua_State *L, const WithOps *ops) {
  lua_pushcfunction(L, with_handler);
  lua_insert(L, WITH_HANDLER);
  Task *t = task_of(L);
  if (t != NULL && ++t->depth > DEPTH && lua_isyieldable(L)) {
    return await_hop(L, t, (lua_KContext)ops, after_hop);
  }
  return call_body(L, t, (lua_KContext)ops);
}

int with_rethrow(lua_State *L) {
  Task *t = task_maybe(L);
  if (t != NULL) t->rethrowing = true;
  return lua_error(L);
}

// Remember the traceback at index 2 for the error at index 1.
static void record(lua_State *L, Task *t) {
  spawn_push_object(L, t);
  task_push_extra(L, -1, true);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, EXTRA_ERROR);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, EXTRA_TRACEBACK);
  lua_pop(L, 2);
  t->has_failure = true;
}

static bool is_recorded(lua_State *L, Task *t, int idx) {
  idx = lua_absindex(L, idx);
  int top = lua_gettop(L);
  spawn_push_object(L, t);
  bool same = false;
  if (task_push_extra(L, -1, false)) {
    lua_rawgeti(L, -1, EXTRA_ERROR);
    same = lua_rawequal(L, -1, idx);
  }
  lua_settop(L, top);
  return same;
}

int with_raise_recorded(lua_State *L) {
  Task *t = task_maybe(L);
  if (t != NULL && t->slot != 0 && !error_is(L, 1, ERROR_CANCELLED)) {
    record(L, t);
    t->rethrowing = true;
  }
  lua_settop(L, 1);
  return lua_error(L);
}

int with_handler(lua_State *L) {
  lua_settop(L, 1);
  if (error_is(L, 1, ERROR_CANCELLED)) return 1;
  Task *t = task_maybe(L);
  if (t != NULL && t->slot == 0) t = NULL;
  bool wrapped = t != NULL && t->rethrowing;
  if (wrapped) {
    t->rethrowing = false;
    if (is_recorded(L, t, 1)) return 1;
  }
  // A group on its way out of nested nurseries gets here once for each: from
  // a deep stack it shows the top only, or the way would take quadratic time.
  lua_Debug ar;
  if (wrapped && lua_getstack(L, SHOWN_OF_DEEP * 4, &ar)) {
    naming_push_stack(L, 1, SHOWN_OF_DEEP);
  } else {
    luaL_traceback(L, L, NULL, 1);
  }
  error_attach_traceback(L, 1, 2);
  if (t != NULL) record(L, t);
  lua_settop(L, 1);
  return 1;
}

void with_push_traceback(lua_State *L, Task *t, int idx) {
  idx = lua_absindex(L, idx);
  if (!t->has_failure || !is_recorded(L, t, idx)) {
    lua_pushnil(L);
    return;
  }
  spawn_push_object(L, t);
  task_push_extra(L, -1, true);
  lua_rawgeti(L, -1, EXTRA_TRACEBACK);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void with_open(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, guard_close);
  lua_setfield(L, -2, "__close");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
}
