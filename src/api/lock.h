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

// The methods, for Condition to call with its lock at index 1.
int lock_acquire(lua_State *L);
int lock_acquire_nowait(lua_State *L);
int lock_release_method(lua_State *L);
int lock_locked(lua_State *L);

#endif
