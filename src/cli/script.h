// SPDX-License-Identifier: MIT
// script.h: running what the command line and the environment name: LUA_INIT,
// the -e and -l options, the script, standard input.
//
// Each function reports its own errors and returns whether all went well.
#ifndef TRIO_CLI_SCRIPT_H
#define TRIO_CLI_SCRIPT_H

#include "args.h"
#include "cli.h"

// Set the global `arg`. [-0, +0, e]
void script_set_arg(lua_State *L, const Args *args);

// Run LUA_INIT_5_4, or else LUA_INIT.
bool script_run_init(Cli *cli, lua_State *L);
// Carry out the -e, -l and -W options in their order.
bool script_run_actions(Cli *cli, lua_State *L, const Args *args);
// Run the script with its arguments.
bool script_run(Cli *cli, lua_State *L, const Args *args);
// Run standard input as a script without arguments.
bool script_run_stdin(Cli *cli, lua_State *L);

#endif
