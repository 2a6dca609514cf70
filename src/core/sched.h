// SPDX-License-Identifier: MIT
// sched.h: the scheduler's state: ready tasks, current batch, timers.
//
// One Sched lives as long as one trio.run. It decides who is ready; the layer
// above (bind/runner.c) resumes coroutines and waits for I/O. Nothing in core/
// may raise, yield, allocate or know Lua or libuv.
#ifndef TRIO_CORE_SCHED_H
#define TRIO_CORE_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/clock.h"
#include "../base/heap.h"
#include "../base/list.h"

struct Task;
struct CancelStatus;

// Something that happens at a time: a sleep's end or a scope's deadline.
typedef struct Timer {
  HeapNode node;
  void (*fire)(struct Timer *timer);
} Timer;

typedef struct Sched {
  Queue ready;           // tasks for the next batch, by run_item
  Queue batch;           // tasks of this batch that have not run yet
  size_t ready_count;    // length of `ready`
  struct Task *current;  // whose step runs now, or NULL
  Heap timers;           // with room for each live task and each status
  Clock *clock;
  List deliveries;  // statuses whose tasks are interrupted, by delivery_link
  List idlers;      // tasks in wait_all_tasks_blocked, by wait_link
  struct CancelStatus *statuses;       // all of this run
  struct CancelStatus *free_statuses;  // those in the pool
  uint64_t opened;                     // how many times one was opened
  // Told when a task becomes ready; NULL without instruments.
  void (*on_ready)(struct Task *t);
  // Told when something changed that a blocked host must look at (guest
  // mode); NULL otherwise.
  void (*on_change)(struct Sched *s);
} Sched;

void sched_init(Sched *s, Clock *clock);
void sched_deinit(Sched *s);

static inline double sched_now(Sched *s) { return s->clock->now(s->clock); }

// Start, move or stop a timer. INFINITY stops it.
void sched_set_timer(Sched *s, Timer *timer, double when);
static inline void sched_stop_timer(Sched *s, Timer *timer) {
  heap_remove(&s->timers, &timer->node);
}

// The earliest deadline, or INFINITY.
double sched_next_deadline(const Sched *s);

// Fire every timer that is due at `now`; was there one?
bool sched_expire(Sched *s, double now);

// Move all that is ready into the batch, which is empty.
static inline void sched_begin_batch(Sched *s) {
  ASSERT(s->batch.first == NULL);
  s->batch = s->ready;
  queue_init(&s->ready);
  s->ready_count = 0;
}

#endif
