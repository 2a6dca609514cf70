// SPDX-License-Identifier: MIT
// lowlevel.c: checkpoints, system tasks and statistics of trio.lowlevel.
#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/explain.h"
#include "../bind/spawn.h"
#include "api.h"
#include "nursery.h"
#include "token.h"

// trio.lowlevel.checkpoint(): a schedule point, then a cancel point.
static int l_checkpoint(lua_State *L) {
  return await_checkpoint(L, "trio.lowlevel.checkpoint");
}

// trio.lowlevel.checkpoint_if_cancelled(): suspends only where there is
// something to raise.
static int l_checkpoint_if_cancelled(lua_State *L) {
  static const char name[] = "trio.lowlevel.checkpoint_if_cancelled";
  Task *t = await_check(L, name);
  if (await_is_interrupted(t)) return await_checkpoint(L, name);
  t->cancel_points++;
  return 0;
}

// trio.lowlevel.cancel_shielded_checkpoint(): a schedule point only.
static int l_cancel_shielded_checkpoint(lua_State *L) {
  Task *t = await_check(L, "trio.lowlevel.cancel_shielded_checkpoint");
  return await_turn(L, t, 0);
}

// trio.lowlevel.in_trio_run() -> is a run active in this state?
static int l_in_trio_run(lua_State *L) {
  lua_pushboolean(L, runner_maybe(L) != NULL);
  return 1;
}

// trio.lowlevel.in_trio_task() -> is this code run by a task?
static int l_in_trio_task(lua_State *L) {
  lua_pushboolean(L, task_maybe(L) != NULL);
  return 1;
}

// trio._no_wait(name) -> why the function of that name can't wait here, nothing
// if it can. For the library's own Lua files.
static int l_no_wait(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (task_of(L) != NULL && lua_isyieldable(L)) return 0;
  explain_push_no_wait(L, name);
  return 1;
}

// trio.lowlevel.spawn_system_task([opts,] fn, ...) -> the task. It belongs to
// the run, is cancelled when main has ended, and crashes the run if it raises.
// Option name.
static int l_spawn_system_task(lua_State *L) {
  static const char *const known[] = {"name", NULL};
  int function = nursery_function(L, 1, known);
  Runner *R = runner_require(L);
  Nursery *n = R->system_nursery;
  if (n == NULL) return luaL_error(L, "the run has not started yet");
  nursery_check_open(L, n);
  int name = 0;
  if (function == 2 && lua_getfield(L, 1, "name") != LUA_TNIL) {
    lua_replace(L, 1);
    name = 1;
  } else if (function == 2) {
    lua_pop(L, 1);
  }
  Task *t = nursery_spawn(L, n, lua_gettop(L) - function, name, true);
  task_push(L, t);
  return 1;
}

static void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

// trio.lowlevel.current_statistics() -> a table with tasks_living,
// tasks_runnable, seconds_to_next_deadline, io_statistics,
// run_sync_soon_queue_size.
static int l_current_statistics(lua_State *L) {
  Runner *R = runner_require(L);
  double next = sched_next_deadline(&R->sched);
  lua_createtable(L, 0, 5);
  set_integer(L, "tasks_living", R->live);
  set_integer(L, "tasks_runnable", (lua_Integer)R->sched.ready_count);
  set_number(L, "seconds_to_next_deadline",
             next == INFINITY ? next : next - sched_now(&R->sched));
  set_integer(L, "run_sync_soon_queue_size", token_size(R));
  lua_createtable(L, 0, 4);
  lua_pushliteral(L, "libuv");
  lua_setfield(L, -2, "backend");
  set_integer(L, "handles_open",
              poll_count_handles(R->state->poll) - R->state->resting);
  // The loop itself always reads what wakes it up.
  set_integer(L, "tasks_waiting_read", R->state->waiting_fds[0] + 1);
  set_integer(L, "tasks_waiting_write", R->state->waiting_fds[1]);
  lua_setfield(L, -2, "io_statistics");
  return 1;
}

void lowlevel_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"checkpoint", l_checkpoint},
      {"checkpoint_if_cancelled", l_checkpoint_if_cancelled},
      {"cancel_shielded_checkpoint", l_cancel_shielded_checkpoint},
      {"in_trio_run", l_in_trio_run},
      {"in_trio_task", l_in_trio_task},
      {"spawn_system_task", l_spawn_system_task},
      {"current_statistics", l_current_statistics},
      {NULL, NULL}};
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
  lua_pushcfunction(L, l_no_wait);
  lua_setfield(L, -2, "_no_wait");
}
