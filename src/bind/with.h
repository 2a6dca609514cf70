// SPDX-License-Identifier: MIT
// with.h: the one way to run a body: "enter, call it, always leave".
//
// The object that the body belongs to stands at index 1 of the calling C
// function's frame and stays there. Bodies may nest thousands deep.
#ifndef TRIO_BIND_WITH_H
#define TRIO_BIND_WITH_H

#include <lua.h>

#include "runner.h"

enum { WITH_SELF = 1, WITH_HANDLER = 2, WITH_BODY = 3 };

typedef struct WithOps {
  // The body has ended. Success (status LUA_OK): its results stand from
  // WITH_BODY on. Failure: the error stands on top, at WITH_BODY. Returns the
  // count of results on top, raises (with_rethrow), or returns await(...).
  int (*leave)(lua_State *L, void *self, int status);
  // The coroutine in which the body stands is closed; `leave` comes next, once
  // the <close> variables of the body have run. May be NULL.
  void (*closed)(void *self);
} WithOps;

// Call the function at index 2 with the values above it; self (an object or
// any value) stands at index 1 and has been entered. [y] `return with(...)`
int with(lua_State *L, const WithOps *ops);

// Raise the error on top again, keeping what is known of where it was first
// raised. [v]
int with_rethrow(lua_State *L);

// Raise the error at index 1, which was first raised elsewhere: the string at
// index 2 tells where. [v]
int with_raise_recorded(lua_State *L);

// Make what bodies in coroutines of the program's own need. [-0, +0, m]
void with_open(lua_State *L);

// Is the function the one by which a closed coroutine leaves a body?
bool with_is_guard(lua_CFunction function);

// Does this frame run a body? [-0, +0, -]
bool with_is_frame(lua_State *L, lua_Debug *ar);

// The message handler that records where an error was raised. Leaves the
// error as it is. For other protected calls of the library.
int with_handler(lua_State *L);

// Push the traceback recorded for the error at idx in task t, or nil.
// [-0, +1, m]
void with_push_traceback(lua_State *L, Task *t, int idx);

#endif
