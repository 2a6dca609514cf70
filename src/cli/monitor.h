// SPDX-License-Identifier: MIT
// monitor.h: --monitor. SIGUSR1 prints the tree of tasks to stderr, while the
// program waits as well as out of a busy loop.
#ifndef TRIO_CLI_MONITOR_H
#define TRIO_CLI_MONITOR_H

#include <lua.h>

// From here on SIGUSR1 prints the tree of the runs of this state. [-0, +0, e]
void monitor_start(lua_State *L);

#endif
