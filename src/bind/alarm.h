// SPDX-License-Identifier: MIT
// alarm.h: a limit in real time, whatever clock the run has, for tests that
// hang. When it is over, a Lua function is called: between two steps, or, where
// a task hogs the thread, in the middle of that task. It uses SIGALRM; one Lua
// state of the process may have an alarm at a time.
#ifndef TRIO_BIND_ALARM_H
#define TRIO_BIND_ALARM_H

#include "runner.h"

// Between steps: is the time over? Then call the function. Its error ends the
// run at once, without waiting for any task.
void alarm_check(Runner *R);

// Add trio.testing._alarm, with trio.testing on top.
void alarm_open(lua_State *L);

#endif
