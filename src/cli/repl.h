// SPDX-License-Identifier: MIT
// repl.h: the prompt. Reads statements from standard input, runs each one as
// the main task of a run of its own, prints its results.
#ifndef TRIO_CLI_REPL_H
#define TRIO_CLI_REPL_H

#include "cli.h"

// Returns at the end of input. Errors of statements are reported and don't end
// it. [-all, +0, e]
void repl_run(Cli *cli, lua_State *L);

#endif
