// SPDX-License-Identifier: MIT
// explain.h: messages for what went wrong around waiting: why a function can't
// wait here, who waits for what in a deadlock. Nothing here is on a hot path.
#ifndef TRIO_BIND_EXPLAIN_H
#define TRIO_BIND_EXPLAIN_H

#include "runner.h"

// Raise that the running C function must be called from inside `what`. [v]
int explain_outside(lua_State *L, const char *what);

// Raise why `name` can't wait here: outside of a task, in a coroutine that
// nobody made known, or below a C function that can't suspend. [v]
int explain_no_wait(lua_State *L, const char *name);
// Push that text, without a position. [-0, +1, m]
void explain_push_no_wait(lua_State *L, const char *name);

// Make the DeadlockError that names every blocked task, what it waits for and
// who holds that, while they are still blocked; and push it, for main.
// [-0, +0, -] on R->L, [-0, +1, -]
void explain_note_deadlock(Runner *R);
void explain_push_deadlock(lua_State *L);

// Push the object whose method the suspended coroutine waits in, if it is one
// of the library's: the first argument of the innermost C function. Otherwise
// push nothing and return false. [-0, +(0|1), m]
bool explain_push_object(lua_State *L, lua_State *co);

// Raise a mistake of the program, at its own line: for functions that it calls
// through the library's Lua. [v]
int explain_refuse(lua_State *L, const char *text);

// Push text for any error value; its own __tostring may fail. [-0, +1, m]
void explain_push_error(lua_State *L, int idx);

// The same for a reason: of a group its title only. Groups in one another
// would make it long for each. [-0, +1, m]
void explain_push_brief(lua_State *L, int idx);

// A report of misuse takes the place of the error on top: push words that keep
// what it said, empty ones for a Cancelled. [-0, +1, m]
void explain_push_replaced(lua_State *L);

// Push "file:line" of the innermost Lua function of a suspended coroutine.
// [-0, +1, m]
void explain_push_place(lua_State *L, lua_State *co);

// Push one line for a task: what it waits in, and where. [-0, +1, m]
void explain_push_wait(lua_State *L, Task *t);

#endif
