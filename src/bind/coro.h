// SPDX-License-Identifier: MIT
// coro.h: trio.coroutine: Lua's coroutine library, made aware of tasks. An
// async function called inside such a coroutine suspends the whole task: each
// resume on the way relays the suspension outwards.
#ifndef TRIO_BIND_CORO_H
#define TRIO_BIND_CORO_H

#include <lua.h>

// Add `coroutine` and `install` to the module table on top. [-0, +0, m]
void coro_open(lua_State *L);

// The program gets hold of `co`, a task's own coroutine, which only the runner
// may resume. [-0, +0, m]
void coro_mark_task(lua_State *L, lua_State *co);

#endif
