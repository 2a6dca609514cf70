// SPDX-License-Identifier: MIT
// leftover.h: what a watched run leaves open: trio.busted asks after each test
// (trio.testing._watch, _leftovers). Resources have a list of their own;
// objects that need no closing for the system's sake, such as the ends of
// memory channels, are noted here, and only in a watched run.
#ifndef TRIO_API_LEFTOVER_H
#define TRIO_API_LEFTOVER_H

#include <lua.h>

// A closable object was made and is on top: note it with the program's line.
// [-0, +0, m]
void leftover_opened(lua_State *L);

// The object at idx was closed. [-0, +0, m]
void leftover_closed(lua_State *L, int idx);

// Add the functions, with trio.testing on top.
void leftover_open(lua_State *L);

#endif
