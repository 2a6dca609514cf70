// SPDX-License-Identifier: MIT
// monitor.c: see monitor.h. The runtime catches the signal and calls back
// between two instructions of whatever runs, or out of its wait for I/O.
#include "monitor.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli.h"

// Print the string on top of the stack and a line end. [-1, +0, -]
static void print_line(lua_State *L) {
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  fwrite(text, 1, length, stderr);
  if (length == 0 || text[length - 1] != '\n') fputc('\n', stderr);
  fflush(stderr);
  lua_pop(L, 1);
}

static bool is_running(lua_State *L) {
  cli_push_trio(L, "lowlevel");
  lua_getfield(L, -1, "in_trio_run");
  lua_call(L, 0, 1);
  bool result = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return result;
}

// Print the tree of the run in progress; if `busy`, the first argument, says
// that code was interrupted for it, then also where that code is.
static int l_look(lua_State *L) {
  if (is_running(L)) {
    cli_push_trio(L, "lowlevel");
    lua_getfield(L, -1, "task_tree");
    lua_call(L, 0, 1);
    print_line(L);
  }
  if (lua_toboolean(L, 1)) {
    luaL_traceback(L, L, "running code:", 1);
    print_line(L);
  }
  return 0;
}

void monitor_start(lua_State *L) {
  if (cli_push_trio(L, "_on_signal") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushinteger(L, SIGUSR1);
  lua_pushcfunction(L, l_look);
  lua_call(L, 2, 0);
}
