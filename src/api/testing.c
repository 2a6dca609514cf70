// SPDX-License-Identifier: MIT
// testing.c: the parts of trio.testing that need the scheduler.
#include <math.h>

#include "../base/mem.h"
#include "../bind/alarm.h"
#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/with.h"
#include "api.h"
#include "leftover.h"

// Sorted by cushion; equal ones in order of arrival.
static void start_idling(lua_State *L, Task *t, void *self) {
  UNUSED(self);
  t->cushion = lua_tonumber(L, 1);
  List *idlers = &t->sched->idlers;
  Link *place = &idlers->head;
  for (Link *l = list_first(idlers); l != NULL; l = list_next(idlers, l)) {
    if (CONTAINER_OF(l, Task, wait_link)->cushion > t->cushion) {
      place = l;
      break;
    }
  }
  list_insert_before(place, &t->wait_link);
}

static AbortResult stop_idling(Task *t, void *self, int code) {
  UNUSED(self);
  UNUSED(code);
  list_remove(&t->wait_link);
  return ABORT_DONE;
}

// trio.testing.wait_all_tasks_blocked([cushion=0]): wait until no other task
// has been runnable for `cushion` real seconds.
static int l_wait_all_tasks_blocked(lua_State *L) {
  static const Op op = {.name = "trio.testing.wait_all_tasks_blocked",
                        .start = start_idling,
                        .abort = stop_idling};
  double cushion = lua_isnoneornil(L, 1) ? 0 : arg_number(L, 1);
  if (cushion < 0) return luaL_argerror(L, 1, "must not be negative");
  lua_settop(L, 0);
  lua_pushnumber(L, cushion);
  return await(L, &op, NULL);
}

static void set_count(lua_State *L, const char *name, size_t count) {
  lua_pushinteger(L, (lua_Integer)count);
  lua_setfield(L, -2, name);
}

// trio.testing._counters() -> what is alive now: tasks, timers, C blocks.
static int l_counters(lua_State *L) {
  const Runner *R = runner_maybe(L);
  lua_createtable(L, 0, 3);
  set_count(L, "tasks", R == NULL ? 0 : (size_t)R->live);
  set_count(L, "timers", R == NULL ? 0 : R->sched.timers.count);
  set_count(L, "blocks", mem_live_blocks() - (size_t)state_of(L)->kept);
  return 1;
}

// trio.testing._points() -> how many schedule points and cancel points the
// current task has passed.
static int l_points(lua_State *L) {
  const Task *t = task_require(L);
  lua_pushinteger(L, t->schedule_points);
  lua_pushinteger(L, t->cancel_points);
  return 2;
}

#ifdef TRIO_TEST
// The state's own allocator, and how often it may still be asked for more.
static lua_Alloc real_allocator;
static void *real_data;
static long allowance = -1;

static void *limited(void *data, void *block, size_t old, size_t size) {
  bool grows = size > 0 && (block == NULL || size > old);
  if (grows && allowance >= 0 && allowance-- == 0) {
    allowance = 0;
    return NULL;
  }
  return real_allocator(data, block, old, size);
}

// trio.testing._with_budget(kind, n, fn, ...) -> as pcall(fn, ...): only the
// first n allocations of that kind ("lua" or "c") succeed meanwhile.
static int l_with_budget(lua_State *L) {
  static const char *const kinds[] = {"lua", "c", NULL};
  int kind = luaL_checkoption(L, 1, NULL, kinds);
  long budget = (long)luaL_checkinteger(L, 2);
  if (real_allocator == NULL) {
    real_allocator = lua_getallocf(L, &real_data);
    lua_setallocf(L, limited, real_data);
  }
  luaL_checkstack(L, 10, NULL);
  if (kind == 0) allowance = budget;
  if (kind == 1) mem_set_budget(budget);
  int status = lua_pcall(L, lua_gettop(L) - 3, LUA_MULTRET, 0);
  allowance = -1;
  mem_set_budget(-1);
  lua_pushboolean(L, status == LUA_OK);
  lua_replace(L, 2);
  return lua_gettop(L) - 1;
}
#endif

// trio.testing._traceback(error) -> where the error that just came out of a
// scope or nursery of this task was raised, or nil.
static int l_traceback(lua_State *L) {
  lua_settop(L, 1);
  with_push_traceback(L, task_require(L), 1);
  return 1;
}

void testing_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"wait_all_tasks_blocked", l_wait_all_tasks_blocked},
      {"_counters", l_counters},
      {"_points", l_points},
      {"_traceback", l_traceback},
#ifdef TRIO_TEST
      {"_with_budget", l_with_budget},
#endif
      {NULL, NULL}};
  lua_getfield(L, -1, "testing");
  luaL_setfuncs(L, functions, 0);
  alarm_open(L);
  leftover_open(L);
  lua_pop(L, 1);
}
