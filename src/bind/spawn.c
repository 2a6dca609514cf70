// SPDX-License-Identifier: MIT
// spawn.c: see spawn.h. The coroutine of a task starts in task_main, which
// keeps the body inside a protected call of that same coroutine: only so do
// pending <close> variables run, and may wait, when an error leaves the body.
#include "spawn.h"

#include <lauxlib.h>
#include <string.h>

#include "../base/mem.h"
#include "../core/cancel.h"
#include "error.h"
#include "explain.h"
#include "lost.h"
#include "naming.h"
#include "with.h"

static const char shelf_key = 0, outer_context_key = 0;

// What stands on the stack of R->shelf, where it is found several times faster
// than in the registry.
enum { ANCHORS_AT = 1, META_AT, GUARD_AT };

void spawn_begin(lua_State *L, Runner *R) {
  lua_State *shelf = lua_newthread(L);
  lua_newtable(L);
  class_push_meta(L, &task_class);
  lost_push_guard(L);
  lua_xmove(L, shelf, GUARD_AT);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &shelf_key);
  R->shelf = shelf;
}

void spawn_end(Runner *R) {
  R->shelf = NULL;
  lua_pushnil(R->L);
  lua_rawsetp(R->L, LUA_REGISTRYINDEX, &shelf_key);
}

static void push_from_shelf(lua_State *L, const Runner *R, int idx) {
  lua_pushvalue(R->shelf, idx);
  lua_xmove(R->shelf, L, 1);
}

static void push_held(lua_State *L, const Runner *R, int slot) {
  lua_rawgeti(R->shelf, ANCHORS_AT, slot);
  lua_xmove(R->shelf, L, 1);
}

int spawn_hold(lua_State *L, Runner *R, int idx) {
  idx = lua_absindex(L, idx);
  push_from_shelf(L, R, ANCHORS_AT);
  int slot = R->free_slot;
  int next = 0;
  if (slot != 0) {
    lua_rawgeti(L, -1, slot);
    next = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  } else {
    slot = R->slots + 1;
  }
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, slot);
  lua_pop(L, 1);
  R->free_slot = next;
  if (slot > R->slots) R->slots = slot;
  return slot;
}

void spawn_drop(Runner *R, int *slot) {
  if (*slot == 0) return;
  lua_pushinteger(R->shelf, R->free_slot);
  lua_rawseti(R->shelf, ANCHORS_AT, *slot);
  R->free_slot = *slot;
  *slot = 0;
}

void spawn_push_held(lua_State *L, int slot) {
  push_held(L, runner_maybe(L), slot);
}

// How many ended tasks are kept for reuse while the run idles; while it is busy
// as many as once lived. Starting on a coroutine that has finished is several
// times cheaper than making one.
enum { POOL_LIMIT = 1000 };

// Nobody may be able to tell: the program never got hold of the task or its
// coroutine (coroutine.running is ours only after trio.install), and the
// coroutine ended well, with no hook of its own.
static bool can_reuse(const Runner *R, const Task *t) {
  return R->state->installed && !t->exposed && !t->remembered && !t->failed &&
         !t->has_failure && !t->system && !t->pinned && R->pooled < R->peak &&
         R->instruments == NULL && lua_gethook(t->co) == lua_gethook(R->L);
}

// At the bottom of a coroutine's stack, below what it runs, is its task.
// Before it starts, the trampoline, its handler, the body and its arguments
// follow.
enum { TASK_AT = 1, FUNCTION_AT = 4 };

void spawn_empty(Task *t) {
  if (t->died) return;
  if (t->failed || t->pinned) {
    lua_remove(t->co, TASK_AT);
  } else {
    t->reusable = can_reuse(runner_of_task(t), t);
    lua_settop(t->co, t->reusable ? TASK_AT : 0);
  }
}

// Keep nothing of what it ran: its name is often the function itself.
static void clean(Task *t) {
  lua_pushnil(t->co);
  lua_setiuservalue(t->co, TASK_AT, TASK_NAME);
  if (!t->has_context) return;
  lua_pushnil(t->co);
  lua_setiuservalue(t->co, TASK_AT, TASK_CONTEXT);
}

void spawn_release(Task *t) {
  if (t->remembered) {
    t->parent_slot = 0;  // it outlives its nursery
    return;
  }
  Runner *R = runner_of_task(t);
  if (!t->reusable) {
    spawn_drop(R, &t->slot);
    return;
  }
  clean(t);
  queue_push_front(&R->pool, &t->run_item);
  R->pooled++;
}

void spawn_undo(Task *t) {
  Runner *R = runner_of_task(t);
  R->live--;
  heap_unreserve(&R->sched.timers);
  spawn_empty(t);
  spawn_release(t);
}

void spawn_trim_pool(Runner *R) {
  while (R->pooled > POOL_LIMIT) {
    R->pooled--;
    Task *t = CONTAINER_OF(queue_shift(&R->pool), Task, run_item);
    spawn_drop(R, &t->slot);
  }
}

