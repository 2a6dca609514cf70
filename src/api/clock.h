// SPDX-License-Identifier: MIT
// clock.h: which clock a run uses: the real one, a MockClock, or any object
// with the methods start_clock, current_time, deadline_to_sleep_time.
#ifndef TRIO_API_CLOCK_H
#define TRIO_API_CLOCK_H

#include "../bind/runner.h"

// Raise unless the value on top can serve as a clock; `opts` is the argument
// that is blamed. [-0, +0, v]
void clock_check(lua_State *L, int opts);
// Let the run use the clock on top. [-0, +0, m]
void clock_use(lua_State *L, Runner *R);
// Call its start hook; failure is a TrioInternalError. [-0, +0, v]
void clock_start(lua_State *L, Runner *R);
// Push the run's time; what a clock of the program raises is raised here.
// [-0, +1, e]
void clock_push_time(lua_State *L, Runner *R);
// The run is over.
void clock_end(Runner *R);

#endif
