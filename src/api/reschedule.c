// SPDX-License-Identifier: MIT
// reschedule.c: wait_task_rescheduled and reschedule, the raw way to wait
// (Trio: lowlevel). The one Op whose abort runs Lua: synchronously, under a
// protected call on the runner's state. An abort function that fails ends the
// run with a TrioInternalError.
#include "reschedule.h"

#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "../bind/explain.h"
#include "../bind/spawn.h"
#include "../core/cancel.h"
#include "api.h"

typedef struct AbortObject {
  ClassHead head;
  AbortResult result;
} AbortObject;

static const Class abort_class;

AbortResult reschedule_abort_nothing(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(self);
  UNUSED(code);
  return ABORT_DONE;
}

// The function `raise_cancel`: its upvalues are the error and whether that is a
// Ctrl+C, which is then dealt with.
static int raise_cancel(lua_State *L) {
  Runner *R = runner_maybe(L);
  if (lua_toboolean(L, lua_upvalueindex(2)) && R != NULL) {
    R->interrupted = false;
  }
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  return lua_error(L);
}

static void push_interruption(lua_State *L, const Task *t, int code) {
  if (code == WAKE_CANCELLED) {
    const CancelReason *r = t->cancel_reason;
    if (r == NULL) r = &cancel_reason_misnesting;
    error_push_cancelled(L, cancel_source_name(r->source), r->text, r->task);
  } else if (code == WAKE_DEADLOCK) {
    explain_push_deadlock(L);
  } else {
    error_push(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
  }
}

// Under a protected call: (task, code, abort_fn) -> whether it succeeded.
static int call_abort(lua_State *L) {
  Task *t = lua_touserdata(L, 1);
  int code = (int)lua_tointeger(L, 2);
  push_interruption(L, t, code);
  lua_pushboolean(L, code == WAKE_INTERRUPTED);
  lua_pushcclosure(L, raise_cancel, 2);
  lua_call(L, 1, 1);
  AbortObject *answer = class_test(L, -1, &abort_class);
  if (answer == NULL) {
    return luaL_error(L,
                      "the abort function must return "
                      "trio.lowlevel.Abort.SUCCEEDED or .FAILED, got %s",
                      luaL_typename(L, -1));
  }
  lua_pushboolean(L, answer->result == ABORT_DONE);
  return 1;
}

static int make_internal(lua_State *L) {
  error_push(L, ERROR_INTERNAL, "an abort function failed");
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "cause");
  return 1;
}

static AbortResult run_abort(Task *t, void *self, int code) {
  UNUSED(self);
  if (code == WAKE_DISCARDED) return ABORT_PENDING;
  Runner *R = runner_of_task(t);
  lua_State *L = R->L;
  lua_pushcfunction(L, call_abort);
  lua_pushlightuserdata(L, t);
  lua_pushinteger(L, code);
  lua_pushvalue(t->waiting, 1);
  lua_xmove(t->waiting, L, 1);
  if (lua_pcall(L, 3, 1, 0) != LUA_OK) {
    lua_pushcfunction(L, make_internal);
    lua_insert(L, -2);
    lua_pcall(L, 1, 1, 0);
    runner_crash(R);
    return ABORT_PENDING;
  }
  bool done = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return done ? ABORT_DONE : ABORT_PENDING;
}

static void start_nothing(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  UNUSED(t);
  UNUSED(self);
}

// trio.lowlevel.wait_task_rescheduled(abort_fn) -> the values given to
// reschedule. abort_fn(raise_cancel) must return Abort.SUCCEEDED or .FAILED;
// it is called at most once, when the wait is cancelled, outside of the task.
static int l_wait_task_rescheduled(lua_State *L) {
  static const Op op = {.name = "trio.lowlevel.wait_task_rescheduled",
                        .start = start_nothing,
                        .abort = run_abort};
  arg_callable(L, 1);
  lua_settop(L, 1);
  return await(L, &op, NULL);
}

// trio.lowlevel.reschedule(task [, true, values... | false, error]): let a
// task that waits in wait_task_rescheduled go on with that outcome. Exactly
// once per wait. Raises for a task that does not wait there.
static int l_reschedule(lua_State *L) {
  TaskObject *object = class_check(L, 1, &task_class);
  Task *t = &object->task;
  runner_require(L);
  if (t->state != TASK_PARKED ||
      (t->abort != run_abort && t->abort != reschedule_abort_nothing)) {
    return luaL_argerror(L, 1, "this task does not wait to be rescheduled");
  }
  int count = lua_gettop(L) - 2;
  bool ok = true;
  if (count >= 0) {
    luaL_checktype(L, 2, LUA_TBOOLEAN);
    ok = lua_toboolean(L, 2);
  } else {
    count = 0;
  }
  if (!ok) {
    lua_settop(L, 3);
    count = 1;
  }
  if (!lua_checkstack(t->waiting, count + 1)) {
    return luaL_error(L, "too many values");
  }
  lua_xmove(L, t->waiting, count);
  t->values = count;
  task_wake(t, ok ? WAKE_OK : WAKE_ERROR);
  return 0;
}

static int abort_tostring(lua_State *L) {
  const AbortObject *a = class_check(L, 1, &abort_class);
  lua_pushfstring(L, "trio.lowlevel.Abort.%s",
                  a->result == ABORT_DONE ? "SUCCEEDED" : "FAILED");
  return 1;
}

static const luaL_Reg abort_meta[] = {{"__tostring", abort_tostring},
                                      {NULL, NULL}};
static const Class abort_class = {"trio.lowlevel.Abort", NULL, NULL,
                                  abort_meta};

static void set_abort(lua_State *L, const char *name, AbortResult result) {
  AbortObject *a = class_new(L, &abort_class, sizeof(AbortObject), 0);
  a->result = result;
  lua_setfield(L, -2, name);
}

void reschedule_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"wait_task_rescheduled", l_wait_task_rescheduled},
      {"reschedule", l_reschedule},
      {NULL, NULL}};
  class_register(L, &abort_class);
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_createtable(L, 0, 2);
  set_abort(L, "SUCCEEDED", ABORT_DONE);
  set_abort(L, "FAILED", ABORT_PENDING);
  lua_setfield(L, -2, "Abort");
  lua_pop(L, 1);
}
