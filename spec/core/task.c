// SPDX-License-Identifier: MIT
// The state machine: what each step changes, who is told, and that the steps
// which would corrupt a list stop the program instead.
#include "../support/core.h"

static int readied, changes;

static void count_ready(Task *t) {
  UNUSED(t);
  readied++;
}

static void count_change(Sched *s) {
  UNUSED(s);
  changes++;
}

static void set_up(void) {
  core_begin();
  readied = changes = 0;
}

static void a_task_goes_round(void) {
  set_up();
  Task *t = &core_tasks[0];
  CHECK(t->state == TASK_NEW);
  task_ready(t);
  CHECK(t->state == TASK_READY);
  CHECK(core_sched.ready.first == &t->run_item);
  CHECK_NUM(core_sched.ready_count, 1);
  core_run(t);
  int object;
  task_park(t, core_abort, &object, "an event");
  CHECK(t->state == TASK_PARKED);
  CHECK(t->self == &object);
  CHECK(strcmp(t->waits_in, "an event") == 0);
  task_wake(t, 7);
  CHECK(t->state == TASK_READY);
  CHECK_NUM(t->wake_code, 7);
  core_end();
}

static void a_running_task_may_ask_for_another_turn(void) {
  set_up();
  Task *t = core_run(&core_tasks[0]);
  task_ready(t);
  CHECK(t->state == TASK_READY);
  CHECK(core_sched.ready.first == &t->run_item);
  core_end();
}

static void a_park_forgets_the_one_before(void) {
  set_up();
  Task *t = core_sleeper(0, NULL);
  t->values = 3;
  task_wake(t, WAKE_CLOSED);
  core_sleeper(0, NULL);
  CHECK_NUM(t->values, 0);
  CHECK_NUM(t->wake_code, WAKE_OK);
  CHECK(!t->abort_tried);
  core_end();
}

static void whoever_becomes_ready_loses_its_sleep_data(void) {
  set_up();
  Task *t = core_sleeper(0, NULL);
  t->has_sleep_data = true;
  task_wake(t, WAKE_OK);
  CHECK(!t->has_sleep_data);
  core_run(t)->has_sleep_data = true;
  task_ready(t);
  CHECK(!t->has_sleep_data);
  core_end();
}

static void the_hooks_hear_of_it(void) {
  set_up();
  core_sched.on_ready = count_ready;
  core_sched.on_change = count_change;
  Task *t = &core_tasks[0];
  task_ready(t);
  CHECK_NUM(readied, 1);
  CHECK_NUM(changes, 1);
  core_sleeper(0, NULL);
  task_wake(t, WAKE_OK);
  CHECK_NUM(readied, 2);
  CHECK_NUM(changes, 2);
  core_end();
}

static void an_abort_that_succeeds_wakes(void) {
  set_up();
  Task *t = core_sleeper(0, NULL);
  task_abort(t, WAKE_DEADLOCK);
  CHECK_NUM(core_codes[0], WAKE_DEADLOCK);
  CHECK(t->state == TASK_READY);
  CHECK_NUM(t->wake_code, WAKE_DEADLOCK);
  core_end();
}

static void an_abort_that_is_pending_leaves_it_parked(void) {
  set_up();
  core_answer = ABORT_PENDING;
  Task *t = core_sleeper(0, NULL);
  task_abort(t, WAKE_INTERRUPTED);
  CHECK(t->state == TASK_PARKED);
  task_wake(t, 5);
  CHECK_NUM(t->wake_code, 5);
  core_end();
}

static void a_park_is_aborted_at_most_once(void) {
  set_up();
  core_answer = ABORT_PENDING;
  Task *t = core_sleeper(0, NULL);
  task_abort(t, WAKE_INTERRUPTED);
  task_abort(t, WAKE_DEADLOCK);
  CHECK_NUM(core_aborts[0], 1);
  task_wake(t, WAKE_OK);
  core_sleeper(0, NULL);
  task_abort(t, WAKE_DEADLOCK);
  CHECK_NUM(core_aborts[0], 2);
  core_end();
}

static void only_parked_tasks_are_aborted(void) {
  set_up();
  Task *t = &core_tasks[0];
  task_abort(t, WAKE_INTERRUPTED);  // NEW: has no abort function yet
  CHECK(t->state == TASK_NEW);
  core_sleeper(0, NULL);
  task_wake(t, WAKE_OK);
  task_abort(t, WAKE_INTERRUPTED);
  CHECK_NUM(t->wake_code, WAKE_OK);
  core_run(t);
  task_abort(t, WAKE_INTERRUPTED);
  CHECK(t->state == TASK_RUNNING);
  t->state = TASK_DONE;
  task_abort(t, WAKE_INTERRUPTED);
  CHECK_NUM(core_aborts[0], 0);
  core_end();
}

static void only_a_cancellation_brings_its_reason(void) {
  set_up();
  CancelStatus *c = core_open(NULL);
  CancelReason *r = cancel_reason_new(CANCEL_EXPLICIT, "enough", NULL);
  Task *t = core_sleeper(0, c);
  core_answer = ABORT_PENDING;
  task_abort(t, WAKE_INTERRUPTED);
  cancel_request(c, r);  // the abort was tried: nothing is delivered
  CHECK(t->cancel_reason == NULL);
  task_wake(t, WAKE_OK);
  core_sleeper(0, c);
  task_abort(t, WAKE_CANCELLED);
  CHECK(t->cancel_reason == r);
  cancel_reason_set(&r, NULL);
  core_end();
}

static void wake_twice(void) {
  set_up();
  Task *t = core_sleeper(0, NULL);
  task_wake(t, WAKE_OK);
  task_wake(t, WAKE_OK);
}

static void wake_a_new_one(void) {
  set_up();
  task_wake(&core_tasks[0], WAKE_OK);
}

static void park_a_ready_one(void) {
  set_up();
  task_ready(&core_tasks[0]);
  task_park(&core_tasks[0], core_abort, NULL, "a test");
}

static void ready_twice(void) {
  set_up();
  task_ready(&core_tasks[0]);
  task_ready(&core_tasks[0]);
}

static void ready_a_parked_one(void) {
  set_up();
  task_ready(core_sleeper(0, NULL));
}

static void steps_that_are_none_stop_the_program(void) {
  CHECK(core_dies(wake_twice));
  CHECK(core_dies(wake_a_new_one));
  CHECK(core_dies(park_a_ready_one));
  CHECK(core_dies(ready_twice));
  CHECK(core_dies(ready_a_parked_one));
}

int main(void) {
  UNIT_RUN(a_task_goes_round);
  UNIT_RUN(a_running_task_may_ask_for_another_turn);
  UNIT_RUN(a_park_forgets_the_one_before);
  UNIT_RUN(whoever_becomes_ready_loses_its_sleep_data);
  UNIT_RUN(the_hooks_hear_of_it);
  UNIT_RUN(an_abort_that_succeeds_wakes);
  UNIT_RUN(an_abort_that_is_pending_leaves_it_parked);
  UNIT_RUN(a_park_is_aborted_at_most_once);
  UNIT_RUN(only_parked_tasks_are_aborted);
  UNIT_RUN(only_a_cancellation_brings_its_reason);
  UNIT_RUN(steps_that_are_none_stop_the_program);
  return unit_done();
}
