// SPDX-License-Identifier: MIT
// await.c: see await.h. Every lua_yieldk of a task is here.
#include "await.h"

#include <lauxlib.h>
#include <string.h>

#include "../core/cancel.h"
#include "error.h"
#include "explain.h"
#include "lost.h"
#include "spawn.h"

// Somebody resumed the coroutine L by hand while it waits for trio. Its frame
// is lost with the error that follows, so the wait must be undone first; the
// task finds the coroutine dead when its turn comes.
static COLD int resumed_by_hand(lua_State *L) {
  lost_undo(L);
  return luaL_error(L,
                    "a coroutine that waits for trio was resumed by somebody "
                    "else");
}

// The task whose wait in L is over.
static inline Task *current(lua_State *L) {
  Runner *R = runner_running;
  Task *t = R == NULL ? NULL : R->sched.current;
  if (t == NULL || t->waiting != L || t->state != TASK_RUNNING) {
    resumed_by_hand(L);
  }
  return t;
}

bool await_is_interrupted(const Task *t) {
  if (t->cancel->effective) return true;
  const Runner *R = runner_of_task(t);
  return R->interrupted && t == R->main;
}

Task *await_check(lua_State *L, const char *name) {
  Task *t = task_of(L);
  if (t == NULL || !lua_isyieldable(L)) explain_no_wait(L, name);
  return t;
}

// Suspend. What runs next is the continuation, when the task is resumed.
static inline int suspend(lua_State *L, Task *t, lua_KContext context,
                          lua_KFunction k) {
  t->waiting = L;
  t->schedule_points++;
  return lua_yieldk(L, 0, context, k);
}

int await_hop(lua_State *L, Task *t, lua_KContext context, lua_KFunction k) {
  t->hopping = true;
  t->waiting = L;
  t->values = 0;
  return lua_yieldk(L, 0, context, k);
}

static int return_top(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  current(L);
  return (int)context;
}

static inline int turn(lua_State *L, Task *t, lua_KContext context,
                       lua_KFunction k) {
  t->values = 0;
  task_ready(t);
  return suspend(L, t, context, k);
}

int await_turn_then(lua_State *L, Task *t, lua_KContext context,
                    lua_KFunction k) {
  return turn(L, t, context, k);
}

int await_turn(lua_State *L, Task *t, int results) {
  return turn(L, t, results, return_top);
}

// Mostly many are raised for one reason: R->raised is the latest, and the shape
// of its errors is kept.
static int raise_cancelled(lua_State *L, const Task *t) {
  static const char shape_key;
  Runner *R = runner_of_task(t);
  CancelReason *r = t->cancel_reason;
  if (r == NULL) r = &cancel_reason_misnesting;
  lua_createtable(L, 0, 0);
  if (r == R->raised) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &shape_key);
  } else {
    error_push_cancelled(L, cancel_source_name(r->source), r->text, r->task);
    error_make_shape(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &shape_key);
    cancel_reason_set(&R->raised, r);
  }
  lua_setmetatable(L, -2);
  return lua_error(L);
}

