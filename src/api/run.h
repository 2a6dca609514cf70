// SPDX-License-Identifier: MIT
// run.h: the parts of trio.run that a guest run needs too.
#ifndef TRIO_API_RUN_H
#define TRIO_API_RUN_H

#include "../bind/runner.h"

// trio.run as a Lua function.
int run_lua(lua_State *L);

// Raise unless the table at index `opts` has good options for trio.run. [v]
void run_check_options(lua_State *L, int opts);

// Prepare the zeroed runner for main and its `count` arguments on top of the
// stack; `opts` is the index of checked options or 0. Raises what goes wrong,
// with nothing left behind. [-(count+1), +0, v]
void run_begin(lua_State *L, Runner *R, int opts, int count);

// The loop has ended: push true and main's results, or false and the error;
// returns how many. Frees what the run owned. [-0, +n, -]
int run_finish(lua_State *L, Runner *R);

// Free what the run owns. [-0, +0, -]
void run_close(Runner *R);

#endif
