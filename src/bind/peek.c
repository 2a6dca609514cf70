// SPDX-License-Identifier: MIT
// peek.c: see peek.h. As for Ctrl+C, the signal handler only sets a flag, wakes
// the poll and arms a debug hook on the running coroutine. Whoever sees the
// flag first, hook or loop, calls the function. A hook that was there before
// (Ctrl+C's, a debugger's) is put back.
#include "peek.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>

#include "explain.h"

static const char function_key = 0;

static lua_State *main_thread;  // of the state that asked for the signal
static State *volatile state;   // NULL: none, or it is closed
static volatile sig_atomic_t wanted;

static struct {
  lua_Hook hook;
  int mask, count;
} previous;

// Call the function with whether Lua code was interrupted for it.
static void call(lua_State *L, bool busy) {
  wanted = 0;
  if (!lua_checkstack(L, 10)) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &function_key);
  lua_pushboolean(L, busy);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  explain_push_error(L, -1);
  lua_warning(L, lua_tostring(L, -1), 0);
  lua_pop(L, 2);
}

static void on_instruction(lua_State *L, lua_Debug *ar) {
  UNUSED(ar);
  lua_sethook(L, previous.hook, previous.mask, previous.count);
  if (wanted) call(L, true);
}

static void on_signal(int number) {
  UNUSED(number);
  const State *s = state;
  if (s == NULL) return;
  wanted = 1;
  atomic_fetch_add(&runner_signals, 1);
  Runner *R = s->runner;
  lua_State *L = main_thread;
  if (R != NULL) {
    poll_wake(R->state->poll);
    if (R->sched.current == NULL) return;
    L = R->sched.current->top;
  }
  if (lua_gethook(L) != on_instruction) {
    previous.hook = lua_gethook(L);
    previous.mask = lua_gethookmask(L);
    previous.count = lua_gethookcount(L);
  }
  lua_sethook(L, on_instruction,
              LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void peek_check(Runner *R) {
  if (wanted && R->state == state) call(R->L, false);
}

// trio._on_signal(number, function): call function(busy) each time the process
// gets this signal. For the interpreter.
static int l_on_signal(lua_State *L) {
  int number = (int)luaL_checkinteger(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &function_key);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  main_thread = lua_tothread(L, -1);
  state = state_of(L);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  if (sigaction(number, &action, NULL) != 0) {
    return luaL_argerror(L, 1, "no such signal");
  }
  return 0;
}

void peek_forget(const State *closed) {
  if (state == closed) state = NULL;
}

void peek_open(lua_State *L) {
  lua_pushcfunction(L, l_on_signal);
  lua_setfield(L, -2, "_on_signal");
}