int await_raise(lua_State *L, Task *t, int code) {
  switch (code) {
    case WAKE_CANCELLED:
      return raise_cancelled(L, t);
    case WAKE_INTERRUPTED:
      runner_of_task(t)->interrupted = false;
      return error_raise(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
    case WAKE_DEADLOCK:
      explain_push_deadlock(L);
      return lua_error(L);
    case WAKE_BROKEN:
      return error_raise(L, ERROR_BROKEN_RESOURCE,
                         "the resource broke while waiting for it");
    case WAKE_CLOSED:
      return error_raise(L, ERROR_CLOSED_RESOURCE,
                         "the resource was closed while waiting for it");
    case WAKE_ERROR:
      return lua_error(L);
    default:
      return luaL_error(L, "%s failed with code %d", t->waits_in, code);
  }
}

static AbortResult leave_lot(Task *t, void *self, int code) {
  UNUSED(self);
  UNUSED(code);
  lot_remove(t);
  return ABORT_DONE;
}

static AbortResult nothing_to_undo(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(self);
  UNUSED(code);
  return ABORT_DONE;
}

// A task's own coroutine that the program has seen can be closed by it, as one
// of the program's own (coro.c).
static COLD void guard(lua_State *L, const Task *t) {
  if (L == t->co) lost_guard(L);
}

static COLD void unguard(lua_State *L, const Task *t) {
  if (L == t->co) lost_unguard(L, L, runner_of_task(t)->L, t->values);
}

static int woken(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  const Op *op = (const Op *)context;
  Task *t = current(L);
  if (t->seen) unguard(L, t);
  if (op->then != NULL && t->wake_code >= 0) return op->then(L, t, t->self);
  if (op->finish != NULL) return op->finish(L, t, t->self, t->wake_code);
  if (t->wake_code < 0) return await_raise(L, t, t->wake_code);
  return t->values;
}

static void deliver_pending(Task *t) {
  Runner *R = runner_of_task(t);
  if (R->interrupted && t == R->main) task_abort(t, WAKE_INTERRUPTED);
  if (t->cancel->effective) task_abort(t, WAKE_CANCELLED);
}

static int park(lua_State *L, Task *t, const Op *op, void *self) {
  if (op->start != NULL) {
    op->start(L, t, self);
  } else {
    lot_park((Lot *)(void *)((char *)self + op->lot), t);
  }
  if (t->seen) guard(L, t);
  task_park(t, op->abort != NULL ? op->abort : leave_lot, self, op->name);
  deliver_pending(t);
  return suspend(L, t, (lua_KContext)op, woken);
}

static int go_then(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  Task *t = current(L);
  return ((const Op *)context)->then(L, t, t->self);
}

static int try_op(lua_State *L, Task *t, const Op *op, void *self) {
  int results = WOULD_BLOCK;
  if (op->attempt != NULL) results = op->attempt(L, t, self);
  if (results == WOULD_BLOCK) return park(L, t, op, self);
  if (op->then == NULL) return await_turn(L, t, results);
  t->self = self;
  return turn(L, t, (lua_KContext)op, go_then);
}

static int raise_woken(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  UNUSED(context);
  Task *t = current(L);
  return t->wake_code < 0 ? await_raise(L, t, t->wake_code) : 0;
}

// The same at a plain checkpoint, which has nothing else to do: a shield that
// was set since the delivery withdraws it.
static int raise_if_due(lua_State *L, int status, lua_KContext context) {
  Task *t = current(L);
  if (t->wake_code == WAKE_CANCELLED && !t->cancel->effective) return 0;
  return raise_woken(L, status, context);
}

static int deliver_now(lua_State *L, Task *t, const char *name,
                       lua_KFunction k) {
  task_park(t, nothing_to_undo, NULL, name);
  deliver_pending(t);
  return suspend(L, t, 0, k);
}

// The turn before a delivery is over; meanwhile the cancellation may have been
// withdrawn (by a shield), and then the operation goes on.
static int retry_op(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  const Op *op = (const Op *)context;
  Task *t = current(L);
  void *self = t->self;
  if (await_is_interrupted(t)) return deliver_now(L, t, op->name, raise_woken);
  return try_op(L, t, op, self);
}

int await(lua_State *L, const Op *op, void *self) {
  Task *t = await_check(L, op->name);
  t->cancel_points++;
  if (op->attempt != NULL && await_is_interrupted(t)) {
    t->self = self;
    return turn(L, t, (lua_KContext)op, retry_op);
  }
  return try_op(L, t, op, self);
}

static int after_turn(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  Task *t = current(L);
  if (!await_is_interrupted(t)) return 0;
  return deliver_now(L, t, (const char *)context, raise_if_due);
}

int await_checkpoint(lua_State *L, const char *name) {
  Task *t = await_check(L, name);
  t->cancel_points++;
  return turn(L, t, (lua_KContext)name, after_turn);
}
