// SPDX-License-Identifier: MIT
// condition.c: trio.Condition: wait for news under a lock (Trio: Condition).
// notify moves waiters from the condition's queue to the lock's; they go on
// when the lock reaches them. A wait that is cancelled takes the lock back
// first, whatever that costs.
#include "../bind/error.h"
#include "api.h"
#include "guard.h"
#include "lock.h"

typedef struct Condition {
  ClassHead head;
  Lot lot;
  Lock *lock;  // user value CONDITION_LOCK
} Condition;

enum { CONDITION_LOCK = 1, CONDITION_VALUES = 1 };

static const Class condition_class;

static Condition *self(lua_State *L) {
  return class_check(L, 1, &condition_class);
}

// condition:acquire(), acquire_nowait(), release(), locked(): the lock's own.
static int l_acquire(lua_State *L) {
  static const Op op = {.name = "Condition:acquire",
                        .attempt = lock_attempt,
                        .start = lock_start,
                        .finish = lock_finish};
  return await(L, &op, self(L)->lock);
}

static int l_acquire_nowait(lua_State *L) {
  return lock_acquire_now(L, self(L)->lock);
}

static int l_release(lua_State *L) {
  return lock_release_own(L, self(L)->lock);
}

static int l_locked(lua_State *L) {
  lua_pushboolean(L, self(L)->lock->owner != NULL);
  return 1;
}

static void check_owner(lua_State *L, const Condition *c) {
  if (!lock_is_owned_by(c->lock, task_require(L))) {
    luaL_error(L, "the task must hold the condition's lock");
  }
}

static void let_go(lua_State *L, Task *t, void *object) {
  UNUSED(L);
  Condition *c = object;
  lock_release(c->lock);
  lot_park(&c->lot, t);
}

static AbortResult never(Task *t, void *object, int code) {
  UNUSED(object);
  if (code == WAKE_DISCARDED) {
    lot_remove(t);
    return ABORT_DONE;
  }
  return ABORT_PENDING;
}

// The lock is back: now raise what ended the wait; its code stands at 2.
static int raise_late(lua_State *L, Task *t, void *object, int code) {
  if (code == WAKE_BROKEN) {
    return lock_raise_broken(L, ((Condition *)object)->lock);
  }
  return await_raise(L, t, (int)lua_tointeger(L, 2));
}

static int raise_after_turn(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  UNUSED(context);
  return raise_late(L, task_require(L), lua_touserdata(L, 1), WAKE_OK);
}

static void queue_for_lock(lua_State *L, Task *t, void *object) {
  Lock *lock = ((Condition *)object)->lock;
  if (lock->lot.broken) lock_raise_broken(L, lock);
  lot_park(&lock->lot, t);
}

static int finish_wait(lua_State *L, Task *t, void *object, int code) {
  static const Op op = {.name = "Condition:wait",
                        .start = queue_for_lock,
                        .abort = never,
                        .finish = raise_late};
  Condition *c = object;
  if (code == WAKE_BROKEN) return lock_raise_broken(L, c->lock);
  if (code >= 0) return 0;
  lua_settop(L, 1);
  lua_pushinteger(L, code);
  if (c->lock->owner != NULL) return await(L, &op, c);
  lock_give(c->lock, t);
  return await_turn_then(L, t, 0, raise_after_turn);
}

// condition:wait(): release the lock, wait to be notified, take the lock back.
// Raises when the task does not hold the lock.
static int l_wait(lua_State *L) {
  static const Op op = {
      .name = "Condition:wait", .start = let_go, .finish = finish_wait};
  Condition *c = self(L);
  lua_settop(L, 1);
  check_owner(L, c);
  return await(L, &op, c);
}

// condition:notify([n=1]): let the n longest waiters go on, one after another
// as the lock gets free. Raises when the task does not hold the lock.
static int l_notify(lua_State *L) {
  Condition *c = self(L);
  lua_Integer n = luaL_optinteger(L, 2, 1);
  if (n < 0) return luaL_argerror(L, 2, "must not be negative");
  check_owner(L, c);
  int count = n < c->lot.count ? (int)n : c->lot.count;
  lot_repark(&c->lot, &c->lock->lot, count);
  return 0;
}

// condition:notify_all(): notify everybody who waits.
static int l_notify_all(lua_State *L) {
  Condition *c = self(L);
  check_owner(L, c);
  lot_repark(&c->lot, &c->lock->lot, c->lot.count);
  return 0;
}

// condition:with(body) -> the body's results, with the lock held meanwhile.
static int l_with(lua_State *L) {
  static const Op op = {.name = "Condition:with",
                        .attempt = lock_attempt,
                        .start = lock_start,
                        .finish = lock_finish,
                        .then = guard_then};
  const Condition *c = self(L);
  guard_check(L);
  return await(L, &op, c->lock);
}

// condition:statistics() -> {tasks_waiting, lock_statistics}.
static int l_statistics(lua_State *L) {
  const Condition *c = self(L);
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, c->lot.count);
  lua_setfield(L, -2, "tasks_waiting");
  lock_push_statistics(L, c->lock);
  lua_setfield(L, -2, "lock_statistics");
  return 1;
}

static int condition_tostring(lua_State *L) {
  const Condition *c = self(L);
  lua_pushfstring(L, "<trio.Condition %p %s, %d waiting>", (const void *)c,
                  c->lock->owner != NULL ? "locked" : "unlocked", c->lot.count);
  return 1;
}

static const luaL_Reg condition_methods[] = {
    {"acquire", l_acquire},
    {"acquire_nowait", l_acquire_nowait},
    {"release", l_release},
    {"locked", l_locked},
    {"with", l_with},
    {"wait", l_wait},
    {"notify", l_notify},
    {"notify_all", l_notify_all},
    {"statistics", l_statistics},
    {NULL, NULL}};
static const luaL_Reg condition_meta[] = {{"__tostring", condition_tostring},
                                          {NULL, NULL}};
static const Class condition_class = {"trio.Condition", condition_methods, NULL,
                                      condition_meta};

// trio.Condition([lock]): the lock must be a trio.Lock; a new one by default.
static int l_condition(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    Lock *lock = class_new(L, &lock_class, sizeof(Lock), 0);
    lot_init(&lock->lot);
  } else {
    class_check(L, 1, &lock_class);
    lua_settop(L, 1);
  }
  Condition *c =
      class_new(L, &condition_class, sizeof(Condition), CONDITION_VALUES);
  lot_init(&c->lot);
  c->lock = lua_touserdata(L, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, CONDITION_LOCK);
  return 1;
}

void condition_open(lua_State *L) {
  class_register(L, &condition_class);
  lua_pushcfunction(L, l_condition);
  lua_setfield(L, -2, "Condition");
}
