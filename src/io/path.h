// SPDX-License-Identifier: MIT
// path.h: paths as arguments: a string, or a trio.Path (lua/trio/path.lua).
#ifndef TRIO_IO_PATH_H
#define TRIO_IO_PATH_H

#include <lua.h>

// Replace the path at the positive index idx by its text, and return that; NULL
// for another value, and for a zero byte inside. [-0, +0, m]
const char *path_test(lua_State *L, int idx);
// The same, with an argument error instead of NULL. [-0, +0, v]
const char *path_check(lua_State *L, int idx);

// Push an OSError with the field `path` (may be NULL). [-0, +1, m]
void path_push_error(lua_State *L, int number, const char *what,
                     const char *path);

#endif
