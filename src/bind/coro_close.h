// SPDX-License-Identifier: MIT
// coro_close.h: running the <close> variables of a coroutine that is closed,
// or that failed, in such a way that they may wait.
#ifndef TRIO_BIND_CORO_CLOSE_H
#define TRIO_BIND_CORO_CLOSE_H

#include <lua.h>
#include <stdbool.h>

// Unwind `co`, which is suspended, or has failed and has its error on top,
// without running its <close> variables yet. If there are none, returns 0, and
// the coroutine is dead. Else returns the number of arguments on its stack:
// resumed with them, it runs its <close> variables and returns
// true, or false and the error, as coroutine.close does. [-0, +0, m]
int coro_unwind(lua_State *L, lua_State *co);

// For a __close metamethod: does it run because its coroutine is closed (and
// not because a block ends)? [-0, +0, -]
bool coro_is_closing(lua_State *L);

// Such a closing coroutine has yielded, which Lua does not allow there: raise
// an error at that place when it is resumed. [-0, +0, -]
void coro_refuse_yield(lua_State *co);

#endif
