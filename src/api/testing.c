// SPDX-License-Identifier: MIT
// testing.c: the parts of trio.testing that need the scheduler.
#include <math.h>

#include "../base/mem.h"
#include "../bind/await.h"
#include "../bind/class.h"
#include "api.h"

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

// trio.testing._set_budget(n): let the next n C allocations succeed and later
// ones fail; negative: no limit.
static int l_set_budget(lua_State *L) {
  mem_set_budget((long)luaL_checkinteger(L, 1));
  return 0;
}

void testing_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"wait_all_tasks_blocked", l_wait_all_tasks_blocked},
      {"_counters", l_counters},
      {"_points", l_points},
      {"_set_budget", l_set_budget},
      {NULL, NULL}};
  lua_getfield(L, -1, "testing");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