void spawn_push_object(lua_State *L, Task *t) {
  push_held(L, runner_of_task(t), t->slot);
}

void task_push(lua_State *L, Task *t) {
  if (t == NULL) {
    lua_pushnil(L);
    return;
  }
  t->exposed = true;
  spawn_push_object(L, t);
  task_push_parent(L, -1);
  if (lua_isnil(L, -1)) task_note_parent(L, t);
  lua_pop(L, 1);
}

void task_note_parent(lua_State *L, Task *t) {
  spawn_push_object(L, t);
  int at = lua_gettop(L);
  bool has_extra = task_push_extra(L, at, false);
  push_held(L, runner_of_task(t), t->parent_slot);
  if (has_extra) {
    lua_rawseti(L, -2, EXTRA_PARENT);  // allocates nothing: there is room
  } else {
    lua_setiuservalue(L, at, TASK_EXTRA);
  }
  lua_settop(L, at - 1);
}

void task_push_parent(lua_State *L, int idx) {
  if (lua_getiuservalue(L, idx, TASK_EXTRA) != LUA_TTABLE) return;
  lua_rawgeti(L, -1, EXTRA_PARENT);
  lua_remove(L, -2);
}

bool task_push_extra(lua_State *L, int idx, bool create) {
  idx = lua_absindex(L, idx);
  if (lua_getiuservalue(L, idx, TASK_EXTRA) == LUA_TTABLE) return true;
  if (create) {
    lua_createtable(L, EXTRA_VALUES, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, EXTRA_PARENT);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, idx, TASK_EXTRA);
  } else {
    lua_pop(L, 1);
  }
  return create;
}

void spawn_anchor(lua_State *L, const void *key, int idx) {
  idx = lua_absindex(L, idx);
  push_from_shelf(L, runner_maybe(L), ANCHORS_AT);
  lua_pushvalue(L, idx);
  lua_rawsetp(L, -2, key);
  lua_pop(L, 1);
}

void spawn_push_anchored(lua_State *L, const void *key) {
  push_from_shelf(L, runner_maybe(L), ANCHORS_AT);
  lua_rawgetp(L, -1, key);
  lua_remove(L, -2);
}

Task *spawn_at(lua_State *L, int slot) {
  spawn_push_held(L, slot);
  TaskObject *object = class_test(L, -1, &task_class);
  lua_pop(L, 1);
  return object == NULL ? NULL : &object->task;
}

// Why the task ends badly although its body may not have failed: it left a
// nursery or a scope open in some coroutine. Pushes the error, or nothing. The
// body's own error stands on top if it failed.
static bool push_corruption(lua_State *L, Task *t, bool failed) {
  const char *what = NULL;
  if (!list_is_empty(&t->nurseries)) {
    what = "Nursery";
  } else if (t->cancel != t->base || (t->base != NULL && t->base->abandoned &&
                                      t->base->parent == NULL)) {
    what = "Cancel scope";
  }
  if (what == NULL) return false;
  if (failed) {
    explain_push_replaced(L);
  } else {
    lua_pushliteral(L, "");
  }
  task_push_repr(L, t);
  lua_pushfstring(L,
                  "%s stack corrupted: %s ended while a %s that it opened was "
                  "still open in a coroutine; leave scopes and nurseries in "
                  "the order in which they were entered%s",
                  what, lua_tostring(L, -1),
                  what[0] == 'N' ? "nursery" : "cancel scope",
                  lua_tostring(L, -2));
  return true;
}

// Prepare why the nursery of a failed task gets cancelled, while allocation
// is still allowed. The error stands on top.
static void explain_failure(lua_State *L, Task *t) {
  if (t->base == NULL || t->base->called) return;
  explain_push_brief(L, -1);
  lua_pushfstring(L, "child task raised %s", lua_tostring(L, -1));
  task_push_repr(L, t);
  CancelReason *r = cancel_reason_new(CANCEL_NURSERY, lua_tostring(L, -2),
                                      lua_tostring(L, -1));
  cancel_reason_set(&runner_of_task(t)->failure, r);
  cancel_reason_set(&r, NULL);
  lua_pop(L, 3);
}

// What stands below the body: the handler, which is the last, and the guard.
static int task_ended(lua_State *L, int status, lua_KContext below) {
  Task *t = runner_running->sched.current;
  bool ok = status == LUA_OK || status == LUA_YIELD;
  if (push_corruption(L, t, !ok)) ok = false;
  if (ok) return lua_gettop(L) - (int)below;
  explain_failure(L, t);
  t->failed = true;
  t->kept = error_is(L, -1, ERROR_CANCELLED) && runner_running->keep(L, t);
  return !t->kept;
}

