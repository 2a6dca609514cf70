// SPDX-License-Identifier: MIT
// path.c: see path.h.
#include "path.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "oserror.h"

// Is it a table of the class trio.Path? Its text is then its field `_text`.
static bool is_path(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx)) return false;
  lua_pushliteral(L, "__name");
  lua_rawget(L, -2);
  const char *name = lua_tostring(L, -1);
  bool result = name != NULL && strcmp(name, "trio.Path") == 0;
  lua_pop(L, 2);
  return result;
}

const char *path_test(lua_State *L, int idx) {
  if (is_path(L, idx)) {
    lua_pushliteral(L, "_text");
    lua_rawget(L, idx);
    lua_replace(L, idx);
  }
  if (lua_type(L, idx) != LUA_TSTRING) return NULL;
  size_t length;
  const char *text = lua_tolstring(L, idx, &length);
  return strlen(text) == length ? text : NULL;
}

const char *path_check(lua_State *L, int idx) {
  const char *text = path_test(L, idx);
  if (text != NULL) return text;
  luaL_argexpected(L, lua_type(L, idx) == LUA_TSTRING, idx,
                   "string or trio.Path");
  luaL_argerror(L, idx, "zero byte in a path");
  return NULL;
}

void path_push_error(lua_State *L, int number, const char *what,
                     const char *path) {
  oserror_push(L, number, what, path);
  if (path == NULL) return;
  lua_pushstring(L, path);
  lua_setfield(L, -2, "path");
}
