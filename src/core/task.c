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

void task_abort(struct Task *t, int code) {
  if (t->state != TASK_PARKED || t->abort_tried) return;
  t->abort_tried = true;
  if (code == WAKE_CANCELLED) {
    cancel_reason_set(&t->cancel_reason, t->cancel->reason);
  }
  AbortResult result = t->abort(t, t->self, code);
  if (result == ABORT_DONE) task_wake(t, code);
}
