// SPDX-License-Identifier: MIT
// parcel_names.c: things that are sent by their names: what lies below
// package.loaded, and subclasses of the error classes. C functions and modules
// can't be copied; the other state has its own of the same name. Of trio
// itself nothing is copied.
#include <lauxlib.h>
#include <string.h>

#include "../bind/error.h"
#include "parcel_wire.h"

// How deep below a module names are looked for: trio.lowlevel.Abort.FAILED.
enum { DEPTH = 4 };

static const char paths_key = 0, classes_key = 0;

// The walk: a set of tables seen, and the map from values to paths.
enum { WALK_PATHS = 1, WALK_SEEN, WALK_LOADED };

// Is the value on top one that goes by a name? `whole`: everything does.
static bool goes_by_name(lua_State *L, bool whole) {
  switch (lua_type(L, -1)) {
    case LUA_TFUNCTION:
      return whole || lua_iscfunction(L, -1);
    case LUA_TTABLE:
    case LUA_TUSERDATA:
      return whole;
    default:
      return false;
  }
}

// Give the value on top the path on top of it, unless it has one. [-1]
static void note(lua_State *L) {
  lua_pushvalue(L, -2);
  if (lua_rawget(L, WALK_PATHS) == LUA_TNIL) {
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_rawset(L, WALK_PATHS);
  }
  lua_pop(L, 2);
}

static bool is_new_table(lua_State *L) {
  if (!lua_istable(L, -1)) return false;
  lua_pushvalue(L, -1);
  bool is_new = lua_rawget(L, WALK_SEEN) == LUA_TNIL;
  lua_pop(L, 1);
  return is_new;
}

// Note what lies in the table on top, whose path is at index `path`.
static void walk(lua_State *L, int path, int depth, bool whole) {
  luaL_checkstack(L, 8, NULL);
  int table = lua_gettop(L);
  lua_pushvalue(L, table);
  lua_pushboolean(L, true);
  lua_rawset(L, WALK_SEEN);
  for (lua_pushnil(L); lua_next(L, table) != 0; lua_settop(L, table + 1)) {
    if (lua_type(L, table + 1) != LUA_TSTRING) continue;
    bool inner = depth < DEPTH && is_new_table(L);
    if (!inner && !goes_by_name(L, whole)) continue;
    lua_pushvalue(L, path);
    lua_pushvalue(L, table + 1);
    lua_pushlstring(L, "", 1);
    lua_concat(L, 3);
    lua_insert(L, -2);
    if (goes_by_name(L, whole)) {
      lua_pushvalue(L, -2);
      note(L);
    }
    if (inner) walk(L, lua_gettop(L) - 1, depth + 1, whole);
  }
  lua_settop(L, table);
}

// The module on top, of that name. [-1]
static void walk_module(lua_State *L, const char *name) {
  if (!lua_istable(L, -1) && !lua_iscfunction(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  lua_pushstring(L, name);
  lua_pushlstring(L, "", 1);
  lua_concat(L, 2);
  lua_insert(L, -2);
  lua_pushvalue(L, -2);
  note(L);
  if (lua_istable(L, -1)) {
    walk(L, lua_gettop(L) - 1, 1, strcmp(name, "trio") == 0);
  }
  lua_pop(L, 2);
}

// The module trio, on top, shall have all its names: pairs sees to that.
static void complete(lua_State *L) {
  if (luaL_callmeta(L, -1, "__pairs")) lua_pop(L, 1);
}

// () -> a new map, noted in the registry.
static int make_paths(lua_State *L) {
  lua_settop(L, 0);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, WALK_PATHS);
  lua_newtable(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, WALK_LOADED);  // package.loaded is not one of the names
  lua_pushboolean(L, true);
  lua_rawset(L, WALK_SEEN);
  // trio first: what it and another module share is trio's. Globals last.
  lua_getfield(L, WALK_LOADED, "trio");
  complete(L);
  walk_module(L, "trio");
  for (lua_pushnil(L); lua_next(L, WALK_LOADED) != 0;) {
    const char *name =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (name == NULL || strcmp(name, "_G") == 0) {
      lua_pop(L, 1);
    } else {
      walk_module(L, name);
    }
  }
  lua_getfield(L, WALK_LOADED, "_G");
  walk_module(L, "_G");
  lua_pushvalue(L, WALK_PATHS);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &paths_key);
  lua_settop(L, WALK_PATHS);
  return 1;
}

// Push what is at the path below package.loaded, nil if nothing is. `load`:
// require the module.
static void push_at(lua_State *L, const char *path, size_t size, bool load) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (const char *part = path; part < path + size; part += strlen(part) + 1) {
    if (!lua_istable(L, -1)) {
      lua_pop(L, 1);
      lua_pushnil(L);
      return;
    }
    lua_pushstring(L, part);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (part == path && strcmp(part, "trio") == 0) complete(L);
    if (part != path || !load || !lua_isnil(L, -1)) continue;
    lua_getglobal(L, "require");
    lua_replace(L, -2);
    lua_pushstring(L, part);
    lua_call(L, 1, 1);
  }
}

static bool push_known_path(lua_State *L, int idx) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &paths_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  size_t size;
  const char *path = lua_tolstring(L, -1, &size);
  bool found = false;
  if (path != NULL) {
    push_at(L, path, size, false);
    found = lua_rawequal(L, -1, idx);
    lua_pop(L, 1);
  }
  if (!found) lua_pop(L, 1);
  return found;
}

bool parcel_push_path(lua_State *L, int idx, bool thorough) {
  idx = lua_absindex(L, idx);
  if (push_known_path(L, idx)) return true;
  bool is_made = lua_rawgetp(L, LUA_REGISTRYINDEX, &paths_key) == LUA_TTABLE;
  lua_pop(L, 1);
  if (is_made && !thorough) return false;
  lua_pushcfunction(L, make_paths);
  lua_call(L, 0, 0);
  return push_known_path(L, idx);
}

void parcel_push_named(lua_State *L, const char *path, size_t size) {
  push_at(L, path, size, true);
  if (!lua_isnil(L, -1)) return;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (const char *part = path; part < path + size; part += strlen(part) + 1) {
    if (part != path) luaL_addchar(&b, '.');
    luaL_addstring(&b, part);
  }
  luaL_pushresult(&b);
  luaL_error(L, "there is no '%s' in the Lua state of this thread",
             lua_tostring(L, -1));
}

// Push the table, by parent class, of tables of subclasses by name, all weak.
static void push_weak_table(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

// Push the table of the known subclasses of the class at idx.
static void push_children(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &classes_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    push_weak_table(L, "k");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &classes_key);
  }
  lua_pushvalue(L, idx);
  if (lua_rawget(L, -2) != LUA_TTABLE) {
    lua_pop(L, 1);
    push_weak_table(L, "v");
    lua_pushvalue(L, idx);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}

void parcel_push_subclass(lua_State *L, const char *name) {
  push_children(L, -1);
  lua_pushstring(L, name);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_getfield(L, -2, "subclass");
    lua_pushvalue(L, -3);
    lua_pushstring(L, name);
    lua_call(L, 2, 1);
    lua_pushstring(L, name);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void parcel_note_class(lua_State *L) {
  int class = lua_gettop(L);
  if (!lua_getmetatable(L, class)) return;
  lua_pushliteral(L, "__index");
  lua_rawget(L, -2);
  push_children(L, -1);
  error_push_class_metatable(L, class);
  lua_getfield(L, -1, "__name");
  lua_pushvalue(L, class);
  lua_rawset(L, class + 3);
  lua_settop(L, class);
}
