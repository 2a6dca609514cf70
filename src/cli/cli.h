// SPDX-License-Identifier: MIT
// cli.h: what the parts of the interpreter share: the Cli record, the trio
// module of the state, and the protected call that every chunk goes through.
//
// The interpreter is a client of the module: it reaches the runtime through
// the Lua functions of `trio` wherever it can. A name that starts with an
// underscore in that table is meant for it alone.
#ifndef TRIO_CLI_CLI_H
#define TRIO_CLI_CLI_H

#include <lua.h>
#include <stdbool.h>

enum { EXIT_INTERRUPTED = 130 };

typedef struct Cli {
  const char *progname;  // NULL at the prompt: messages carry no name there
  bool await;            // run scripts as tasks
  bool interrupted;      // the latest error was a Ctrl+C, or a group with one
} Cli;

// Open `trio`, preload it and keep it for the functions below. [-0, +0, e]
void cli_open_trio(lua_State *L);

// Push the trio module. [-0, +1, -]
void cli_push_module(lua_State *L);
// Push its field `name`; returns the type. [-0, +1, m]
int cli_push_trio(lua_State *L, const char *name);

// Call the function under its `nargs` arguments, as the main task of a new run
// if `as_task`. Ctrl+C raises KeyboardInterrupt in it. Returns a status of
// lua_pcall; on an error one string, the whole report, is left on the stack.
// [-(nargs+1), +(nresults|1), -]
int cli_call(Cli *cli, lua_State *L, int nargs, int nresults, bool as_task);

// Print the report on top of the stack unless `status` is LUA_OK, which is
// returned as it is. [-(0|1), +0, -]
int cli_report(const Cli *cli, lua_State *L, int status);

#endif
