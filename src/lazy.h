// SPDX-License-Identifier: MIT
// lazy.h: the Lua files of lua/trio, each run when one of its names is first
// used: running them all would take most of the interpreter's start.
#ifndef TRIO_LAZY_H
#define TRIO_LAZY_H

#include <lua.h>

// Let the module table on top of the stack, filled by the files in C, know the
// names of the files in Lua as well. [-0, +0, m]
void lazy_open(lua_State *L);

#endif
