// SPDX-License-Identifier: MIT
// nursery.h: the Nursery, for the other files of this layer.
//
// A nursery belongs to the C frame that opened it (open_nursery, or start's
// hidden one): it closes before that frame returns, and nothing of it outlives
// the run. Children are linked in by Task.child_link; those that failed stay
// in `failed`, in order of their end, with the error on their own stack until
// the parent collects it. A child that ends with a mere Cancelled goes at once:
// its error stands in the table that `kept` holds, by its place among the
// failures.
#ifndef TRIO_API_NURSERY_H
#define TRIO_API_NURSERY_H

#include "scope.h"

typedef struct Nursery {
  ClassHead head;
  Scope *scope;          // user value NURSERY_SCOPE
  CancelStatus *status;  // of the scope; children start below it
  Task *parent;          // user value NURSERY_PARENT; valid while open
  Runner *runner;
  uint64_t serial;  // of the run
  int slot;         // by which it is held while open (spawn.h), else 0
  Link open_link;   // in parent->nurseries
  List children;    // by child_link
  List failed;      // by child_link
  int child_count, failed_count;
  int pending_starts;
  int kept;            // slot of the table of those that were kept, else 0
  int body_failed;     // 1 + number of failures before the body's, 0: none
  int interrupt_code;  // WAKE_INTERRUPTED or _DEADLOCK that came while leaving
  int interrupted;     // 1 + number of failures before it, 0: none
  bool body_running;
  bool parent_waiting;
  bool closed;     // accepts no more children
  bool abandoned;  // its parent ended without leaving it
  bool strict;
  struct Nursery *target;  // hidden nursery of a start: where the child goes
} Nursery;

enum {
  NURSERY_SCOPE = 1,
  NURSERY_PARENT,
  NURSERY_TARGET,  // of a hidden nursery: the nursery and the task status
  NURSERY_STATUS,
  NURSERY_VALUES = 4
};

extern const Class nursery_class;

// Push a new nursery of task t and enter its scope. [-0, +1, v]
Nursery *nursery_push(lua_State *L, Task *t, bool strict);

// Spawn the function and `count` arguments on top as a child. [-(count+1), v]
Task *nursery_spawn(lua_State *L, Nursery *n, int count, int name, bool system);

// Raise unless it still accepts children. [v]
void nursery_check_open(lua_State *L, const Nursery *n);

// A child has ended; its Task.on_exit, and Runner.child_exit for who has put
// himself before that. Runs in the scheduler: no allocation, no Lua.
void nursery_child_exit(Task *t);

// Close it if nothing keeps it open, waking a parent that waits to leave.
void nursery_check_closed(Nursery *n);

// A nursery:start into it is over, or its task has ended without leaving it.
void nursery_end_start(Nursery *n);

// Read the options table that may stand right before the function at `idx`
// or `idx + 1`: returns the function's index. `known` as in opts_check. [v]
int nursery_function(lua_State *L, int idx, const char *const *known);

// The body (or what stands for it) has ended: wait for the children, then
// close. For `WithOps.leave`. [y]
int nursery_leave(lua_State *L, void *self, int status);
// The body will never end: its coroutine is closed. For `WithOps.closed`.
void nursery_body_closed(void *self);

// The task ended with nurseries open in some coroutine: cancel and forget
// them. For Runner.abandon.
void nursery_abandon_all(Task *t);
// The task that opened the nursery that the task is in; NULL for the root.
Task *nursery_parent_of(const Task *t);

// Keep the Cancelled on top, with which the task ends. For Runner.keep.
bool nursery_keep(lua_State *L, Task *t);

// The nursery was left, or nothing of it is left: unanchor it.
void nursery_forget(Nursery *n);

// Push the nursery's object, nil for NULL; while it is open. [-0, +1, -]
void nursery_push_object(lua_State *L, Nursery *n);

// nursery:start, in start.c.
int nursery_start(lua_State *L);
// start.c: the end of a hidden nursery. `failed`: the error stands on top.
int start_finish(lua_State *L, Nursery *hidden, bool failed);

#endif
