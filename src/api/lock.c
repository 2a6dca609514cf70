// SPDX-License-Identifier: MIT
// lock.c: trio.Lock and trio.StrictFIFOLock: a mutex owned by a task (Trio:
// Lock). Release hands it straight to the longest waiter, before that runs, so
// a hand-over can't be lost to a cancellation.
#include "lock.h"

#include "../bind/error.h"
#include "../bind/spawn.h"
#include "api.h"
#include "guard.h"

Lock *lock_check(lua_State *L, int idx) {
  Lock *lock = class_test(L, idx, &lock_class);
  if (lock == NULL) lock = class_test(L, idx, &strict_lock_class);
  return lock != NULL ? lock : class_check(L, idx, &lock_class);
}

bool lock_is_owned_by(const Lock *lock, const Task *t) {
  return lock->owner == t && !lock->lot.broken;
}

void lock_give(Lock *lock, Task *t) {
  lock->owner = t;
  lock->serial = runner_of_task(t)->serial;
  lot_add_breaker(&lock->lot, &lock->breaker, t);
}

void lock_release(Lock *lock) {
  lot_remove_breaker(&lock->breaker);
  lock->owner = NULL;
  Task *next = lot_unpark(&lock->lot, WAKE_OK);
  if (next != NULL) lock_give(lock, next);
}

static void push_owner(lua_State *L, const Lock *lock) {
  Runner *R = runner_maybe(L);
  if (lock->owner == NULL || R == NULL || R->serial != lock->serial) {
    lua_pushnil(L);
  } else {
    task_push(L, lock->owner);
  }
}

int lock_raise_broken(lua_State *L, const Lock *lock) {
  push_owner(L, lock);
  if (lua_isnil(L, -1)) {
    return error_raise(L, ERROR_BROKEN_RESOURCE,
                       "the owner of this lock ended with its run, without "
                       "releasing it");
  }
  return error_raise(L, ERROR_BROKEN_RESOURCE,
                     "the owner of this lock ended without releasing it: %s",
                     luaL_tolstring(L, -1, NULL));
}

int lock_attempt(lua_State *L, Task *t, void *object) {
  Lock *lock = object;
  if (lock_is_owned_by(lock, t)) {
    return luaL_error(L, "the task already holds this lock");
  }
  if (lock->owner != NULL) return WOULD_BLOCK;
  lock_give(lock, t);
  return 0;
}

void lock_start(lua_State *L, Task *t, void *object) {
  Lock *lock = object;
  if (lock->lot.broken) lock_raise_broken(L, lock);
  lot_park(&lock->lot, t);
}

int lock_finish(lua_State *L, Task *t, void *object, int code) {
  if (code == WAKE_BROKEN) return lock_raise_broken(L, object);
  if (code < 0) return await_raise(L, t, code);
  return 0;
}

// lock:acquire(): wait until the task owns the lock. Raises when it owns it
// already, and BrokenResourceError when the owner ended without releasing.
static int l_acquire(lua_State *L) {
  static const Op op = {.name = "Lock:acquire",
                        .attempt = lock_attempt,
                        .start = lock_start,
                        .finish = lock_finish};
  return await(L, &op, lock_check(L, 1));
}

int lock_acquire_now(lua_State *L, Lock *lock) {
  if (lock_attempt(L, task_require(L), lock) == WOULD_BLOCK) {
    return error_raise(L, ERROR_WOULD_BLOCK, "the lock is held");
  }
  return 0;
}

int lock_release_own(lua_State *L, Lock *lock) {
  if (!lock_is_owned_by(lock, task_require(L))) {
    return luaL_error(L, "only the task that holds a lock can release it");
  }
  lock_release(lock);
  return 0;
}

// lock:acquire_nowait(): own the lock now. Raises WouldBlock when it is held.
static int l_acquire_nowait(lua_State *L) {
  return lock_acquire_now(L, lock_check(L, 1));
}

// lock:release(). Raises when the task does not own the lock.
static int l_release(lua_State *L) {
  return lock_release_own(L, lock_check(L, 1));
}

// lock:locked() -> boolean.
static int l_locked(lua_State *L) {
  lua_pushboolean(L, lock_check(L, 1)->owner != NULL);
  return 1;
}

// lock:with(body) -> the body's results, with the lock held meanwhile.
static int l_with(lua_State *L) {
  static const Op op = {.name = "Lock:with",
                        .attempt = lock_attempt,
                        .start = lock_start,
                        .finish = lock_finish,
                        .then = guard_then};
  Lock *lock = lock_check(L, 1);
  guard_check(L);
  return await(L, &op, lock);
}

void lock_push_statistics(lua_State *L, const Lock *lock) {
  lua_createtable(L, 0, 3);
  lua_pushboolean(L, lock->owner != NULL);
  lua_setfield(L, -2, "locked");
  push_owner(L, lock);
  lua_setfield(L, -2, "owner");
  lua_pushinteger(L, lock->lot.count);
  lua_setfield(L, -2, "tasks_waiting");
}

// lock:statistics() -> {locked, owner, tasks_waiting}.
static int l_statistics(lua_State *L) {
  lock_push_statistics(L, lock_check(L, 1));
  return 1;
}

static int lock_gc(lua_State *L) {
  lot_deinit(&lock_check(L, 1)->lot);
  return 0;
}

static int lock_tostring(lua_State *L) {
  const Lock *lock = lock_check(L, 1);
  lua_pushfstring(L, "<%s %p %s, %d waiting>", lock->head.class_of->name,
                  (const void *)lock,
                  lock->lot.broken      ? "broken"
                  : lock->owner != NULL ? "locked"
                                        : "unlocked",
                  lock->lot.count);
  return 1;
}

static const luaL_Reg lock_methods[] = {{"acquire", l_acquire},
                                        {"acquire_nowait", l_acquire_nowait},
                                        {"release", l_release},
                                        {"locked", l_locked},
                                        {"with", l_with},
                                        {"statistics", l_statistics},
                                        {NULL, NULL}};
static const luaL_Reg lock_meta[] = {
    {"__gc", lock_gc}, {"__tostring", lock_tostring}, {NULL, NULL}};
const Class lock_class = {"trio.Lock", lock_methods, NULL, lock_meta};
const Class strict_lock_class = {"trio.StrictFIFOLock", lock_methods, NULL,
                                 lock_meta};

static int new_lock(lua_State *L, const Class *c) {
  Lock *lock = class_new(L, c, sizeof(Lock), 0);
  lot_init(&lock->lot);
  return 1;
}

// trio.Lock() -> a free lock.
static int l_lock(lua_State *L) { return new_lock(L, &lock_class); }

// trio.StrictFIFOLock() -> the same; its order is a promise.
static int l_strict(lua_State *L) { return new_lock(L, &strict_lock_class); }

void lock_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"Lock", l_lock}, {"StrictFIFOLock", l_strict}, {NULL, NULL}};
  class_register(L, &lock_class);
  class_register(L, &strict_lock_class);
  luaL_setfuncs(L, functions, 0);
}
