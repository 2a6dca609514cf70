// SPDX-License-Identifier: MIT
// group_text.c: the drawing of a group, one line or more for each member.
//
//   ExceptionGroup: Exceptions from Trio nursery (2 errors)
//   |- BrokenResourceError: peer gone
//   '- ExceptionGroup: inner (1 error)
//      '- x.lua:3: boom
//
// Members are described under a protected call, so that one bad __tostring
// can't hide the others. Indentation stops growing at some depth: a chain of
// ten thousand groups must not give a text of megabytes.
#include <lauxlib.h>
#include <string.h>

#include "error.h"
#include "group.h"
#include "group_walk.h"

// The depth to which each level is indented further.
enum { INDENT_MAX = 40 };

static int l_describe(lua_State *L) {
  error_push_text(L, 1);
  return 1;
}

// Push the text of the value at idx; never raises what its __tostring does.
static void push_leaf(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  lua_pushcfunction(L, l_describe);
  lua_pushvalue(L, idx);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_pushfstring(L, "(error object is a %s value, __tostring failed)",
                  luaL_typename(L, idx));
}

// Push the group's own line: class, message, count of members.
static void push_head(lua_State *L, int idx, bool is_cycle) {
  error_push_class_name(L, idx);
  lua_pushliteral(L, "message");
  lua_rawget(L, idx);
  size_t length = 0;
  const char *message = lua_tolstring(L, -1, &length);
  int count = group_push_parts(L, idx);
  lua_pop(L, 2);
  const char *name = lua_tostring(L, -2);
  const char *colon = message != NULL && length > 0 ? ": " : "";
  if (message == NULL) message = "";
  if (is_cycle) {
    lua_pushfstring(L, "%s%s%s (contains itself)", name, colon, message);
  } else {
    lua_pushfstring(L, "%s%s%s (%d error%s)", name, colon, message, count,
                    count == 1 ? "" : "s");
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void group_push_title(lua_State *L, int idx) {
  push_head(L, lua_absindex(L, idx), false);
}

// Put `prefix`, which begins with a line end, in place of the line ends in the
// text on top. [-0, +0, m]
static void indent(lua_State *L, const char *prefix) {
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  if (memchr(text, '\n', length) == NULL) return;
  luaL_Buffer buffer;
  int place = lua_gettop(L);
  luaL_buffinit(L, &buffer);
  for (const char *end = text + length; text < end;) {
    const char *line = memchr(text, '\n', (size_t)(end - text));
    luaL_addlstring(&buffer, text, (size_t)((line ? line : end) - text));
    if (line != NULL) luaL_addstring(&buffer, prefix);
    text = line ? line + 1 : end;
  }
  luaL_pushresult(&buffer);
  lua_replace(L, place);
}

// Push the text of the member that the walk has reached.
static void push_member(const Walk *walk, bool tracebacks) {
  lua_State *L = walk->L;
  if (walk->is_group) {
    push_head(L, walk->value, walk->is_cycle);
  } else {
    push_leaf(L, walk->value);
  }
  if (!tracebacks) return;
  if (lua_type(L, walk->traceback) == LUA_TSTRING) {
    lua_pushliteral(L, "\n");
    lua_pushvalue(L, walk->traceback);
    lua_concat(L, 3);
  }
}

// Push the line of a member. `prefixes` has the prefix of every depth; that of
// the next one is set here.
static void push_line(const Walk *walk, int prefixes, bool tracebacks) {
  lua_State *L = walk->L;
  int depth = walk->depth < INDENT_MAX ? walk->depth : INDENT_MAX;
  lua_rawgeti(L, prefixes, depth);
  const char *prefix = lua_tostring(L, -1);
  lua_pushfstring(L, "%s%s", prefix, walk->is_last ? "   " : "|  ");
  const char *below = lua_tostring(L, -1);
  lua_pushfstring(L, "%s%s", prefix, walk->is_last ? "'- " : "|- ");
  if (walk->depth > INDENT_MAX) {
    lua_pushfstring(L, "[%d] ", walk->depth);
    lua_concat(L, 2);
  }
  push_member(walk, tracebacks);
  indent(L, below);
  lua_concat(L, 2);
  lua_insert(L, -3);
  if (depth < INDENT_MAX) {
    lua_rawseti(L, prefixes, depth + 1);
  } else {
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void group_push_text(lua_State *L, int idx, bool tracebacks) {
  luaL_checkstack(L, 24, NULL);
  idx = lua_absindex(L, idx);
  lua_newtable(L);
  int lines = lua_gettop(L);
  lua_newtable(L);
  int prefixes = lua_gettop(L);
  lua_pushliteral(L, "\n");
  lua_rawseti(L, prefixes, 1);
  push_head(L, idx, false);
  lua_rawseti(L, lines, 1);
  int count = 1;
  if (group_is(L, idx)) {
    Walk walk;
    walk_start(&walk, L, idx, false);
    while (walk_next(&walk)) {
      push_line(&walk, prefixes, tracebacks);
      lua_rawseti(L, lines, ++count);
    }
    walk_end(&walk);
  }
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, lines, i);
    luaL_addvalue(&buffer);
  }
  luaL_pushresult(&buffer);
  lua_replace(L, lines);
  lua_settop(L, lines);
}
