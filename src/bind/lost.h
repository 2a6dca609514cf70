// SPDX-License-Identifier: MIT
// lost.h: coroutines that are closed while a task waits in them.
//
// trio.coroutine.close refuses that, but Lua's own coroutine.close does not
// know about tasks. It throws away the frame of the wait, which keeps alive
// what the task waits for. So such a coroutine has a to-be-closed value on its
// stack, the guard, whose __close undoes the wait at once. The task then finds
// the coroutine dead when its turn comes.
#ifndef TRIO_BIND_LOST_H
#define TRIO_BIND_LOST_H

#include <lua.h>
#include <stdbool.h>

// Make the guard. [-0, +0, m]
void lost_open(lua_State *L);

// Push the guard, for lua_toclose. [-0, +1, -]
void lost_push_guard(lua_State *L);

// `co` is left suspended in a wait: put the guard on its stack. [-0, +0, -]
void lost_guard(lua_State *co);

// `co` goes on, with `count` values on top of the guard: take that away, if
// `co` wasn't lost meanwhile. Errors are raised in L; `spare` is another
// coroutine than `co`, through which the values go.
// [-0, +0, m]
void lost_unguard(lua_State *L, lua_State *co, lua_State *spare, int count);

// Is the function the guard's __close metamethod? It must not be put off.
bool lost_is_guard(lua_CFunction function);

// The frames of L, in which a task waits, are lost: undo the wait.
// [-0, +0, -]
void lost_undo(lua_State *L);

#endif
