// SPDX-License-Identifier: MIT
// interrupt.c: see interrupt.h. A signal handler can't touch a Lua state but
// for one thing: Lua allows lua_sethook there. So the handler sets a hook, and
// the hook raises.
#include "interrupt.h"

#include <lauxlib.h>
#include <signal.h>
#include <stddef.h>

#include "cli.h"

enum { EVERYTHING = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT };

// A signal is the process's, so what its handler needs can only be static.
static lua_State *volatile target;

// Without SA_RESTART: a read that waits shall return.
static void set_handler(void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
}

static void raise_interrupt(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  cli_push_trio(L, "KeyboardInterrupt");
  lua_pushliteral(L, "interrupted");
  lua_call(L, 1, 1);
  lua_error(L);
}

static void on_sigint(int signo) {
  (void)signo;
  set_handler(SIG_DFL);
  lua_sethook(target, raise_interrupt, EVERYTHING, 1);
}

void interrupt_arm(lua_State *L) {
  target = L;
  set_handler(on_sigint);
}

void interrupt_disarm(lua_State *L) {
  set_handler(SIG_DFL);
  if (lua_gethook(L) == raise_interrupt) lua_sethook(L, NULL, 0, 0);
}
