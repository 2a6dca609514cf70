// SPDX-License-Identifier: MIT
// with.c: see with.h.
//
// A body runs in lua_pcallk, and Lua allows about 200 nested C calls. A yield
// empties the C stack: so every DEPTH levels `with` hops through the runner,
// which resumes the task at once and lets nobody else run.
#include "with.h"

#include <lauxlib.h>

#include "await.h"
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

static int call_body(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  int count = lua_gettop(L) - WITH_BODY;
  Task *t = task_of(L);
  int result =
      lua_pcallk(L, count, LUA_MULTRET, WITH_HANDLER, context, body_ended);
  if (t != NULL && t->depth > 0) t->depth--;
  return body_ended(L, result, context);
}

int with(lua_State *L, const WithOps *ops) {
  lua_pushcfunction(L, with_handler);
  lua_insert(L, WITH_HANDLER);
  Task *t = task_of(L);
  if (t != NULL && ++t->depth > DEPTH && lua_isyieldable(L)) {
    return await_hop(L, t, (lua_KContext)ops, call_body);
  }
  return call_body(L, LUA_OK, (lua_KContext)ops);
}

int with_rethrow(lua_State *L) {
  Task *t = task_maybe(L);
  if (t != NULL) t->rethrowing = true;
  return lua_error(L);
}

// The task's failure record: its last error and that error's traceback.
enum { EXTRA_ERROR = 2, EXTRA_TRACEBACK = 3 };

static bool push_extra(lua_State *L, Task *t) {
  spawn_push_object(L, t);
  lua_getiuservalue(L, -1, TASK_EXTRA);
  lua_remove(L, -2);
  return lua_istable(L, -1);
}

// Remember the traceback at index 2 for the error at index 1.
static void record(lua_State *L, Task *t) {
  if (!push_extra(L, t)) {
    lua_pop(L, 1);
    spawn_push_object(L, t);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, TASK_EXTRA);
    lua_remove(L, -2);
  }
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, EXTRA_ERROR);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, EXTRA_TRACEBACK);
  lua_pop(L, 1);
  t->has_failure = true;
}

static bool is_recorded(lua_State *L, Task *t, int idx) {
  idx = lua_absindex(L, idx);
  bool same = false;
  if (push_extra(L, t)) {
    lua_rawgeti(L, -1, EXTRA_ERROR);
    same = lua_rawequal(L, -1, idx);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
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
  push_extra(L, t);
  lua_rawgeti(L, -1, EXTRA_TRACEBACK);
  lua_remove(L, -2);
}
