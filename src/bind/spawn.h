// SPDX-License-Identifier: MIT
// spawn.h: making tasks, their Lua objects, their end.
//
// A task's Lua object holds the Task itself and, as user values, its
// coroutine, what names it, its context variables, its nursery and its last
// failure. Live tasks and open nurseries are held in a table by slot number.
#ifndef TRIO_BIND_SPAWN_H
#define TRIO_BIND_SPAWN_H

#include <lua.h>

#include "class.h"
#include "runner.h"

enum {
  TASK_COROUTINE = 1,
  TASK_EXTRA,  // its nursery, once the program has the task in its hands, or a
               // table of that and of what few tasks have
  TASK_CONTEXT,
  TASK_NAME,
  TASK_VALUES = 4
};
enum {
  EXTRA_PARENT = 1,
  EXTRA_SLEEP_DATA,
  EXTRA_ERROR,  // the last error recorded in the task (with.c), ...
  EXTRA_TRACEBACK,
  EXTRA_VALUES = 4
};

typedef struct TaskObject {
  ClassHead head;
  Task task;
} TaskObject;

extern const Class task_class;  // api/task.c has its methods

// Make a task from the function and the `count` arguments on top of the stack.
// `name` is the index of a string, any value, or 0. A system task belongs to
// the runtime and inherits no context. The task is NEW: link it
// to its nursery, then call task_ready. [-(count+1), +0, m]
Task *spawn_new(lua_State *L, Runner *R, int count, int name, bool system);

// It has ended: leave nothing on its stack but its results or its error, or
// what a task that may be used again needs. No allocation.
void spawn_empty(Task *t);

// It won't be started after all. No allocation.
void spawn_undo(Task *t);

// The task has ended: forget it, so that it can be collected, or keep it for
// the next spawn. No allocation.
void spawn_release(Task *t);

// The run idles: let most of the tasks kept for reuse go. No allocation.
void spawn_trim_pool(Runner *R);

// Push the task's Lua object for the library's own use. [-0, +1, -]
void spawn_push_object(lua_State *L, Task *t);

// Push the task's Lua object for the program, nil for NULL. Only for tasks that
// are anchored (not released). [-0, +1, -]
void task_push(lua_State *L, Task *t);

// The task has moved to another nursery, which is held in t->parent_slot.
void task_note_parent(lua_State *L, Task *t);
// Push the nursery of the task object at idx, which the program has in its
// hands, or nil. [-0, +1, -]
void task_push_parent(lua_State *L, int idx);

// Push the table at TASK_EXTRA of the task object at idx. If there is none,
// push nothing and return false, or with `create` make one. [-0, +(0|1), m]
bool task_push_extra(lua_State *L, int idx, bool create);

// The live task anchored in that slot, or NULL. [-0, +0, -]
Task *spawn_at(lua_State *L, int slot);

// Push "<Task 'name' at 0x...>" / its name. [-0, +1, m]
void task_push_repr(lua_State *L, Task *t);
void task_push_name(lua_State *L, Task *t);

// Keep the value at idx alive until spawn_drop or the end of the run; returns
// its slot, which is never 0. [-0, +0, m]
int spawn_hold(lua_State *L, Runner *R, int idx);
// Let go of what is in that slot, if it isn't 0, and make it 0. No allocation.
void spawn_drop(Runner *R, int *slot);
// Push what is in that slot, nil for slot 0. [-0, +1, -]
void spawn_push_held(lua_State *L, int slot);

// Keep the value at idx alive to the end of the run, under a key of which there
// are few: Lua looks at the whole table, with all tasks, when a key comes in.
void spawn_anchor(lua_State *L, const void *key, int idx);
// Push what is anchored under key, nil if nothing is. [-0, +1, -]
void spawn_push_anchored(lua_State *L, const void *key);

// Push the context variables of code outside of tasks, nil if there are none
// and `create` is false. [-0, +1, m]
void spawn_push_outer_context(lua_State *L, bool create);

// Replace the table on top by a shallow copy. [-1, +1, m]
void spawn_copy_table(lua_State *L);

// Make, and drop, the table that anchors the live tasks. [-0, +0, m]
void spawn_begin(lua_State *L, Runner *R);
void spawn_end(Runner *R);

#endif