// The bottom of every task's stack: the handler at 1, then body and arguments.
// Only Lua's own coroutine.running gives the program a task's coroutine that
// trio.coroutine.close does not know.
static int task_main(lua_State *L) {
  int below = 1;
  const Runner *R = runner_running;
  if (!R->state->installed) {
    push_from_shelf(L, R, GUARD_AT);
    lua_insert(L, 1);
    lua_toclose(L, 1);
    below = 2;
  }
  int status = lua_pcallk(L, lua_gettop(L) - below - 1, LUA_MULTRET, below,
                          below, task_ended);
  return task_ended(L, status, below);
}

void spawn_push_outer_context(lua_State *L, bool create) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &outer_context_key) == LUA_TTABLE ||
      !create) {
    return;
  }
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &outer_context_key);
}

void spawn_copy_table(lua_State *L) {
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, -3) != 0;) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}

// The root task copies the context around trio.run; a system task takes the
// root's, any other its spawner's.
static void inherit_context(lua_State *L, Task *child) {
  Runner *R = runner_of_task(child);
  if (R->root == NULL) {
    spawn_push_outer_context(L, false);
    child->has_context = lua_istable(L, -1);
    if (child->has_context) spawn_copy_table(L);
    lua_xmove(L, child->co, 1);
    lua_setiuservalue(child->co, TASK_AT, TASK_CONTEXT);
    return;
  }
  Task *parent = child->system ? R->root : R->sched.current;
  if (parent == NULL || !parent->has_context) return;
  spawn_push_object(L, parent);
  lua_getiuservalue(L, -1, TASK_CONTEXT);
  lua_xmove(L, child->co, 1);
  lua_setiuservalue(child->co, TASK_AT, TASK_CONTEXT);
  lua_pop(L, 1);
  parent->context_shared = true;
  child->has_context = child->context_shared = true;
}

// A schedule with a seed shuffles each batch in an array that fits every task.
static void reserve_shuffle(lua_State *L, Runner *R) {
  if (!R->shuffling || R->live < R->room) return;
  int room = R->room == 0 ? 64 : R->room * 2;
  Task **more = mem_realloc(R->shuffle, sizeof(Task *) * (size_t)room);
  if (more == NULL) luaL_error(L, "not enough memory");
  R->shuffle = more;
  R->room = room;
}

// A task that ended, as good as new.
static Task *take_pooled(Runner *R) {
  Task *t = CONTAINER_OF(queue_shift(&R->pool), Task, run_item);
  R->pooled--;
  lua_State *co = t->co;
  int slot = t->slot;
  mem_clear(t, sizeof(Task));
  task_init(t, &R->sched);
  t->slot = slot;
  t->co = co;
  return t;
}

static Task *make_task(lua_State *L, Runner *R) {
  push_from_shelf(L, R, META_AT);
  TaskObject *object = class_new_with(L, &task_class, sizeof(TaskObject),
                                      TASK_VALUES, lua_gettop(L));
  Task *t = &object->task;
  task_init(t, &R->sched);
  t->co = lua_newthread(L);
  lua_setiuservalue(L, -2, TASK_COROUTINE);
  t->slot = spawn_hold(L, R, -1);
  lua_xmove(L, t->co, 1);
  lua_pop(L, 1);
  return t;
}

Task *spawn_new(lua_State *L, Runner *R, int count, int name, bool system) {
  reserve_shuffle(L, R);
  if (name != 0 && lua_type(L, name) != LUA_TFUNCTION) {
    luaL_tolstring(L, name, NULL);
    lua_replace(L, name);
  }
  Task *t = R->pooled > 0 ? take_pooled(R) : make_task(L, R);
  lua_State *co = t->co;
  if (count > LUA_MINSTACK - 5 && !lua_checkstack(co, count + 4)) {
    spawn_release(t);
    luaL_error(L, "too many arguments");
  }
  if (!heap_reserve(&R->sched.timers)) {
    spawn_release(t);
    luaL_error(L, "not enough memory");
  }
  t->top = t->waiting = co;
  t->system = system;
  inherit_context(L, t);
  if (name != 0) {
    lua_pushvalue(L, name);
    lua_xmove(L, co, 1);
    lua_setiuservalue(co, TASK_AT, TASK_NAME);
  }
  lua_pushcfunction(co, task_main);
  lua_pushcfunction(co, with_handler);
  lua_xmove(L, co, count + 1);
  if (name == 0) {
    lua_pushvalue(co, FUNCTION_AT);
    lua_setiuservalue(co, TASK_AT, TASK_NAME);
  }
  t->values = count + 2;
  if (++R->live > R->peak) R->peak = R->live;
  return t;
}

void task_push_name(lua_State *L, Task *t) {
  spawn_push_object(L, t);
  lua_getiuservalue(L, -1, TASK_NAME);
  if (lua_type(L, -1) == LUA_TFUNCTION) {
    naming_push_function(L, -1);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -4, TASK_NAME);
    lua_remove(L, -2);
  }
  lua_remove(L, -2);
}

void task_push_repr(lua_State *L, Task *t) {
  task_push_name(L, t);
  lua_pushfstring(L, "<Task '%s' at %p>", lua_tostring(L, -1), (void *)t);
  lua_remove(L, -2);
}
