// SPDX-License-Identifier: MIT
// time.c: sleeping and the clock of the run (Trio: sleep, sleep_until,
// sleep_forever, current_time, current_effective_deadline).
#include <math.h>

#include "../bind/await.h"
#include "../bind/class.h"
#include "../core/cancel.h"
#include "api.h"
#include "clock.h"
#include "reschedule.h"

static void on_time(Timer *timer) {
  task_wake(CONTAINER_OF(timer, Task, timer), WAKE_OK);
}

// self is the frame's deadline, passed through the timer's own key.
static void start_sleep(lua_State *L, Task *t, void *self) {
  UNUSED(self);
  t->timer = (Timer){.fire = on_time};
  sched_set_timer(t->sched, &t->timer, lua_tonumber(L, 1));
}

static AbortResult stop_sleep(Task *t, void *self, int code) {
  UNUSED(self);
  UNUSED(code);
  sched_stop_timer(t->sched, &t->timer);
  return ABORT_DONE;
}

// Time is up; but where the scope around was cancelled in the same pass, that
// comes first (in Trio a sleep's end is a cancellation of a scope of its own).
static int finish_sleep(lua_State *L, Task *t, void *self, int code) {
  UNUSED(self);
  if (code == WAKE_OK && t->cancel->effective) {
    cancel_reason_set(&t->cancel_reason, t->cancel->reason);
    code = WAKE_CANCELLED;
  }
  if (code < 0) return await_raise(L, t, code);
  return 0;
}

static const Op sleep_op = {.name = "trio.sleep",
                            .start = start_sleep,
                            .abort = stop_sleep,
                            .finish = finish_sleep};

// trio.sleep(seconds): a checkpoint that takes that long; 0 is a plain
// checkpoint, math.huge sleeps until cancelled. Raises for negative, NaN.
static int l_sleep(lua_State *L) {
  double seconds = arg_number(L, 1);
  if (seconds < 0) return luaL_argerror(L, 1, "must not be negative");
  if (seconds == 0) return await_checkpoint(L, sleep_op.name);
  Task *t = await_check(L, sleep_op.name);
  lua_settop(L, 0);
  lua_pushnumber(L, sched_now(t->sched) + seconds);
  return await(L, &sleep_op, NULL);
}

// trio.sleep_until(deadline): a checkpoint that lasts until the run's clock
// shows `deadline`; one in the past does not block. Raises for NaN.
static int l_sleep_until(lua_State *L) {
  static const Op op = {.name = "trio.sleep_until",
                        .start = start_sleep,
                        .abort = stop_sleep,
                        .finish = finish_sleep};
  double deadline = arg_number(L, 1);
  lua_settop(L, 0);
  lua_pushnumber(L, deadline);
  return await(L, &op, NULL);
}

static void start_nothing(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  UNUSED(t);
  UNUSED(self);
}

static int finish_forever(lua_State *L, Task *t, void *self, int code) {
  UNUSED(self);
  if (code < 0) return await_raise(L, t, code);
  return luaL_error(L,
                    "trio.sleep_forever: somebody rescheduled a task that "
                    "sleeps forever");
}

// trio.sleep_forever(): sleeps until cancelled; never returns normally.
static int l_sleep_forever(lua_State *L) {
  static const Op op = {.name = "trio.sleep_forever",
                        .start = start_nothing,
                        .abort = reschedule_abort_nothing,
                        .finish = finish_forever};
  return await(L, &op, NULL);
}

// trio.current_time() -> seconds on the run's clock. Raises outside of a run.
static int l_current_time(lua_State *L) {
  clock_push_time(L, runner_require(L));
  return 1;
}

// trio.current_effective_deadline() -> the earliest deadline of the scopes
// around, up to the first shield; -inf if cancelled, inf if there is none.
static int l_current_effective_deadline(lua_State *L) {
  lua_pushnumber(L, cancel_effective_deadline(task_require(L)->cancel));
  return 1;
}

void time_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"sleep", l_sleep},
      {"sleep_until", l_sleep_until},
      {"sleep_forever", l_sleep_forever},
      {"current_time", l_current_time},
      {"current_effective_deadline", l_current_effective_deadline},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
