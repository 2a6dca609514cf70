// SPDX-License-Identifier: MIT
// scope.h: the CancelScope object, for the other files of this layer.
//
// The object itself only remembers values; while the scope is active its state
// is the CancelStatus in the scheduler's tree.
#ifndef TRIO_API_SCOPE_H
#define TRIO_API_SCOPE_H

#include "../bind/class.h"
#include "../bind/runner.h"
#include "../core/cancel.h"

typedef struct Scope {
  ClassHead head;
  CancelStatus *status;  // while active, in the run `serial`
  uint64_t serial;
  double deadline;  // while not active; if `relative`, seconds from entry
  bool relative;
  bool shield;  // while not active
  bool called;  // while not active
  bool entered;
  bool caught;
} Scope;

extern const Class scope_class;

// Push a new scope that is entered at once. `relative` as in Scope. `meta`: the
// index of its metatable, 0 if it is not at hand. [-0, +1, m]
Scope *scope_push(lua_State *L, double deadline, bool relative, bool shield,
                  int meta);

// Make it the task's innermost. Raises when it was entered before, and for
// lack of memory; then nothing has changed. `idx` is where it stands. [v]
void scope_enter(lua_State *L, Task *t, Scope *s, int idx);

typedef enum ScopeExit {
  SCOPE_PASSED,  // left without an error; nothing pushed
  SCOPE_CAUGHT,  // the error on top was the scope's own: popped
  SCOPE_FAILED   // an error to raise stands on top
} ScopeExit;

// Leave it. `failed`: the body's error stands on top. [m]
ScopeExit scope_leave(lua_State *L, Scope *s, bool failed);

// Its status if it is active in the present run, else NULL.
CancelStatus *scope_status(lua_State *L, const Scope *s);

// A reason that names the current task. [m] One reference, the caller's.
CancelReason *scope_reason(lua_State *L, CancelSource source, const char *text);

void scope_open(lua_State *L);

#endif
