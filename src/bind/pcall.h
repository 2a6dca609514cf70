// SPDX-License-Identifier: MIT
// pcall.h: protected calls that know about cancellation.
//
// trio.pcall and trio.xpcall let Cancelled and KeyboardInterrupt through, and
// groups that contain one. The guarded functions are for _G: they catch
// everything, as Lua's own do, until a task turns out to swallow its
// cancellation for ever.
#ifndef TRIO_BIND_PCALL_H
#define TRIO_BIND_PCALL_H

#include <lua.h>
#include <stdbool.h>

// Add pcall and xpcall to the module table on top. [-0, +0, m]
void pcall_open(lua_State *L);

// Push the guarded pcall and xpcall. [-0, +2, m]
void pcall_push_guarded(lua_State *L);

// The current task is about to swallow a Cancelled: may it? Counts for each
// task and cancelled scope and says no from the eleventh time on; outside of
// tasks always yes. Defined next to the runner, which owns the count.
// [-0, +0, -]
bool swallow_allowed(lua_State *L);

#endif
