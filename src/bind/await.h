// SPDX-License-Identifier: MIT
// await.h: the one way to suspend a task.
//
// Every blocking function is a static Op table and `return await(L, &op,
// self)`. await checks that the caller may wait, delivers a cancellation that
// is already there, tries the operation, and parks. What is needed while the
// task is parked stands on the stack frame of the calling C function, which
// Lua keeps: the frame is the anchor.
#ifndef TRIO_BIND_AWAIT_H
#define TRIO_BIND_AWAIT_H

#include <lua.h>

#include "../core/lot.h"
#include "runner.h"

enum { WOULD_BLOCK = -1 };

typedef struct Op {
  const char *name;  // "Lock:acquire", for messages and reports
  // Do it now: push the results and return their count, or WOULD_BLOCK. May
  // raise. NULL: always parks.
  int (*attempt)(lua_State *L, Task *t, void *self);
  // Allocate first (may raise), then register the wake source. NULL: queue in
  // the Lot at offset `lot` of self.
  void (*start)(lua_State *L, Task *t, void *self);
  size_t lot;
  // See AbortFn; NULL: leave the Lot.
  AbortFn abort;
  // In the woken task: turn the code into results or an error. NULL: an error
  // if negative, else the values that the waker moved here.
  int (*finish)(lua_State *L, Task *t, void *self, int code);
  // Where the operation has succeeded, at once or after a wait, go on here
  // with the frame as it was (then `finish` sees only failures). May be NULL.
  int (*then)(lua_State *L, Task *t, void *self);
} Op;

// [-0, +n, y] Always used as `return await(...)`.
int await(lua_State *L, const Op *op, void *self);

// Give the other tasks a turn, then return the top `results` values: a
// schedule point that can't be cancelled. [y] `return await_turn(...)`.
int await_turn(lua_State *L, Task *t, int results);

// The same, and go on in `k`. [y]
int await_turn_then(lua_State *L, Task *t, lua_KContext context,
                    lua_KFunction k);

// Schedule point, then cancel point. [y]
int await_checkpoint(lua_State *L, const char *name);

// Raise what a negative wake code stands for. [v]
int await_raise(lua_State *L, Task *t, int code);

// The task that may wait here; else the error that says why not, naming
// `name`. [-0, +0, v]
Task *await_check(lua_State *L, const char *name);

// Would a cancel point raise now: scope cancelled, or Ctrl+C pending?
bool await_is_interrupted(const Task *t);

// Yield only to empty the C stack and go on in `k` at once. [y]
int await_hop(lua_State *L, Task *t, lua_KContext context, lua_KFunction k);

#endif
