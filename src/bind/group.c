// SPDX-License-Identifier: MIT
// group.c: ExceptionGroup objects: making them, looking into them.
//
// A group is a table { message, exceptions, tracebacks [, loose, cause,
// context, traceback] } that the program may read and change. So nothing here
// trusts it: a group whose `exceptions` is no table counts as a leaf.
//
// group_walk goes through trees, group_split divides them, group_text draws
// them. All of them keep their stack on the Lua stack: a chain of ten thousand
// groups costs memory and no C stack.
#include "group.h"

#include <lauxlib.h>

#include "class.h"
#include "error.h"
#include "group_walk.h"

// The longest array that field n may claim.
enum { COUNT_MAX = 1 << 24 };

// The number of values in the array at idx: field n, or its length.
static int array_count(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  lua_pushliteral(L, "n");
  lua_Integer count = -1;
  if (lua_rawget(L, idx) == LUA_TNUMBER) count = lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (count >= 0 && count <= COUNT_MAX) return (int)count;
  lua_Unsigned length = lua_rawlen(L, idx);
  return length < COUNT_MAX ? (int)length : COUNT_MAX;
}

int group_push_parts(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  lua_pushliteral(L, "exceptions");
  lua_rawget(L, idx);
  lua_pushliteral(L, "tracebacks");
  if (lua_rawget(L, idx) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  return lua_istable(L, -2) ? array_count(L, -2) : 0;
}

bool group_is(lua_State *L, int idx) {
  if (!error_is(L, idx, ERROR_GROUP)) return false;
  int count = group_push_parts(L, idx);
  lua_pop(L, 2);
  return count > 0;
}

// Set field n of the array if one of its values is nil.
static void mark_count(lua_State *L, int array, int count) {
  for (int i = 1; i <= count; i++) {
    bool is_nil = lua_rawgeti(L, array, i) == LUA_TNIL;
    lua_pop(L, 1);
    if (!is_nil) continue;
    lua_pushinteger(L, count);
    lua_setfield(L, array, "n");
    return;
  }
}

// Fill the new group on top, whose class and message are set.
static void fill(lua_State *L, int exceptions, int tracebacks, int count,
                 bool loose) {
  mark_count(L, exceptions, count);
  lua_pushvalue(L, exceptions);
  lua_setfield(L, -2, "exceptions");
  if (tracebacks == 0) {
    lua_newtable(L);
  } else {
    lua_pushvalue(L, tracebacks);
  }
  lua_setfield(L, -2, "tracebacks");
  if (loose) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "loose");
  }
}

void group_push(lua_State *L, const char *message, int exceptions,
                int tracebacks, int count, bool loose) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, message);
  lua_setfield(L, -2, "message");
  fill(L, exceptions, tracebacks, count, loose);
  error_push_metatable(L, ERROR_GROUP);
  lua_setmetatable(L, -2);
}

void group_push_like(lua_State *L, int model, int exceptions, int tracebacks,
                     int count, bool loose) {
  model = lua_absindex(L, model);
  lua_createtable(L, 0, 4);
  lua_pushliteral(L, "message");
  lua_rawget(L, model);
  lua_setfield(L, -2, "message");
  fill(L, exceptions, tracebacks, count, loose);
  if (lua_getmetatable(L, model)) lua_setmetatable(L, -2);
}

bool group_contains(lua_State *L, int idx, int kind) {
  if (error_is(L, idx, (ErrorKind)kind)) return true;
  if (!group_is(L, idx)) return false;
  Walk walk;
  walk_start(&walk, L, idx, true);
  bool found = false;
  while (!found && walk_next(&walk)) {
    found = error_is(L, walk.value, (ErrorKind)kind);
  }
  walk_end(&walk);
  return found;
}

bool group_strict_option(lua_State *L, int idx, bool fallback) {
  static const char name[] = "strict_exception_groups";
  if (opts_boolean(L, idx, name, true)) {
    return opts_boolean(L, idx, name, fallback);
  }
  luaL_where(L, 1);
  lua_pushfstring(L,
                  "%s%s = false: whether a single error comes out in a "
                  "group then depends on timing; better handle groups",
                  lua_tostring(L, -1), name);
  lua_warning(L, lua_tostring(L, -1), 0);
  lua_pop(L, 2);
  return false;
}

// The Lua side

// Push a copy of the array at idx, `count` values long.
static void push_copy(lua_State *L, int idx, int count) {
  lua_newtable(L);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, idx, i);
    lua_rawseti(L, -2, i);
  }
}

