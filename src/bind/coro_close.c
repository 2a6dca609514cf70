// SPDX-License-Identifier: MIT
// coro_close.c: see coro_close.h.
//
// Lua unwinds a coroutine in one C call (lua_resetthread), where nothing can
// suspend. So that call only collects here: a call hook notes every __close
// metamethod that Lua is about to call, with its value, and stops it by an
// error, upon which Lua goes on to the next one. Afterwards the same coroutine,
// empty now, is resumed with a function that makes the calls in the same order
// and hands errors on from one to the next as Lua does.
//
// The error that stops a call is the one for a lack of memory: no other passes
// by the message handler of a protected call in which the coroutine stands.
// That handler is on a part of the stack that is being unwound (Lua before
// 5.4.5 still calls it).
#include "coro_close.h"

#include <lauxlib.h>

#include "../base/debug.h"
#include "lost.h"
#include "with.h"

// The registry key of the table in use: metamethod, value, metamethod, ... At
// STOPPED it tells whether the latest error was the one that stops a call.
static const char collected_key = 0;
enum { STOPPED = 0 };

static void set_stopped(lua_State *L, int calls, bool stopped) {
  lua_pushboolean(L, stopped);
  lua_rawseti(L, calls, STOPPED);
}

// Push argument n of the function that is being called, nil if it takes less.
static void push_argument(lua_State *co, lua_Debug *ar, int n) {
  bool positional = ar->what[0] == 'C' || n <= ar->nparams;
  const char *name =
      lua_getlocal(co, ar, positional ? n : -(n - (int)ar->nparams));
  if (name == NULL) lua_pushnil(co);
}

// Is the value on top closed by the function below it itself? Otherwise it is a
// callable object, whose __call metamethod that function is.
static bool is_closed_value(lua_State *co) {
  if (lua_isnil(co, -1)) return true;
  if (luaL_getmetafield(co, -1, "__close") == LUA_TNIL) return false;
  bool same = lua_rawequal(co, -1, -3);
  lua_pop(co, 1);
  return same;
}

static void collect(lua_State *co, lua_Debug *ar) {
  lua_rawgetp(co, LUA_REGISTRYINDEX, &collected_key);
  int calls = lua_gettop(co);
  set_stopped(co, calls, false);
  lua_getinfo(co, "Suf", ar);
  if (lost_is_guard(lua_tocfunction(co, -1))) {
    lua_settop(co, calls - 1);
    return;
  }
  push_argument(co, ar, 1);
  if (!is_closed_value(co)) {
    lua_remove(co, -2);
    push_argument(co, ar, 2);
  }
  lua_Integer count = (lua_Integer)lua_rawlen(co, -3);
  if (lua_isnil(co, -1)) {
    lua_pop(co, 1);
    lua_pushboolean(co, false);
  }
  lua_rawseti(co, -3, count + 2);
  lua_rawseti(co, -2, count + 1);
  set_stopped(co, calls, true);
  lua_pushliteral(co, "not enough memory");
  lua_error(co);
}

// The closing coroutine's frame.
enum { CALLS = 1, FAILED, ERROR };

static void set_error(lua_State *co, bool failed) {
  lua_replace(co, ERROR);
  lua_pushboolean(co, failed);
  lua_replace(co, FAILED);
}

// Has the call that has just returned left a body (with.c)? Then the error that
// was on its way ended there.
static void end_caught(lua_State *co, lua_Integer at) {
  lua_rawgeti(co, CALLS, at - 2);
  bool caught = with_is_guard(lua_tocfunction(co, -1));
  lua_pop(co, 1);
  if (!caught) return;
  lua_pushnil(co);
  set_error(co, false);
}

static int go_on(lua_State *co, int status, lua_KContext context) {
  lua_Integer at = context;
  for (;;) {
    if (status != LUA_OK && status != LUA_YIELD) {
      set_error(co, true);
    } else if (at > 1) {
      end_caught(co, at);
    }
    if (at > (lua_Integer)lua_rawlen(co, CALLS)) break;
    lua_rawgeti(co, CALLS, at);
    lua_rawgeti(co, CALLS, at + 1);
    lua_pushvalue(co, ERROR);
    at += 2;
    status = lua_pcallk(co, 2, 0, 0, (lua_KContext)at, go_on);
  }
  bool failed = lua_toboolean(co, FAILED);
  lua_pushboolean(co, !failed);
  if (!failed) return 1;
  lua_pushvalue(co, ERROR);
  return 2;
}

static int run_collected(lua_State *co) { return go_on(co, LUA_OK, 1); }

bool coro_is_closing(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, 1, &ar)) return true;
  lua_getinfo(L, "f", &ar);
  bool closing = lua_tocfunction(L, -1) == run_collected;
  lua_pop(L, 1);
  return closing;
}

// Lua could not even call a metamethod: raise that in its turn.
static int raise_value(lua_State *co) {
  lua_settop(co, 1);
  return lua_error(co);
}

// The error on top of co came out of the unwinding. Unless it is one that was
// there before, or the one that stopped a call, add it to the calls.
static void keep_error(lua_State *L, lua_State *co, int calls, int before) {
  lua_xmove(co, L, 1);
  lua_rawgeti(L, calls, STOPPED);
  bool stopped = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (!stopped && !lua_rawequal(L, -1, before)) {
    lua_Integer count = (lua_Integer)lua_rawlen(L, calls);
    lua_pushcfunction(L, raise_value);
    lua_rawseti(L, calls, count + 1);
    lua_rawseti(L, calls, count + 2);
  } else {
    lua_pop(L, 1);
  }
}

// Collect the calls in the table on top of L; the error that there was before,
// or nil, stands below it.
static void unwind(lua_State *L, lua_State *co) {
  int calls = lua_gettop(L);
  set_stopped(L, calls, false);
  lua_Hook hook = lua_gethook(co);
  int mask = lua_gethookmask(co);
  int count = lua_gethookcount(co);
  lua_pushvalue(L, calls);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &collected_key);
  lua_sethook(co, collect, LUA_MASKCALL, 0);
  if (lua_resetthread(co) != LUA_OK) keep_error(L, co, calls, calls - 1);
  lua_sethook(co, hook, mask, count);
  lua_settop(co, 0);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &collected_key);
}

int coro_unwind(lua_State *L, lua_State *co) {
  int status = lua_status(co);
  bool failed = status != LUA_OK && status != LUA_YIELD;
  luaL_checkstack(L, 4, NULL);
  lua_newtable(L);
  if (failed) {
    lua_xmove(co, L, 1);
    lua_pushvalue(L, -1);
    lua_xmove(L, co, 1);
  } else {
    lua_pushnil(L);
  }
  lua_insert(L, -2);
  unwind(L, co);
  if (lua_rawlen(L, -1) == 0 && !failed) {
    lua_pop(L, 2);
    return 0;
  }
  lua_pushcfunction(co, run_collected);
  lua_xmove(L, co, 1);
  lua_pushboolean(co, failed);
  lua_xmove(L, co, 1);
  return ERROR;
}

static void refuse(lua_State *co, lua_Debug *ar) {
  UNUSED(ar);
  lua_sethook(co, NULL, 0, 0);
  luaL_error(co, "attempt to yield across a C-call boundary");
}

void coro_refuse_yield(lua_State *co) {
  lua_sethook(co, refuse, LUA_MASKRET, 0);
}
