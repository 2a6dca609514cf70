// SPDX-License-Identifier: MIT
// explain.c: see explain.h.
#include "explain.h"

#include <lauxlib.h>
#include <string.h>

#include "error.h"
#include "group.h"
#include "naming.h"
#include "spawn.h"
#include "with.h"

static const char deadlock_key = 0;

// Library functions through which Lua can suspend: never the one in the way.
static bool lets_through(const char *name) {
  static const char *const known[] = {"pcall", "xpcall", "dofile", "error",
                                      NULL};
  for (int i = 0; known[i] != NULL; i++) {
    if (strcmp(name, known[i]) == 0) return true;
  }
  return strncmp(name, "trio.", 5) == 0;
}

// Push a description of the innermost thing that can't suspend, or nil.
static void push_obstacle(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Snf", &ar);
    if (ar.namewhat[0] != '\0' && strcmp(ar.name, "__gc") == 0) {
      lua_pop(L, 1);
      lua_pushliteral(L, "a finalizer (__gc)");
      return;
    }
    if (*ar.what != 'C' || with_is_frame(L, &ar)) {
      lua_pop(L, 1);
      continue;
    }
    const char *name = ar.name;
    if (naming_push_global(L, -1)) {
      lua_remove(L, -2);
      name = lua_tostring(L, -1);
    }
    if (name == NULL || !lets_through(name)) {
      lua_pushfstring(L, "the C function '%s'", name == NULL ? "?" : name);
      lua_remove(L, -2);
      return;
    }
    lua_pop(L, 1);
  }
  lua_pushnil(L);
}

void explain_push_no_wait(lua_State *L, const char *name) {
  Task *t = task_maybe(L);
  if (t == NULL) {
    lua_pushfstring(L,
                    "%s must be called from inside a task; start one with "
                    "trio.run",
                    name);
    return;
  }
  if (t->top != L && lua_isyieldable(L) && lua_isyieldable(t->top)) {
    lua_pushfstring(
        L,
        "%s can't wait in a coroutine that trio does not know; make it with "
        "trio.coroutine, or call trio.install() first",
        name);
    return;
  }
  push_obstacle(lua_isyieldable(L) ? t->top : L);
  if (t->top != L && lua_isyieldable(L)) lua_xmove(t->top, L, 1);
  if (lua_isnil(L, -1)) {
    lua_pushfstring(L, "%s can't wait here: Lua can't suspend at this place",
                    name);
  } else {
    lua_pushfstring(L, "%s can't wait here: Lua can't suspend inside %s", name,
                    lua_tostring(L, -1));
  }
  lua_remove(L, -2);
}

int explain_no_wait(lua_State *L, const char *name) {
  luaL_where(L, 1);
  explain_push_no_wait(L, name);
  lua_concat(L, 2);
  return lua_error(L);
}

int explain_outside(lua_State *L, const char *what) {
  lua_Debug ar;
  const char *name = NULL;
  if (lua_getstack(L, 0, &ar) && lua_getinfo(L, "nf", &ar)) {
    name = naming_push_global(L, -1) ? lua_tostring(L, -1) : ar.name;
  }
  return luaL_error(L, "%s must be called from inside %s",
                    name == NULL ? "this function" : name, what);
}

// "file:line" of the innermost Lua function of a suspended coroutine: of the
// program, if possible.
void explain_push_place(lua_State *L, lua_State *co) {
  lua_Debug ar;
  int top = lua_gettop(L);
  for (int level = 0; lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    // A line of the library's own Lua only if the program has none.
    bool is_library = naming_is_library(ar.source);
    if (is_library && lua_gettop(L) > top) continue;
    lua_settop(L, top);
    lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
    if (!is_library) return;
  }
  if (lua_gettop(L) == top) lua_pushliteral(L, "[C]");
}

int explain_refuse(lua_State *L, const char *text) {
  lua_Debug ar;
  if (naming_find_line(L, 1, &ar)) {
    lua_pushfstring(L, "%s:%d: %s", ar.short_src, ar.currentline, text);
  } else {
    lua_pushstring(L, text);
  }
  return lua_error(L);
}

void explain_push_wait(lua_State *L, Task *t) {
  switch (t->state) {
    case TASK_PARKED:
      explain_push_place(L, t->waiting);
      lua_pushfstring(L, "waits in %s at %s", t->waits_in, lua_tostring(L, -1));
      lua_remove(L, -2);
      return;
    case TASK_RUNNING:
      lua_pushliteral(L, "is running");
      return;
    case TASK_NEW:
    case TASK_READY:
      lua_pushliteral(L, "is ready to run");
      return;
    case TASK_DONE:
      lua_pushliteral(L, "has ended");
      return;
  }
}

