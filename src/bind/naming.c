// SPDX-License-Identifier: MIT
// naming.c: see naming.h.
#include "naming.h"

#include <lauxlib.h>
#include <string.h>

// Replace everything from index `base` on with "module.key".
static void keep_name(lua_State *L, int base, int module, int key) {
  const char *space = lua_tostring(L, module);
  if (strcmp(space, "_G") == 0) {
    lua_pushvalue(L, key);
  } else {
    lua_pushfstring(L, "%s.%s", space, lua_tostring(L, key));
  }
  lua_replace(L, base);
  lua_settop(L, base);
}

bool naming_push_global(lua_State *L, int idx) {
  int function = lua_absindex(L, idx);
  luaL_checkstack(L, 6, NULL);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  int loaded = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, loaded) != 0; lua_pop(L, 1)) {
    if (!lua_istable(L, -1) || lua_type(L, -2) != LUA_TSTRING) continue;
    int module = lua_gettop(L) - 1;
    for (lua_pushnil(L); lua_next(L, module + 1) != 0; lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING) continue;
      if (!lua_rawequal(L, -1, function)) continue;
      keep_name(L, loaded, module, lua_gettop(L) - 1);
      return true;
    }
  }
  lua_settop(L, loaded - 1);
  return false;
}

void naming_push_function(lua_State *L, int idx) {
  if (naming_push_global(L, idx)) return;
  lua_Debug ar;
  lua_pushvalue(L, idx);
  lua_getinfo(L, ">S", &ar);
  if (*ar.what == 'C') {
    lua_pushliteral(L, "[C]");
  } else {
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
  }
}

// Push the text of one level, as luaL_traceback writes it; but only functions
// of C are looked for in the loaded modules, which takes time.
static void push_level(lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "Slnf", ar);
  lua_pushfstring(L, "\n\t%s:", ar->short_src);
  if (ar->currentline > 0) {
    lua_pushfstring(L, "%s%d:", lua_tostring(L, -1), ar->currentline);
    lua_remove(L, -2);
  }
  if (*ar->what == 'C' && naming_push_global(L, -2)) {
    lua_pushfstring(L, "%s in function '%s'", lua_tostring(L, -2),
                    lua_tostring(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
  } else if (*ar->namewhat != '\0') {
    lua_pushfstring(L, "%s in %s '%s'", lua_tostring(L, -1), ar->namewhat,
                    ar->name);
    lua_replace(L, -2);
  } else if (*ar->what == 'C') {
    lua_pushliteral(L, " in ?");
    lua_concat(L, 2);
  } else {
    lua_pushfstring(L, "%s in function <%s:%d>", lua_tostring(L, -1),
                    ar->short_src, ar->linedefined);
    lua_replace(L, -2);
  }
  lua_remove(L, -2);
}

void naming_push_stack(lua_State *L, int level, int count) {
  lua_Debug ar;
  lua_pushliteral(L, "stack traceback:");
  for (int end = level + count; level < end; level++) {
    if (!lua_getstack(L, level, &ar)) return;
    push_level(L, &ar);
    lua_concat(L, 2);
  }
  if (lua_getstack(L, level, &ar)) {
    lua_pushliteral(L, "\n\t...");
    lua_concat(L, 2);
  }
}

// Chunks of the library's files are named so by src/lazy.c, those of a program
// begin with "@" or are its text.
bool naming_is_library(const char *source) {
  return strncmp(source, "=trio/", 6) == 0;
}

bool naming_find_line(lua_State *L, int level, lua_Debug *ar) {
  for (; lua_getstack(L, level, ar); level++) {
    lua_getinfo(L, "l", ar);
    if (ar->currentline <= 0) continue;
    lua_getinfo(L, "S", ar);
    if (!naming_is_library(ar->source)) return true;
  }
  return false;
}
