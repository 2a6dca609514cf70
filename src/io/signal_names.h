// SPDX-License-Identifier: MIT
// signal_names.h: "SIGTERM" and the number behind it.
#ifndef TRIO_IO_SIGNAL_NAMES_H
#define TRIO_IO_SIGNAL_NAMES_H

#include <lua.h>
#include <stdbool.h>

// Numbers of signals lie below this.
enum { SIGNAL_LIMIT = 65 };

// The number for a name, or 0.
int signal_number(const char *name);

// The name of a number, or NULL.
const char *signal_name(int number);

// The signal at idx, a name or (where `numbers`) a number, or an argument
// error. [-0, +0, v]
int signal_check(lua_State *L, int idx, bool numbers);

#endif
