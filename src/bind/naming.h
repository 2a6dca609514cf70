// SPDX-License-Identifier: MIT
// naming.h: names of functions, for task names, tracebacks and messages.
#ifndef TRIO_BIND_NAMING_H
#define TRIO_BIND_NAMING_H

#include <lua.h>
#include <stdbool.h>

// Push the name under which the function at idx is reachable from a loaded
// module ("table.sort", "print"), if it is. [-0, +(0|1), m]
bool naming_push_global(lua_State *L, int idx);

// Push that name, else "file:line" where the function was defined, else "[C]".
// [-0, +1, m]
void naming_push_function(lua_State *L, int idx);

// Push a stack traceback of at most `count` levels, from `level` on. Unlike
// luaL_traceback it costs no more on a deep stack. [-0, +1, m]
void naming_push_stack(lua_State *L, int level, int count);

// Is this the `source` of one of the library's own Lua files?
bool naming_is_library(const char *source);

// Find the innermost line that is the program's own, from `level` on; `ar` has
// its currentline and short_src then. [-0, +0, -]
bool naming_find_line(lua_State *L, int level, lua_Debug *ar);

#endif
