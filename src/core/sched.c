// SPDX-License-Identifier: MIT
// sched.c: see sched.h.
#include "sched.h"

#include "cancel.h"

void sched_init(Sched *s, Clock *clock) {
  queue_init(&s->ready);
  queue_init(&s->batch);
  list_init(&s->deliveries);
  list_init(&s->idlers);
  heap_init(&s->timers);
  s->ready_count = 0;
  s->current = NULL;
  s->clock = clock;
  s->statuses = s->free_statuses = NULL;
  s->opened = 0;
  s->on_ready = NULL;
  s->on_change = NULL;
}

void sched_deinit(Sched *s) {
  cancel_free_all(s);
  heap_deinit(&s->timers);
}

void sched_set_timer(Sched *s, Timer *timer, double when) {
  heap_remove(&s->timers, &timer->node);
  if (when != INFINITY) heap_insert(&s->timers, &timer->node, when);
  if (s->on_change != NULL) s->on_change(s);
}

double sched_next_deadline(const Sched *s) {
  const HeapNode *first = heap_first(&s->timers);
  return first == NULL ? INFINITY : first->key;
}

bool sched_expire(Sched *s, double now) {
  bool fired = false;
  for (;;) {
    HeapNode *first = heap_first(&s->timers);
    if (first == NULL || first->key > now) return fired;
    heap_remove(&s->timers, first);
    Timer *timer = CONTAINER_OF(first, Timer, node);
    timer->fire(timer);
    fired = true;
  }
}