bool explain_push_object(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (!lua_checkstack(co, 1) || !lua_getstack(co, 0, &ar)) return false;
  if (lua_getlocal(co, &ar, 1) == NULL) return false;
  lua_xmove(co, L, 1);
  if (lua_isuserdata(L, -1) && luaL_getmetafield(L, -1, "__name")) {
    bool ours = strncmp(luaL_tolstring(L, -1, NULL), "trio.", 5) == 0;
    lua_pop(L, 2);
    if (ours) return true;
  }
  lua_pop(L, 1);
  return false;
}

// Add the value on top of the stack to a text below it.
static void add_holder(lua_State *L, int text) {
  explain_push_error(L, -1);  // a borrower is any value
  lua_pushfstring(L, "%s%s%s", lua_tostring(L, text),
                  lua_rawlen(L, text) == 0 ? ", held by " : ", ",
                  lua_tostring(L, -1));
  lua_replace(L, text);
  lua_settop(L, text);
}

// Push who holds the object with these statistics: a text that is empty or
// begins with ", ".
static void push_holders(lua_State *L, int statistics) {
  lua_pushliteral(L, "");
  int text = lua_gettop(L);
  if (lua_getfield(L, statistics, "lock_statistics") == LUA_TTABLE) {
    lua_replace(L, statistics);  // of a Condition
  }
  lua_settop(L, text);
  if (lua_getfield(L, statistics, "owner") != LUA_TNIL) {
    add_holder(L, text);
    return;
  }
  lua_settop(L, text);
  if (lua_getfield(L, statistics, "borrowers") != LUA_TTABLE) {
    lua_settop(L, text);
    return;
  }
  lua_insert(L, text);
  for (int i = 1; lua_rawgeti(L, text, i) != LUA_TNIL; i++) {
    add_holder(L, text + 1);
  }
  lua_pop(L, 1);
  lua_remove(L, text);
}

// Push what the parked task waits for and who holds that, where it is an object
// with statistics: a text that is empty or a line of its own.
static void push_awaited(lua_State *L, Task *t) {
  lua_pushliteral(L, "");
  int text = lua_gettop(L);
  if (t->state != TASK_PARKED || !explain_push_object(L, t->waiting)) return;
  int object = lua_gettop(L);
  if (lua_getfield(L, object, "statistics") == LUA_TFUNCTION) {
    lua_pushvalue(L, object);
    lua_call(L, 1, 1);
    push_holders(L, object + 1);
    const char *holders = lua_tostring(L, -1);
    lua_pushfstring(L, "\n    for %s%s", luaL_tolstring(L, object, NULL),
                    holders);
    lua_replace(L, text);
  }
  lua_settop(L, text);
}

// Under a protected call: (runner) -> the error.
static int make_deadlock(lua_State *L) {
  const Runner *R = lua_touserdata(L, 1);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b,
                 "every task is blocked and nothing is left that could wake "
                 "one:");
  for (int slot = 1; slot <= R->slots; slot++) {
    Task *t = spawn_at(L, slot);
    if (t == NULL || t->system || t->state == TASK_DONE) continue;
    task_push_repr(L, t);
    explain_push_wait(L, t);
    push_awaited(L, t);
    lua_pushfstring(L, "\n  %s %s%s", lua_tostring(L, -3), lua_tostring(L, -2),
                    lua_tostring(L, -1));
    lua_replace(L, -4);
    lua_pop(L, 2);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  error_push(L, ERROR_DEADLOCK, "%s", lua_tostring(L, -1));
  return 1;
}

void explain_note_deadlock(Runner *R) {
  lua_State *L = R->L;
  lua_pushcfunction(L, make_deadlock);
  lua_pushlightuserdata(L, R);
  lua_pcall(L, 1, 1, 0);
  spawn_anchor(L, &deadlock_key, -1);
  lua_pop(L, 1);
}

void explain_push_deadlock(lua_State *L) {
  spawn_push_anchored(L, &deadlock_key);
}

static int error_text(lua_State *L) {
  error_push_text(L, 1);
  return 1;
}

void explain_push_error(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  lua_pushcfunction(L, error_text);
  lua_pushvalue(L, idx);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_isstring(L, -1)) return;
  lua_pop(L, 1);
  lua_pushliteral(L, "(unprintable error)");
}

void explain_push_replaced(lua_State *L) {
  if (error_is(L, -1, ERROR_CANCELLED)) {
    lua_pushliteral(L, "");
    return;
  }
  explain_push_error(L, -1);
  lua_pushfstring(L, "; that happened after the error: %s",
                  lua_tostring(L, -1));
  lua_remove(L, -2);
}

void explain_push_brief(lua_State *L, int idx) {
  if (group_is(L, idx)) {
    group_push_title(L, idx);
  } else {
    explain_push_error(L, idx);
  }
}
