// SPDX-License-Identifier: MIT
// lost.c: see lost.h.
#include "lost.h"

#include <lauxlib.h>

#include "runner.h"
#include "spawn.h"

static const char guard_key = 0;

// Is L one of the coroutines, from its own to the innermost, in which t waits?
// One that relays the wait of another has that at index 1 (coro.c).
static bool waits_in(const Task *t, lua_State *L) {
  lua_State *co = t->co;
  while (co != L && co != t->waiting && co != NULL) co = lua_tothread(co, 1);
  return co == L;
}

void lost_undo(lua_State *L) {
  Runner *R = runner_maybe(L);
  for (int slot = 1; R != NULL && slot <= R->slots; slot++) {
    Task *t = spawn_at(L, slot);
    if (t == NULL || t->state != TASK_PARKED || !waits_in(t, L)) continue;
    if (t->abort(t, t->self, WAKE_DISCARDED) == ABORT_DONE) {
      task_wake(t, WAKE_DISCARDED);
    }
  }
}

// Where there is a frame below, the guard is only taken away.
static int guard_close(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, 1, &ar)) lost_undo(L);
  return 0;
}

bool lost_is_guard(lua_CFunction function) { return function == guard_close; }

void lost_push_guard(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_key);
}

void lost_guard(lua_State *co) {
  lost_push_guard(co);
  lua_toclose(co, -1);
}

static bool is_guard(lua_State *L, const void *value) {
  if (value == NULL) return false;
  lost_push_guard(L);
  bool same = lua_touserdata(L, -1) == value;
  lua_pop(L, 1);
  return same;
}

void lost_unguard(lua_State *L, lua_State *co, lua_State *spare, int count) {
  if (lua_gettop(co) <= count) return;
  if (!is_guard(L, lua_touserdata(co, -(count + 1)))) return;
  // Popping it calls __close. Lua before 5.4.5 must not move the stack then.
  if (!lua_checkstack(spare, count) || !lua_checkstack(co, 2 * LUA_MINSTACK)) {
    luaL_error(L, "stack overflow");
  }
  lua_xmove(co, spare, count);
  lua_pop(co, 1);
  lua_xmove(spare, co, count);
}

void lost_open(lua_State *L) {
  lua_newuserdatauv(L, 0, 0);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, guard_close);
  lua_setfield(L, -2, "__close");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
}
