// SPDX-License-Identifier: MIT
// monitor.c: see monitor.h. The runtime catches the signal and calls back
// between two instructions of whatever runs, or out of its wait for I/O.
#include "monitor.h"

#include <lauxlib.h>
#include <stdio.h>

#include "cli.h"

// Print the tree of the run that is in progress.
static int l_print_tree(lua_State *L) {
  cli_push_trio(L, "lowlevel");
  lua_getfield(L, -1, "task_tree");
  lua_call(L, 0, 1);
  size_t length;
  const char *tree = luaL_tolstring(L, -1, &length);
  fwrite(tree, 1, length, stderr);
  if (length == 0 || tree[length - 1] != '\n') fputc('\n', stderr);
  fflush(stderr);
  return 0;
}

void monitor_start(lua_State *L) {
  if (cli_push_trio(L, "_on_signal") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushliteral(L, "SIGUSR1");
  lua_pushcfunction(L, l_print_tree);
  lua_call(L, 2, 0);
}
