// SPDX-License-Identifier: MIT
// guard.h: `with(body)` of the primitives that are acquired and released.
#ifndef TRIO_API_GUARD_H
#define TRIO_API_GUARD_H

#include "../bind/await.h"
#include "../bind/with.h"

// The end of a body that holds what is at index 1: calls its method
// `release`, then passes the results or the error on. For WithOps.leave.
int guard_leave(lua_State *L, void *self, int status);

// The `then` of an acquiring Op used by with(body): runs the body that stands
// at index 2 of the frame.
int guard_then(lua_State *L, Task *t, void *self);

// Check the arguments (self, body) and cut the stack to them. [v]
void guard_check(lua_State *L);

#endif
