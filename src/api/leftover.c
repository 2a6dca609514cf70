// SPDX-License-Identifier: MIT
// leftover.c: see leftover.h. A table in the registry has, for every object
// that is open, the text that names it; and in its array part the texts of
// resources that were collected while open.
#include "leftover.h"

#include <lauxlib.h>

#include "../bind/naming.h"
#include "../bind/resource.h"
#include "../bind/runner.h"
#include "api.h"

static const char table_key = 0;

static void note_collected(lua_State *L, const char *text) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  lua_pushstring(L, text);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

static bool is_watched(void) {
  return runner_running != NULL && runner_running->on_leak != NULL;
}

// Push "file:line: " of the innermost code that is the program's own.
static void push_place(lua_State *L) {
  lua_Debug ar;
  if (naming_find_line(L, 1, &ar)) {
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
  } else {
    lua_pushliteral(L, "");
  }
}

void leftover_opened(lua_State *L) {
  if (!is_watched()) return;
  int object = lua_gettop(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  lua_pushvalue(L, object);
  push_place(L);
  luaL_getmetafield(L, object, "__name");
  lua_pushfstring(L, "%sa %s", lua_tostring(L, -2), lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void leftover_closed(lua_State *L, int idx) {
  if (!is_watched()) return;
  idx = lua_absindex(L, idx);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  lua_pushvalue(L, idx);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

// trio.testing._watch(): from now on this run is watched.
static int l_watch(lua_State *L) {
  Runner *R = runner_require(L);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
  R->on_leak = note_collected;
  return 0;
}

// trio.testing._leftovers() -> an array of texts such as "x.lua:3: a socket",
// one for each thing that was made since and that nobody has closed.
static int l_leftovers(lua_State *L) {
  runner_require(L);
  lua_newtable(L);
  int result = lua_gettop(L);
  lua_Integer count = 0;
  if (is_watched()) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
    for (lua_pushnil(L); lua_next(L, result + 1) != 0;) {
      lua_rawseti(L, result, ++count);
    }
  }
  List *open = &state_of(L)->resources;
  for (Link *l = list_first(open); l != NULL; l = list_next(open, l)) {
    const Resource *r = CONTAINER_OF(l, Resource, link);
    lua_pushfstring(L, "%s%s", r->where, r->kind);
    lua_rawseti(L, result, ++count);
  }
  lua_settop(L, result);
  return 1;
}

void leftover_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"_watch", l_watch}, {"_leftovers", l_leftovers}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
