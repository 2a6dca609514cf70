// SPDX-License-Identifier: MIT
// start.c: nursery:start and the task status (Trio: Nursery.start,
// TaskStatus). Until `started` is called the child lives in a hidden nursery
// of the caller; then it moves, with everything below it, to the target.
#include "../bind/await.h"
#include "../bind/error.h"
#include "../bind/group.h"
#include "../bind/spawn.h"
#include "../bind/with.h"
#include "api.h"
#include "nursery.h"

typedef struct TaskStatus {
  ClassHead head;
  Nursery *old;  // user value STATUS_OLD
  bool called;
} TaskStatus;

enum { STATUS_OLD = 1, STATUS_VALUES, STATUS_COUNT = 2 };

static const Class status_class, ignored_class;

static void move_children(lua_State *L, Nursery *from, Nursery *to) {
  Link *link;
  while ((link = list_first(&from->children)) != NULL) {
    Task *t = CONTAINER_OF(link, Task, child_link);
    list_remove(link);
    list_push(&to->children, link);
    t->parent = to;
    t->parent_slot = to->slot;
    t->base = to->status;
    t->eventual_parent = NULL;
    if (t->exposed) task_note_parent(L, t);
    from->child_count--;
    to->child_count++;
  }
}

static Task *task_below(CancelStatus *c, const Task *except) {
  for (Link *l = list_first(&c->tasks); l != NULL;
       l = list_next(&c->tasks, l)) {
    Task *t = CONTAINER_OF(l, Task, cancel_link);
    if (t != except) return t;
  }
  return NULL;
}

// Put the tasks and scopes that stood below the hidden nursery below the
// target. A cancelled target interrupts them during the move.
static void move_statuses(Nursery *from, Nursery *to) {
  Link *link;
  while ((link = list_first(&from->status->children)) != NULL) {
    CancelStatus *c = CONTAINER_OF(link, CancelStatus, sibling_link);
    cancel_set_parent(c, to->status);
  }
  Task *t;
  while ((t = task_below(from->status, from->parent)) != NULL) {
    cancel_attach(t, to->status);
  }
}

// task_status:started(...): the values that nursery:start returns. Raises when
// called twice. No checkpoint. Where the start was cancelled meanwhile it does
// nothing: the child stays with the caller.
static int l_started(lua_State *L) {
  TaskStatus *s = class_check(L, 1, &status_class);
  if (s->called) {
    return luaL_error(L, "called 'started' twice on the same task status");
  }
  int count = lua_gettop(L) - 1;
  lua_createtable(L, count, 1);
  lua_insert(L, 2);
  for (int i = count; i > 0; i--) lua_rawseti(L, 2, i);
  lua_pushinteger(L, count);
  lua_setfield(L, 2, "n");
  lua_setiuservalue(L, 1, STATUS_VALUES);
  s->called = true;
  Nursery *old = s->old;
  Runner *R = runner_maybe(L);
  if (R != old->runner || R->serial != old->serial || old->closed) return 0;
  if (old->status->effective) return 0;
  move_children(L, old, old->target);
  move_statuses(old, old->target);
  nursery_check_closed(old);
  return 0;
}

static int l_ignored(lua_State *L) {
  class_check(L, 1, &ignored_class);
  return 0;
}

static const luaL_Reg status_methods[] = {{"started", l_started}, {NULL, NULL}};
static const luaL_Reg ignored_methods[] = {{"started", l_ignored},
                                           {NULL, NULL}};
static const Class status_class = {"trio.TaskStatus", status_methods, NULL,
                                   NULL};
static const Class ignored_class = {"trio.TASK_STATUS_IGNORED", ignored_methods,
                                    NULL, NULL};

// The body of the hidden nursery: (target, status, name, fn, ...).
static int spawn_child(lua_State *L) {
  TaskStatus *status = class_check(L, 2, &status_class);
  lua_pushvalue(L, 2);
  lua_insert(L, 5);
  int name = lua_isnil(L, 3) ? 0 : 3;
  Task *t = nursery_spawn(L, status->old, lua_gettop(L) - 4, name, false);
  t->eventual_parent = status->old->target;
  return 0;
}

// Raise what the hidden nursery raised, without the group around it.
static int rethrow_unwrapped(lua_State *L) {
  if (error_is(L, -1, ERROR_GROUP)) {
    int count = group_push_parts(L, -1);
    lua_pop(L, 1);
    if (count > 1) {
      lua_pop(L, 1);
      error_push(L, ERROR_INTERNAL,
                 "the hidden nursery of nursery:start had several tasks; the "
                 "function spawned into the nursery that it was started in");
      lua_pushvalue(L, -2);
      lua_setfield(L, -2, "cause");
      return lua_error(L);
    }
    lua_rawgeti(L, -1, 1);
  }
  return with_rethrow(L);
}

int start_finish(lua_State *L, Nursery *hidden, bool failed) {
  nursery_end_start(hidden->target);
  if (failed) return rethrow_unwrapped(L);
  lua_getiuservalue(L, WITH_SELF, NURSERY_STATUS);
  TaskStatus *status = class_check(L, -1, &status_class);
  if (!status->called) {
    return luaL_error(L, "child exited without calling task_status:started()");
  }
  lua_getiuservalue(L, -1, STATUS_VALUES);
  lua_getfield(L, -1, "n");
  int count = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, count, "too many results");
  int values = lua_gettop(L);
  for (int i = 1; i <= count; i++) lua_rawgeti(L, values, i);
  return count;
}

// nursery:start([opts,] fn, ...) -> what fn's task_status:started(...) was
// given. Calls fn(task_status, ...) in a new task. Option `name`. An error
// before `started` comes out of here, as it is. Mirrors Nursery.start.
int nursery_start(lua_State *L) {
  static const char *const known[] = {"name", NULL};
  static const WithOps ops = {.leave = nursery_leave,
                              .closed = nursery_body_closed};
  Nursery *target = class_check(L, 1, &nursery_class);
  int function = nursery_function(L, 2, known);
  nursery_check_open(L, target);
  Task *t = await_check(L, "Nursery:start");
  if (function == 2) {
    lua_pushnil(L);
  } else {
    lua_getfield(L, 2, "name");
    lua_remove(L, 2);
  }
  lua_insert(L, 2);  // target, name, fn, ...
  TaskStatus *status =
      class_new(L, &status_class, sizeof(TaskStatus), STATUS_COUNT);
  lua_insert(L, 2);  // target, status, name, fn, ...
  lua_pushcfunction(L, spawn_child);
  lua_insert(L, 1);  // spawn_child, target, status, name, fn, ...
  Nursery *hidden = nursery_push(L, t, true);
  hidden->target = target;
  status->old = hidden;
  lua_insert(L, 1);  // hidden, spawn_child, target, ...
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, 1, NURSERY_TARGET);
  lua_pushvalue(L, 4);
  lua_setiuservalue(L, 1, NURSERY_STATUS);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 4, STATUS_OLD);
  target->pending_starts++;
  return with(L, &ops);
}

void start_open(lua_State *L) {
  class_register(L, &status_class);
  class_register(L, &ignored_class);
  class_new(L, &ignored_class, sizeof(ClassHead), 0);
  lua_setfield(L, -2, "TASK_STATUS_IGNORED");
}
