// SPDX-License-Identifier: MIT
// repl.h: the prompt. One run of trio lasts for the whole session; its main
// task reads statements from standard input without blocking the other tasks,
// runs them one by one and prints their results.
#ifndef TRIO_CLI_REPL_H
#define TRIO_CLI_REPL_H

#include "cli.h"

// Returns at the end of input. Errors of statements are reported and don't end
// it. [-all, +0, e]
void repl_run(Cli *cli, lua_State *L);

#endif
