// SPDX-License-Identifier: MIT
// pcall.c: trio.pcall, trio.xpcall, and the pcall and xpcall of trio.install.
//
// All four are Lua's own functions with one more decision: is the error that
// arrived to be caught, or raised again as it is? Bodies may suspend, and the
// message handler stays in force across it.
//
// A message handler must not turn an error that goes on into something else,
// so the program's handler is wrapped. The wrapper is written in Lua because
// its tail call leaves no frame of its own: the levels that the handler counts
// for its traceback stay right. A tail call of a C function does leave one, so
// debug.traceback, the usual handler, is told to skip it.
#include "pcall.h"

#include <lauxlib.h>
#include <lualib.h>

#include "error.h"
#include "group.h"

// Does trio.pcall let this error through?
static bool is_urgent(lua_State *L, int idx) {
  return group_contains(L, idx, ERROR_CANCELLED) ||
         group_contains(L, idx, ERROR_KEYBOARD_INTERRUPT);
}

static int l_is_urgent(lua_State *L) {
  lua_pushboolean(L, is_urgent(L, 1));
  return 1;
}

static bool is_success(int status) {
  return status == LUA_OK || status == LUA_YIELD;
}

// Return false and the error on top.
static int return_failure(lua_State *L) {
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

// The end of trio.pcall and trio.xpcall: `hidden` values, then `true` and the
// body's results, or else the error on top.
static int finish(lua_State *L, int status, lua_KContext hidden) {
  if (is_success(status)) return lua_gettop(L) - (int)hidden;
  if (is_urgent(L, -1)) return lua_error(L);
  return return_failure(L);
}

static int call(lua_State *L, lua_KFunction k) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  int arguments = lua_gettop(L) - 2;
  return k(L, lua_pcallk(L, arguments, LUA_MULTRET, 0, 0, k), 0);
}

// trio.pcall(f, ...)
static int l_pcall(lua_State *L) { return call(L, finish); }

// What stands below `true` while an xpcall runs. BOX is a table in which the
// wrapped handler of the guarded xpcall leaves an error that goes on.
enum { BOX = 1, FUNCTION, HANDLER };

// Upvalue 1 is a function that wraps a handler.
static int call_with_handler(lua_State *L, lua_KFunction k) {
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_newtable(L);
  lua_insert(L, BOX);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, HANDLER);
  lua_pushvalue(L, BOX);
  lua_call(L, 2, 1);
  lua_replace(L, HANDLER);
  int arguments = lua_gettop(L) - HANDLER;
  lua_pushboolean(L, 1);
  lua_pushvalue(L, FUNCTION);
  lua_rotate(L, HANDLER + 1, 2);
  int status = lua_pcallk(L, arguments, LUA_MULTRET, HANDLER, HANDLER, k);
  return k(L, status, HANDLER);
}

// trio.xpcall(f, handler, ...)
static int l_xpcall(lua_State *L) { return call_with_handler(L, finish); }

// The guarded functions

static const char reported_key;

// Tell once for each place in the program that a cancellation goes on there.
static void report(lua_State *L, const char *name) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &reported_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &reported_key);
  }
  luaL_where(L, 1);
  lua_pushvalue(L, -1);
  bool is_new = lua_rawget(L, -3) == LUA_TNIL;
  lua_pop(L, 1);
  if (is_new) {
    lua_pushvalue(L, -1);
    lua_pushboolean(L, 1);
    lua_rawset(L, -4);
    const char *text = lua_pushfstring(
        L,
        "%s%s has swallowed Cancelled again and again in a cancelled scope; "
        "from now on it lets it through, as trio.%s always does",
        lua_tostring(L, -1), name, name);
    lua_warning(L, text, 0);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

// Must this error go on through a guarded call? Counts it if not.
static bool is_due(lua_State *L, int idx) {
  return group_contains(L, idx, ERROR_CANCELLED) && !swallow_allowed(L);
}

static int l_is_due(lua_State *L) {
  lua_pushboolean(L, is_due(L, 1));
  return 1;
}

static int finish_guarded(lua_State *L, int status, lua_KContext hidden) {
  if (is_success(status)) return lua_gettop(L) - (int)hidden;
  if (!is_due(L, -1)) return return_failure(L);
  report(L, "pcall");
  return lua_error(L);
}

static int finish_guarded_x(lua_State *L, int status, lua_KContext hidden) {
  if (is_success(status)) return lua_gettop(L) - (int)hidden;
  bool goes_on = lua_rawgeti(L, BOX, 1) != LUA_TNIL && lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  if (!goes_on) return return_failure(L);
  report(L, "xpcall");
  return lua_error(L);
}

static int l_guarded_pcall(lua_State *L) { return call(L, finish_guarded); }

static int l_guarded_xpcall(lua_State *L) {
  return call_with_handler(L, finish_guarded_x);
}

static const char wrapper[] =
    "local goes_on, traceback = ...\n"
    "return function(handler, box)\n"
    "  return function(err)\n"
    "    if goes_on(err) then\n"
    "      box[1] = err\n"
    "      return err\n"
    "    elseif handler == traceback then\n"
    "      local text = traceback(err, 2)\n"
    "      return text\n"
    "    end\n"
    "    return handler(err)\n"
    "  end\n"
    "end\n";

// Push debug.traceback as this state knows it, or nil.
static void push_traceback(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_DBLIBNAME) == LUA_TTABLE) {
    lua_getfield(L, -1, "traceback");
    lua_replace(L, -2);
  }
  lua_replace(L, -2);
}

// Push an xpcall whose handlers are spared the errors that `goes_on` claims.
static void push_xpcall(lua_State *L, lua_CFunction xpcall,
                        lua_CFunction goes_on) {
  if (luaL_loadbufferx(L, wrapper, sizeof(wrapper) - 1, "=trio.xpcall", "t") !=
      LUA_OK) {
    lua_error(L);
  }
  lua_pushcfunction(L, goes_on);
  push_traceback(L);
  lua_call(L, 2, 1);
  lua_pushcclosure(L, xpcall, 1);
}

void pcall_open(lua_State *L) {
  lua_pushcfunction(L, l_pcall);
  lua_setfield(L, -2, "pcall");
  push_xpcall(L, l_xpcall, l_is_urgent);
  lua_setfield(L, -2, "xpcall");
}

void pcall_push_guarded(lua_State *L) {
  lua_pushcfunction(L, l_guarded_pcall);
  push_xpcall(L, l_guarded_xpcall, l_is_due);
}
