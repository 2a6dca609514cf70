// SPDX-License-Identifier: MIT
// peek.h: a signal that calls a Lua function in the middle of whatever goes
// on: between two instructions of the running task, or while all of them wait.
// The interpreter prints the tree of tasks with it. One signal and one Lua
// state of the process may use it.
#ifndef TRIO_BIND_PEEK_H
#define TRIO_BIND_PEEK_H

#include "runner.h"

// Between steps: did the signal come? Then call the function. Its errors go to
// `warn`.
void peek_check(Runner *R);

// The Lua state is closed: the signal does nothing from now on.
void peek_forget(const State *closed);

// Add trio._on_signal to the module table on top.
void peek_open(lua_State *L);

#endif
