// SPDX-License-Identifier: MIT
// report.c: see report.h. A report grows as an array of strings at the stack
// index PARTS and is joined at the end, since a luaL_Buffer would not allow
// the calls into Lua in between.
//
// A chain of causes may be as long as a program likes, and may even come back
// to itself: it is followed no further than MAX_DEPTH.
#include "report.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "cli.h"

enum { ERROR = 1, PARTS = 2, MAX_DEPTH = 32 };

static const char header[] = "stack traceback:";

// Is the value at idx an instance of the trio class `name`?
static bool is_instance(lua_State *L, int idx, const char *name) {
  if (!lua_istable(L, idx)) return false;
  idx = lua_absindex(L, idx);
  cli_push_trio(L, "isinstance");
  lua_pushvalue(L, idx);
  cli_push_trio(L, name);
  lua_call(L, 2, 1);
  bool result = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return result;
}

static bool is_error_object(lua_State *L, int idx) {
  return is_instance(L, idx, "Error") || is_instance(L, idx, "Cancelled") ||
         is_instance(L, idx, "KeyboardInterrupt") ||
         is_instance(L, idx, "ExceptionGroup");
}

// Is the error at idx a Ctrl+C, or a group with one among its leaves?
static bool is_interrupt(lua_State *L, int idx) {
  if (is_instance(L, idx, "KeyboardInterrupt")) return true;
  if (!is_instance(L, idx, "ExceptionGroup")) return false;
  int top = lua_gettop(L);
  lua_getfield(L, idx, "leaves");
  lua_pushvalue(L, idx);
  lua_call(L, 1, 1);
  bool found = false;
  do {
    lua_settop(L, top + 1);
    lua_pushvalue(L, top + 1);
    lua_call(L, 0, 1);
    found = is_instance(L, top + 2, "KeyboardInterrupt");
  } while (!found && !lua_isnil(L, top + 2));
  lua_settop(L, top);
  return found;
}

// Append the string on top of the stack to the report.
static void add_value(lua_State *L) {
  lua_rawseti(L, PARTS, (lua_Integer)lua_rawlen(L, PARTS) + 1);
}

static void add(lua_State *L, const char *text) {
  lua_pushstring(L, text);
  add_value(L);
}

static int join_parts(lua_State *L) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  lua_Integer count = (lua_Integer)lua_rawlen(L, PARTS);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, PARTS, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  return 1;
}

// Push what the group at idx says about itself and its leaves: the tree, with
// their tracebacks.
static void push_tree(lua_State *L, int idx) {
  lua_pushvalue(L, idx);
  lua_getfield(L, -1, "report");
  lua_insert(L, -2);
  lua_call(L, 1, 1);
}

// Push the text of any error value, as lua words it. Returns whether it is the
// value's own account of itself.
static bool push_text(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (is_instance(L, idx, "ExceptionGroup")) {
    push_tree(L, idx);
    return true;
  }
  lua_pushvalue(L, idx);
  if (lua_tostring(L, -1) != NULL) return false;
  lua_pop(L, 1);
  if (luaL_callmeta(L, idx, "__tostring")) {
    if (lua_type(L, -1) == LUA_TSTRING) return true;
    lua_pop(L, 1);
  }
  lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, idx));
  return false;
}

// Push the traceback of the task that raised the value at idx and return
// true; or push nothing.
static bool push_task_traceback(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (is_error_object(L, idx)) {
    if (lua_getfield(L, idx, "traceback") == LUA_TSTRING) return true;
    lua_pop(L, 1);
  }
  if (cli_push_trio(L, "_traceback_of") != LUA_TNIL) {
    lua_pushvalue(L, idx);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) == LUA_TSTRING) return true;
  }
  lua_pop(L, 1);
  return false;
}

// Append the traceback on top of the stack on lines of its own.
static void add_traceback(lua_State *L) {
  const char *text = lua_tostring(L, -1);
  add(L, "\n");
  if (strncmp(text, header, sizeof(header) - 1) != 0) {
    add(L, header);
    add(L, "\n");
  }
  add_value(L);
}

// Push what the value at idx came from and return the words for it; or push
// nothing and return NULL.
static const char *push_cause(lua_State *L, int idx) {
  if (!is_error_object(L, idx)) return NULL;
  if (lua_getfield(L, idx, "cause") != LUA_TNIL) return "\ncaused by: ";
  lua_pop(L, 1);
  if (lua_getfield(L, idx, "context") != LUA_TNIL) return "\nwhile handling: ";
  lua_pop(L, 1);
  return NULL;
}

// Append what the value at idx came from, and that from, and so on.
static void add_causes(lua_State *L, int idx) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  int top = lua_gettop(L);
  lua_pushvalue(L, idx);
  for (int depth = 0; depth < MAX_DEPTH; depth++) {
    const char *words = push_cause(L, top + 1);
    if (words == NULL) break;
    lua_replace(L, top + 1);
    add(L, words);
    push_text(L, top + 1);
    add_value(L);
    if (push_task_traceback(L, top + 1)) add_traceback(L);
  }
  lua_settop(L, top);
}

// Append what the leaves of the group at idx came from: the tree does not say.
static void add_causes_of_leaves(lua_State *L, int idx) {
  int top = lua_gettop(L);
  lua_getfield(L, idx, "leaves");
  lua_pushvalue(L, idx);
  lua_call(L, 1, 1);
  for (;;) {
    lua_settop(L, top + 1);
    lua_pushvalue(L, top + 1);
    lua_call(L, 0, 1);
    if (lua_isnil(L, top + 2)) break;
    if (push_cause(L, top + 2) == NULL) continue;
    add(L, "\n");
    push_text(L, top + 2);
    add_value(L);
    add_causes(L, top + 2);
  }
  lua_settop(L, top);
}

// The traceback of the thread that runs the handler, without the handler.
static void add_own_traceback(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  add_traceback(L);
}

int report_handler(lua_State *L) {
  Cli *cli = lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, ERROR);
  lua_newtable(L);
  bool object = is_error_object(L, ERROR);
  cli->interrupted = object && is_interrupt(L, ERROR);
  bool told = push_text(L, ERROR);
  add_value(L);
  if (push_task_traceback(L, ERROR)) {
    add_traceback(L);
  } else if (object || !told) {
    add_own_traceback(L);
  }
  add_causes(L, ERROR);
  if (is_instance(L, ERROR, "ExceptionGroup")) add_causes_of_leaves(L, ERROR);
  return join_parts(L);
}
