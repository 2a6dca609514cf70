// SPDX-License-Identifier: MIT
// cli.c: see cli.h. Together with the protected call of main.c this is the
// only place where the interpreter catches errors.
#include "cli.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

#include "interrupt.h"
#include "report.h"
#include "trio.h"

static const char module_key = 0;  // its address is the key in the registry

void cli_open_trio(lua_State *L) {
  luaL_requiref(L, "trio", luaopen_trio, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_trio);
  lua_setfield(L, -2, "trio");
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
}

void cli_push_module(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key);
}

int cli_push_trio(lua_State *L, const char *name) {
  cli_push_module(L);
  int type = lua_getfield(L, -1, name);
  lua_remove(L, -2);
  return type;
}

int cli_call(Cli *cli, lua_State *L, int nargs, int nresults, bool as_task) {
  int base = lua_gettop(L) - nargs;
  if (as_task) {
    cli_push_trio(L, "run");
    lua_insert(L, base);
    nargs++;
  }
  cli->interrupted = false;
  lua_pushlightuserdata(L, cli);
  lua_pushcclosure(L, report_handler, 1);
  lua_insert(L, base);
  interrupt_arm(L);
  int status = lua_pcall(L, nargs, nresults, base);
  interrupt_disarm(L);
  lua_remove(L, base);
  return status;
}

int cli_report(const Cli *cli, lua_State *L, int status) {
  if (status == LUA_OK) return status;
  const char *text = lua_tostring(L, -1);
  if (cli->progname != NULL) lua_writestringerror("%s: ", cli->progname);
  lua_writestringerror("%s\n", text);
  lua_pop(L, 1);
  return status;
}
