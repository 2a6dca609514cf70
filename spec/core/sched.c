// SPDX-License-Identifier: MIT
// Batches and timers: who runs next, what fires when, in which order.
#include "../support/core.h"

enum { TIMERS = 6 };

static Timer timers[TIMERS];
static int fired[32], fired_count, changes;

static void note(Timer *timer) { fired[fired_count++] = (int)(timer - timers); }

static void set_up(void) {
  core_begin();
  fired_count = changes = 0;
  for (int i = 0; i < TIMERS; i++) {
    timers[i] = (Timer){.fire = note};
    if (!heap_reserve(&core_sched.timers)) abort();
  }
}

static void start(int i, double when) {
  sched_set_timer(&core_sched, &timers[i], when);
}

// What has fired so far, as a decimal number.
static int digits(void) {
  int number = 0;
  for (int i = 0; i < fired_count; i++) number = number * 10 + fired[i];
  return number;
}

static void a_batch_takes_all_that_is_ready(void) {
  set_up();
  for (int i = 0; i < 3; i++) task_ready(&core_tasks[i]);
  CHECK_NUM(core_sched.ready_count, 3);
  sched_begin_batch(&core_sched);
  CHECK_NUM(core_sched.ready_count, 0);
  CHECK(core_sched.ready.first == NULL);
  for (int i = 0; i < 3; i++) {
    CHECK(queue_shift(&core_sched.batch) == &core_tasks[i].run_item);
  }
  CHECK(core_sched.batch.first == NULL);
  core_end();
}

static void what_becomes_ready_meanwhile_waits_for_the_next(void) {
  set_up();
  task_ready(&core_tasks[0]);
  task_ready(&core_tasks[1]);
  sched_begin_batch(&core_sched);
  CHECK(queue_shift(&core_sched.batch) == &core_tasks[0].run_item);
  core_tasks[0].state = TASK_RUNNING;
  task_ready(&core_tasks[0]);
  CHECK_NUM(core_sched.ready_count, 1);
  CHECK(queue_shift(&core_sched.batch) == &core_tasks[1].run_item);
  CHECK(core_sched.batch.first == NULL);
  sched_begin_batch(&core_sched);
  CHECK(queue_shift(&core_sched.batch) == &core_tasks[0].run_item);
  core_end();
}

static void without_timers_there_is_no_deadline(void) {
  set_up();
  CHECK_NUM(sched_next_deadline(&core_sched), INFINITY);
  CHECK(!sched_expire(&core_sched, 1e9));
  core_end();
}

static void timers_fire_in_the_order_of_their_times(void) {
  set_up();
  start(0, 5);
  start(1, 3);
  start(2, 4);
  CHECK_NUM(sched_next_deadline(&core_sched), 3);
  CHECK(!sched_expire(&core_sched, 2.5));
  CHECK(sched_expire(&core_sched, 4));  // due means: not later than now
  CHECK_NUM(digits(), 12);
  CHECK_NUM(sched_next_deadline(&core_sched), 5);
  CHECK(sched_expire(&core_sched, 6));
  CHECK_NUM(fired_count, 3);
  CHECK_NUM(fired[2], 0);
  core_end();
}

static void equal_times_fire_in_the_order_of_starting(void) {
  set_up();
  for (int i = 1; i < TIMERS; i++) start(i, 1);
  start(0, 0.5);
  sched_expire(&core_sched, 0.7);
  sched_expire(&core_sched, 1);
  CHECK_NUM(digits(), 12345);
  core_end();
}

static void a_timer_that_is_moved_goes_behind_its_equals(void) {
  set_up();
  for (int i = 1; i < 5; i++) start(i, 1);
  start(2, 1);
  sched_expire(&core_sched, 1);
  CHECK_NUM(digits(), 1342);
  core_end();
}

static void a_timer_can_be_moved_and_stopped(void) {
  set_up();
  start(1, 1);
  start(2, 2);
  start(1, 3);
  CHECK_NUM(sched_next_deadline(&core_sched), 2);
  start(2, INFINITY);
  CHECK_NUM(sched_next_deadline(&core_sched), 3);
  sched_stop_timer(&core_sched, &timers[1]);
  sched_stop_timer(&core_sched, &timers[1]);
  CHECK_NUM(sched_next_deadline(&core_sched), INFINITY);
  CHECK(!sched_expire(&core_sched, 10));
  CHECK_NUM(core_sched.timers.count, 0);
  core_end();
}

static void times_before_all_time_fire_first(void) {
  set_up();
  start(1, 0);
  start(2, -INFINITY);
  CHECK_NUM(sched_next_deadline(&core_sched), -INFINITY);
  CHECK(sched_expire(&core_sched, 0));
  CHECK_NUM(digits(), 21);
  core_end();
}

static void restart_as_two(Timer *timer) {
  note(timer);
  start(2, 1);
}

static void stop_the_third(Timer *timer) {
  note(timer);
  start(3, INFINITY);
}

static void a_timer_that_fires_may_start_and_stop_others(void) {
  set_up();
  timers[1].fire = restart_as_two;
  timers[2].fire = stop_the_third;
  start(1, 1);
  start(3, 1.5);
  start(4, 2);
  CHECK(sched_expire(&core_sched, 2));
  CHECK_NUM(digits(), 124);
  core_end();
}

static void again(Timer *timer) {
  note(timer);
  if (fired_count < 3) sched_set_timer(&core_sched, timer, 1);
}

static void a_timer_is_off_the_heap_when_it_fires(void) {
  set_up();
  timers[1].fire = again;
  start(1, 1);
  sched_expire(&core_sched, 1);
  CHECK_NUM(digits(), 111);
  CHECK_NUM(core_sched.timers.count, 0);
  core_end();
}

static void count_change(Sched *s) {
  UNUSED(s);
  changes++;
}

static void a_blocked_host_hears_of_new_timers(void) {
  set_up();
  core_sched.on_change = count_change;
  start(1, 1);
  CHECK_NUM(changes, 1);
  core_end();
}

int main(void) {
  UNIT_RUN(a_batch_takes_all_that_is_ready);
  UNIT_RUN(what_becomes_ready_meanwhile_waits_for_the_next);
  UNIT_RUN(without_timers_there_is_no_deadline);
  UNIT_RUN(timers_fire_in_the_order_of_their_times);
  UNIT_RUN(equal_times_fire_in_the_order_of_starting);
  UNIT_RUN(a_timer_that_is_moved_goes_behind_its_equals);
  UNIT_RUN(a_timer_can_be_moved_and_stopped);
  UNIT_RUN(times_before_all_time_fire_first);
  UNIT_RUN(a_timer_that_fires_may_start_and_stop_others);
  UNIT_RUN(a_timer_is_off_the_heap_when_it_fires);
  UNIT_RUN(a_blocked_host_hears_of_new_timers);
  return unit_done();
}
