// SPDX-License-Identifier: MIT
// api.h: the open function of every file of this layer; module.c calls them
// in order with the module table on top of the stack. [-0, +0, m]
#ifndef TRIO_API_API_H
#define TRIO_API_API_H

#include <lua.h>

void timeouts_open(lua_State *L);
void nursery_open(lua_State *L);
void start_open(lua_State *L);
void time_open(lua_State *L);
void run_open(lua_State *L);
void task_open(lua_State *L);
void variables_open(lua_State *L);
void event_open(lua_State *L);
void lock_open(lua_State *L);
void semaphore_open(lua_State *L);
void condition_open(lua_State *L);
void limiter_open(lua_State *L);
void channel_open(lua_State *L);

// These add to the sub-tables trio.lowlevel and trio.testing, found on top.
void lowlevel_open(lua_State *L);
void reschedule_open(lua_State *L);
void parking_open(lua_State *L);
void token_open(lua_State *L);
void tree_open(lua_State *L);
void instrument_open(lua_State *L);
void testing_open(lua_State *L);
void clock_open(lua_State *L);
void steps_open(lua_State *L);
void trace_open(lua_State *L);

#endif