// Check the array of errors at idx and the optional one of tracebacks that
// follows; put copies in their places and return the count. `shift` is how
// many arguments the program doesn't see.
static int check_arrays(lua_State *L, int idx, int shift, const char *name) {
  int count = lua_istable(L, idx) ? array_count(L, idx) : 0;
  if (count == 0) {
    luaL_error(L, "bad argument #%d to '%s' (array of errors expected, got %s)",
               idx - shift, name,
               lua_istable(L, idx) ? "an empty one" : luaL_typename(L, idx));
  }
  if (!lua_isnoneornil(L, idx + 1) && !lua_istable(L, idx + 1)) {
    luaL_error(L, "bad argument #%d to '%s' (table expected, got %s)",
               idx + 1 - shift, name, luaL_typename(L, idx + 1));
  }
  lua_settop(L, idx + 1);
  push_copy(L, idx, count);
  lua_replace(L, idx);
  if (lua_istable(L, idx + 1)) {
    push_copy(L, idx + 1, count);
  } else {
    lua_newtable(L);
  }
  lua_replace(L, idx + 1);
  return count;
}

// trio.ExceptionGroup(message, errors [, tracebacks])
static int l_new(lua_State *L) {
  enum { CLASS = 1, MESSAGE, ERRORS, TRACEBACKS };
  lua_settop(L, TRACEBACKS);
  const char *name = luaL_tolstring(L, CLASS, NULL);
  if (!lua_isnil(L, MESSAGE) && !lua_isstring(L, MESSAGE)) {
    return luaL_error(L, "bad argument #1 to '%s' (string expected, got %s)",
                      name, luaL_typename(L, MESSAGE));
  }
  int count = check_arrays(L, ERRORS, 1, name);
  lua_createtable(L, 0, 4);
  if (lua_isnil(L, MESSAGE)) {
    lua_pushliteral(L, "");
  } else {
    lua_tostring(L, MESSAGE);
    lua_pushvalue(L, MESSAGE);
  }
  lua_setfield(L, -2, "message");
  fill(L, ERRORS, TRACEBACKS, count, false);
  error_push_class_metatable(L, CLASS);
  lua_setmetatable(L, -2);
  return 1;
}

static void check_self(lua_State *L) {
  if (!error_is(L, 1, ERROR_GROUP)) {
    luaL_typeerror(L, 1, "trio.ExceptionGroup");
  }
}

// group:split(cond) -> matched|nil, rest|nil
static int l_split(lua_State *L) {
  check_self(L);
  group_check_condition(L, 2);
  lua_settop(L, 2);
  group_divide(L, 1, 2);
  return 2;
}

// group:subgroup(cond) -> matched|nil
static int l_subgroup(lua_State *L) {
  l_split(L);
  lua_pop(L, 1);
  return 1;
}

// group:derive(errors [, tracebacks]) -> a group of the same class and message
static int l_derive(lua_State *L) {
  check_self(L);
  lua_settop(L, 3);
  int count = check_arrays(L, 2, 1, "derive");
  group_push_like(L, 1, 2, 3, count, false);
  return 1;
}

// The iterator of leaves(). Upvalues: leaves, tracebacks, place, count.
static int l_next_leaf(lua_State *L) {
  lua_Integer place = lua_tointeger(L, lua_upvalueindex(3));
  if (place >= lua_tointeger(L, lua_upvalueindex(4))) return 0;
  lua_pushinteger(L, ++place);
  lua_replace(L, lua_upvalueindex(3));
  lua_rawgeti(L, lua_upvalueindex(1), place);
  lua_rawgeti(L, lua_upvalueindex(2), place);
  return 2;
}

// for err, traceback in group:leaves() do. A loop ends at nil, so leaves that
// are nil are left out.
static int l_leaves(lua_State *L) {
  check_self(L);
  lua_settop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  Walk walk;
  walk_start(&walk, L, 1, false);
  lua_Integer count = 0;
  while (walk_next(&walk)) {
    if (walk.is_group || lua_isnil(L, walk.value)) continue;
    count++;
    lua_pushvalue(L, walk.value);
    lua_rawseti(L, 2, count);
    lua_pushvalue(L, walk.traceback);
    lua_rawseti(L, 3, count);
  }
  walk_end(&walk);
  lua_pushinteger(L, 0);
  lua_pushinteger(L, count);
  lua_pushcclosure(L, l_next_leaf, 4);
  return 1;
}

// tostring(group)
static int l_tostring(lua_State *L) {
  check_self(L);
  group_push_text(L, 1, false);
  return 1;
}

// group:report() -> the same drawing with the members' tracebacks
static int l_report(lua_State *L) {
  check_self(L);
  group_push_text(L, 1, true);
  return 1;
}

static const luaL_Reg methods[] = {
    {"split", l_split},   {"subgroup", l_subgroup}, {"derive", l_derive},
    {"leaves", l_leaves}, {"report", l_report},     {NULL, NULL},
};

void group_open(lua_State *L) {
  error_push_class(L, ERROR_GROUP);
  luaL_setfuncs(L, methods, 0);
  lua_getmetatable(L, -1);
  lua_pushcfunction(L, l_new);
  lua_setfield(L, -2, "__call");
  error_push_metatable(L, ERROR_GROUP);
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 2);
  lua_setfield(L, -2, "ExceptionGroup");
}
