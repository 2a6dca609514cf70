// SPDX-License-Identifier: MIT
// task.c: the state machine of task.h.
#include "task.h"

#include "cancel.h"

void task_init(struct Task *t, Sched *sched) {
  t->sched = sched;
  t->state = TASK_NEW;
  list_init(&t->nurseries);
  list_init(&t->breaks);
}

void task_ready(struct Task *t) {
  ASSERT(t->state == TASK_RUNNING || t->state == TASK_NEW);
  t->state = TASK_READY;
  t->has_sleep_data = false;
  list_push(&t->sched->ready, &t->run_link);
  t->sched->ready_count++;
  if (t->sched->on_ready != NULL) t->sched->on_ready(t);
  if (t->sched->on_change != NULL) t->sched->on_change(t->sched);
}

void task_park(struct Task *t, AbortFn abort, void *self, const char *name) {
  ASSERT(t->state == TASK_RUNNING);
  t->state = TASK_PARKED;
  t->abort_tried = false;
  t->abort = abort;
  t->self = self;
  t->waits_in = name;
  t->wake_code = WAKE_OK;
  t->values = 0;
}

void task_wake(struct Task *t, int code) {
  ASSERT(t->state == TASK_PARKED);
  Sched *s = t->sched;
  t->state = TASK_READY;
  t->has_sleep_data = false;
  t->wake_code = code;
  list_push(&s->ready, &t->run_link);
  s->ready_count++;
  if (s->on_ready != NULL) s->on_ready(t);
  if (s->on_change != NULL) s->on_change(s);
}

void task_abort(struct Task *t, int code) {
  if (t->state != TASK_PARKED || t->abort_tried) return;
  t->abort_tried = true;
  if (code == WAKE_CANCELLED) {
    cancel_reason_set(&t->cancel_reason, t->cancel->reason);
  }
  AbortResult result = t->abort(t, t->self, code);
  if (result == ABORT_DONE) task_wake(t, code);
}
