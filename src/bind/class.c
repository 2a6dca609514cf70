// SPDX-License-Identifier: MIT
// class.c: the metatables behind userdata classes, and the checks of arguments
// and options that every binding shares.
//
// A metatable is made once per state and stands in the registry under the
// address of its Class record. Reading a field of a class with properties is
// one raw lookup in one table: there a method is a function, and a property a
// light userdata that points at its ClassField.
//
// Messages come from luaL_argerror wherever there is an argument, so they name
// the function as the program knows it. Nothing here yields or keeps a state.
#include "class.h"

#include <math.h>
#include <string.h>

#include "../base/debug.h"

static const Class *class_at(lua_State *L, int idx) {
  const ClassHead *head = lua_touserdata(L, idx);
  if (lua_type(L, idx) != LUA_TUSERDATA ||
      lua_rawlen(L, idx) < sizeof(ClassHead)) {
    luaL_typeerror(L, idx, "trio object");
  }
  return head->class_of;
}

static int l_tostring(lua_State *L) {
  const Class *c = class_at(L, 1);
  lua_pushfstring(L, "<%s %p>", c->name, lua_topointer(L, 1));
  return 1;
}

// __index of a class with properties. Upvalue 1: members by name.
static int l_index(lua_State *L) {
  if (lua_gettop(L) != 2) lua_settop(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TLIGHTUSERDATA) return 1;
  const ClassField *field = lua_touserdata(L, -1);
  lua_settop(L, 1);
  return field->get(L);
}

// __newindex of every class. Upvalue 1: members by name.
static int l_newindex(lua_State *L) {
  lua_settop(L, 3);
  lua_pushvalue(L, 2);
  int type = lua_rawget(L, lua_upvalueindex(1));
  if (type == LUA_TLIGHTUSERDATA) {
    const ClassField *field = lua_touserdata(L, -1);
    if (field->set != NULL) {
      lua_pop(L, 1);
      lua_remove(L, 2);
      return field->set(L);
    }
  }
  const char *name = class_at(L, 1)->name;
  const char *key = luaL_tolstring(L, 2, NULL);
  if (type == LUA_TNIL) return luaL_error(L, "%s has no field '%s'", name, key);
  return luaL_error(L, "field '%s' of %s is read-only", key, name);
}

static void push_members(lua_State *L, const Class *c) {
  lua_newtable(L);
  if (c->methods != NULL) luaL_setfuncs(L, c->methods, 0);
  for (const ClassField *f = c->fields; f != NULL && f->name != NULL; f++) {
    lua_pushlightuserdata(L, (void *)f);
    lua_setfield(L, -2, f->name);
  }
}

void class_register(lua_State *L, const Class *c) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, c) == LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  luaL_checkstack(L, 6, NULL);
  lua_newtable(L);
  push_members(L, c);
  lua_pushvalue(L, -1);
  if (c->fields != NULL) lua_pushcclosure(L, l_index, 1);
  lua_setfield(L, -3, "__index");
  lua_pushcclosure(L, l_newindex, 1);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushstring(L, c->name);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__name");
  lua_setfield(L, -2, "__metatable");
  if (c->meta != NULL) luaL_setfuncs(L, c->meta, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, c);
}

void class_push_members(lua_State *L, const Class *c) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, c);
  lua_getfield(L, -1, "__newindex");
  lua_getupvalue(L, -1, 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static ClassHead *new_object(lua_State *L, const Class *c, size_t size,
                             int uservalues) {
  ASSERT(size >= sizeof(ClassHead));
  ClassHead *head = lua_newuserdatauv(L, size, uservalues);
  memset(head, 0, size);
  head->class_of = c;
  return head;
}

void class_push_meta(lua_State *L, const Class *c) {
  int type = lua_rawgetp(L, LUA_REGISTRYINDEX, c);
  ASSERT(type == LUA_TTABLE);
  UNUSED(type);
}

void *class_new(lua_State *L, const Class *c, size_t size, int uservalues) {
  ClassHead *head = new_object(L, c, size, uservalues);
  class_push_meta(L, c);
  lua_setmetatable(L, -2);
  return head;
}

void *class_new_with(lua_State *L, const Class *c, size_t size, int uservalues,
                     int meta) {
  ClassHead *head = new_object(L, c, size, uservalues);
  lua_pushvalue(L, meta);
  lua_setmetatable(L, -2);
  return head;
}

void class_refuse(lua_State *L, int idx, const Class *c) {
  luaL_typeerror(L, idx, c->name);
}

// Options

static bool is_known(lua_State *L, int idx, const char *const *known) {
  if (lua_type(L, idx) != LUA_TSTRING) return false;
  const char *key = lua_tostring(L, idx);
  for (; *known != NULL; known++) {
    if (strcmp(*known, key) == 0) return true;
  }
  return false;
}

void opts_check(lua_State *L, int idx, const char *const *known) {
  if (lua_isnoneornil(L, idx)) return;
  idx = lua_absindex(L, idx);
  luaL_checktype(L, idx, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, idx) != 0) {
    lua_pop(L, 1);
    if (is_known(L, -1, known)) continue;
    const char *key = luaL_tolstring(L, -1, NULL);
    luaL_argerror(L, idx, lua_pushfstring(L, "unknown option '%s'", key));
  }
}

bool opts_is(lua_State *L, int idx) {
  if (!lua_istable(L, idx)) return false;
  if (!lua_getmetatable(L, idx)) return true;
  lua_pop(L, 1);
  return false;
}

// Push the option `name`, or nil where there is no table; return its type.
// [-0, +1, m]
static int push_option(lua_State *L, int idx, const char *name) {
  if (!lua_istable(L, idx)) {
    lua_pushnil(L);
    return LUA_TNIL;
  }
  idx = lua_absindex(L, idx);
  lua_pushstring(L, name);
  return lua_rawget(L, idx);
}

static void bad_option(lua_State *L, int idx, const char *name,
                       const char *rule) {
  luaL_argerror(L, lua_absindex(L, idx),
                lua_pushfstring(L, "option '%s' %s", name, rule));
}

bool opts_boolean(lua_State *L, int idx, const char *name, bool fallback) {
  int type = push_option(L, idx, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (type == LUA_TNIL) return fallback;
  if (type != LUA_TBOOLEAN) bad_option(L, idx, name, "must be a boolean");
  return value;
}

lua_Number opts_number(lua_State *L, int idx, const char *name,
                       lua_Number fallback) {
  int type = push_option(L, idx, name);
  lua_Number value = lua_tonumber(L, -1);
  lua_pop(L, 1);
  if (type == LUA_TNIL) return fallback;
  if (type != LUA_TNUMBER) bad_option(L, idx, name, "must be a number");
  if (isnan(value)) bad_option(L, idx, name, "must not be NaN");
  return value;
}

// Arguments

lua_Number arg_number(lua_State *L, int idx) {
  lua_Number value = luaL_checknumber(L, idx);
  luaL_argcheck(L, !isnan(value), idx, "must not be NaN");
  return value;
}

void arg_callable(lua_State *L, int idx) {
  if (lua_isfunction(L, idx)) return;
  if (luaL_getmetafield(L, idx, "__call") != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  luaL_typeerror(L, idx, "function");
}
