// SPDX-License-Identifier: MIT
// lock.h: the Lock, for Condition.
#ifndef TRIO_API_LOCK_H
#define TRIO_API_LOCK_H

#include "../bind/await.h"
#include "../bind/class.h"

typedef struct Lock {
  ClassHead head;
  Lot lot;             // breaks when the owner ends without releasing
  Task *owner;         // NULL: free
  LotBreaker breaker;  // registered for the owner
  uint64_t serial;     // of the run that the owner belongs to
} Lock;

extern const Class lock_class, strict_lock_class;

// The Lock or StrictFIFOLock at idx, or an argument error.
Lock *lock_check(lua_State *L, int idx);
// Is the task its owner?
bool lock_is_owned_by(const Lock *lock, const Task *t);
// Make the task, which waited in the lot or found the lock free, the owner.
void lock_give(Lock *lock, Task *t);
// The owner lets go: hand over to the longest waiter, if there is one.
void lock_release(Lock *lock);
// Raise BrokenResourceError because the owner has ended. [v]
int lock_raise_broken(lua_State *L, const Lock *lock);
// Push {locked, owner, tasks_waiting}. [m]
void lock_push_statistics(lua_State *L, const Lock *lock);

// The parts of an Op that acquires the Lock given to await.
int lock_attempt(lua_State *L, Task *t, void *object);
void lock_start(lua_State *L, Task *t, void *object);
int lock_finish(lua_State *L, Task *t, void *object, int code);

// What the methods acquire_nowait and release do. [v]
int lock_acquire_now(lua_State *L, Lock *lock);
int lock_release_own(lua_State *L, Lock *lock);

#endif
