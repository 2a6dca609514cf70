// SPDX-License-Identifier: MIT
// task.h: the Task, its state machine and its one park slot. Read this first.
//
//         spawn                 picked from batch         body has ended
//   NEW ---------> READY ---------------------> RUNNING ---------------> DONE
//                    ^                             |
//                    | task_wake                   | task_park
//                    +----------- PARKED <---------+
//                       (abort tried at most once per park)
//
// Invariants:
//  I1 task_wake is legal only in PARKED, exactly once per park; it asserts.
//  I2 an abort is tried only in PARKED, and once per park.
//  I3 a parked task stands in at most one wait list, by its wait_link.
//  I4 tasks run in batches; what becomes ready during a batch runs in the next.
//  I5 between two resumes the scheduler allocates nothing: every list is
//     intrusive, the heap has a place for each timer, and the result of a task
//     that ended stays on the stack of its own coroutine until its nursery
//     collects it.
//  I6 a task's body runs inside a protected call in its own coroutine.
//  I7 the coroutine that may wait for a task is task->top: task->co, or one
//     that the program made and whose resumers are all known (bind/coro.c).
// Nothing here may raise, yield, allocate or know Lua.
#ifndef TRIO_CORE_TASK_H
#define TRIO_CORE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/list.h"
#include "sched.h"

struct lua_State;
typedef struct Task Task;

typedef enum TaskState {
  TASK_NEW,
  TASK_READY,
  TASK_RUNNING,
  TASK_PARKED,
  TASK_DONE
} TaskState;

// How a parked task was woken. Ops may pass codes of their own: positive ones
// mean success, others below WAKE_FIRST_FREE are errno-like failures.
enum {
  WAKE_OK = 0,
  WAKE_CANCELLED = -1,    // raise Cancelled
  WAKE_INTERRUPTED = -2,  // raise KeyboardInterrupt
  WAKE_DEADLOCK = -3,     // raise DeadlockError
  WAKE_ERROR = -4,        // raise the value that the waker moved to my stack
  WAKE_BROKEN = -5,       // raise BrokenResourceError
  WAKE_CLOSED = -6,       // raise ClosedResourceError
  WAKE_DISCARDED = -7,    // never seen by a task: the run is torn down
  WAKE_FIRST_FREE = -100
};

typedef enum AbortResult {
  ABORT_DONE,    // undone: wake the task with the interruption now
  ABORT_PENDING  // the wake-up will still come by itself
} AbortResult;

// Undo what a park registered. It can't fail. `code` is WAKE_CANCELLED,
// _INTERRUPTED, _DEADLOCK or _DISCARDED.
typedef AbortResult (*AbortFn)(struct Task *t, void *self, int code);

// The fields that every step touches come first and share two cache lines; the
// first two are read ahead, and share one.
struct Task {
  Item run_item;         // in sched->ready or the batch, while READY
  struct lua_State *co;  // its own coroutine
  // The innermost known one now running, and the one that parked.
  struct lua_State *top, *waiting;
  Sched *sched;
  struct CancelStatus *cancel;  // innermost active status
  int values;  // how many values the waker moved onto `waiting`
  int wake_code;
  int depth;  // nested bodies since the last resume (bind/with.c)
  uint32_t schedule_points, cancel_points;
  TaskState state : 8;
  uint8_t swallowed;        // see swallowed_in
  bool abort_tried : 1;     // in this park
  bool hopping : 1;         // yielded only to empty the C stack: resume at once
  bool has_sleep_data : 1;  // custom_sleep_data is set
  bool system : 1;       // belongs to the runtime: no Ctrl+C, run-start context
  bool exposed : 1;      // the program may hold the task or its coroutine
  bool seen : 1;         // ... the latter, from coroutine.running
  bool has_context : 1;  // it has context variables
  bool context_shared : 1;  // and their table belongs to other tasks too
  bool remembered : 1;      // a lock names it as the owner that broke it
  bool has_failure : 1;     // an error of it was recorded (bind/with.c)
  bool rethrowing : 1;      // an error on its way out is raised once more
  bool failed : 1;          // it ended with an error
  bool kept : 1;      // ... a Cancelled, which its nursery has got already
  bool died : 1;      // ... that no protected call caught
  bool reusable : 1;  // it ended and leaves no trace (bind/spawn.c)
  bool pinned : 1;    // DONE, but its stack is still needed

  // The park slot: meaningful from task_park until the wait has finished.
  AbortFn abort;
  void *self;            // the object waited for
  const char *waits_in;  // static name of the operation, for reports
  // By what it waits for: a time, or that somebody takes it from a list.
  union {
    Timer timer;
    struct {
      Link wait_link;  // in a Lot or another wait list
      union {
        struct Lot *lot;      // the Lot that wait_link stands in
        double cushion;       // of wait_all_tasks_blocked
        const void *host_op;  // api/host.c
      };
    };
  };

  // What the end of a task needs, by a cancellation or by itself.
  Link cancel_link;                    // in cancel->tasks
  struct CancelReason *cancel_reason;  // of the delivered cancellation
  struct Nursery *parent;              // NULL for the root task
  struct CancelStatus *base;           // status of the nursery it belongs to
  void (*on_exit)(struct Task *t);     // tells the nursery; no Lua, no failure
  Link child_link;                     // in parent's children or failed list
  List nurseries;                      // open ones, outermost first
  List breaks;                         // parking lots that break when it ends
  int slot;                            // index of its anchor (bind/spawn.c)
  int parent_slot;                     // the same of `parent`

  uint64_t swallowed_in;  // bind/pcall.c: the scope of which it kept a
                          // Cancelled for itself, `swallowed` times
  struct Nursery *eventual_parent;  // while in nursery:start limbo
};

// Prepare a zeroed Task.
void task_init(struct Task *t, Sched *sched);

// RUNNING -> PARKED. The caller yields right afterwards.
void task_park(struct Task *t, AbortFn abort, void *self, const char *name);

// It is READY now; for the two that follow.
static inline void task_enqueue(struct Task *t) {
  Sched *s = t->sched;
  t->state = TASK_READY;
  t->has_sleep_data = false;
  queue_push(&s->ready, &t->run_item);
  s->ready_count++;
  if (s->on_ready != NULL) s->on_ready(t);
  if (s->on_change != NULL) s->on_change(s);
}

// RUNNING or NEW -> READY: run again in the next batch.
static inline void task_ready(struct Task *t) {
  ASSERT(t->state == TASK_RUNNING || t->state == TASK_NEW);
  task_enqueue(t);
}

// PARKED -> READY with a code for the woken operation.
static inline void task_wake(struct Task *t, int code) {
  ASSERT(t->state == TASK_PARKED);
  t->wake_code = code;
  task_enqueue(t);
}

// Try to interrupt a parked task, once per park. No effect in other states.
void task_abort(struct Task *t, int code);

#endif
