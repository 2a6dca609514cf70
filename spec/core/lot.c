// SPDX-License-Identifier: MIT
// The parking lot: order, moving, breaking, and who may break it.
#include "../support/core.h"

static Lot lot, other;

static AbortResult leave(Task *t, void *self, int code) {
  UNUSED(self);
  UNUSED(code);
  lot_remove(t);
  return ABORT_DONE;
}

static Task *park_in(Lot *where, int i) {
  Task *t = core_run(&core_tasks[i]);
  lot_park(where, t);
  task_park(t, leave, where, "a test");
  return t;
}

static void set_up(int count) {
  core_begin();
  lot_init(&lot);
  lot_init(&other);
  for (int i = 0; i < count; i++) park_in(&lot, i);
}

// Who stands in it, as a decimal number; -1: the count is wrong.
static int digits(const Lot *from) {
  int number = 0, count = 0;
  for (Link *l = list_first(&from->parked); l != NULL;
       l = list_next(&from->parked, l)) {
    const Task *t = CONTAINER_OF(l, Task, wait_link);
    if (t->lot != from) return -1;
    number = number * 10 + (int)(t - core_tasks);
    count++;
  }
  return count == from->count ? number : -1;
}

static void starts_empty(void) {
  set_up(0);
  CHECK(lot_first(&lot) == NULL);
  CHECK(lot_unpark(&lot, WAKE_OK) == NULL);
  CHECK_NUM(lot.count, 0);
  CHECK(!lot.broken);
  core_end();
}

static void the_longest_waiting_goes_first(void) {
  set_up(3);
  CHECK(lot_first(&lot) == &core_tasks[0]);
  CHECK(lot_unpark(&lot, 4) == &core_tasks[0]);
  CHECK_NUM(core_tasks[0].wake_code, 4);
  CHECK(core_tasks[0].lot == NULL);
  CHECK_NUM(digits(&lot), 12);
  CHECK(lot_unpark(&lot, WAKE_OK) == &core_tasks[1]);
  CHECK(lot_unpark(&lot, WAKE_OK) == &core_tasks[2]);
  CHECK(lot_unpark(&lot, WAKE_OK) == NULL);
  core_end();
}

static void whoever_comes_back_stands_last(void) {
  set_up(3);
  lot_unpark(&lot, WAKE_OK);
  park_in(&lot, 0);
  CHECK_NUM(digits(&lot), 120);
  core_end();
}

static void an_abort_takes_one_out_of_the_middle(void) {
  set_up(4);
  task_abort(&core_tasks[2], WAKE_INTERRUPTED);
  CHECK_NUM(digits(&lot), 13);
  CHECK(core_tasks[2].lot == NULL);
  CHECK(!link_is_linked(&core_tasks[2].wait_link));
  core_end();
}

static void unparking_after_an_abort_wakes_the_next(void) {
  set_up(2);
  task_abort(&core_tasks[0], WAKE_INTERRUPTED);
  CHECK(lot_unpark(&lot, WAKE_OK) == &core_tasks[1]);
  CHECK_NUM(core_tasks[0].wake_code, WAKE_INTERRUPTED);
  core_end();
}

static void repark_moves_the_first_to_the_end(void) {
  set_up(5);
  park_in(&other, 6);
  lot_repark(&lot, &other, 2);
  CHECK_NUM(digits(&lot), 234);
  CHECK_NUM(digits(&other), 601);
  CHECK(core_tasks[0].state == TASK_PARKED);
  lot_repark(&lot, &other, 0);
  CHECK_NUM(lot.count, 3);
  lot_repark(&lot, &other, 100);
  CHECK_NUM(digits(&other), 601234);
  CHECK_NUM(lot.count, 0);
  lot_repark(&lot, &other, 1);
  CHECK_NUM(other.count, 6);
  core_end();
}

static void repark_into_itself_turns_it(void) {
  set_up(3);
  lot_repark(&lot, &lot, 1);
  CHECK_NUM(digits(&lot), 120);
  core_end();
}

static void an_abort_after_a_repark_leaves_the_new_lot(void) {
  set_up(3);
  lot_repark(&lot, &other, 2);
  task_abort(&core_tasks[1], WAKE_INTERRUPTED);
  CHECK_NUM(digits(&other), 0);
  CHECK_NUM(other.count, 1);
  CHECK_NUM(digits(&lot), 2);
  core_end();
}

static void breaking_wakes_everybody(void) {
  set_up(3);
  lot_break(&lot);
  CHECK(lot.broken);
  CHECK_NUM(lot.count, 0);
  for (int i = 0; i < 3; i++) {
    CHECK(core_tasks[i].state == TASK_READY);
    CHECK_NUM(core_tasks[i].wake_code, WAKE_BROKEN);
  }
  CHECK(core_sched.ready.first == &core_tasks[0].run_item);
  lot_break(&lot);
  CHECK_NUM(core_sched.ready_count, 3);
  core_end();
}

static void the_end_of_a_breaker_breaks_its_lots(void) {
  set_up(1);
  park_in(&other, 1);
  LotBreaker a, b;
  lot_add_breaker(&lot, &a, &core_tasks[5]);
  lot_add_breaker(&other, &b, &core_tasks[5]);
  CHECK(lot_task_ends(&core_tasks[5]));
  CHECK(lot.broken && other.broken);
  CHECK(a.broke && b.broke);
  CHECK_NUM(core_tasks[0].wake_code, WAKE_BROKEN);
  CHECK_NUM(core_tasks[1].wake_code, WAKE_BROKEN);
  CHECK(list_is_empty(&core_tasks[5].breaks));
  CHECK(!lot_task_ends(&core_tasks[5]));
  lot_deinit(&lot);
  lot_deinit(&other);
  core_end();
}

static void the_end_of_others_does_not(void) {
  set_up(1);
  LotBreaker a;
  lot_add_breaker(&lot, &a, &core_tasks[5]);
  CHECK(!lot_task_ends(&core_tasks[4]));
  CHECK(!lot.broken);
  CHECK(a.task == &core_tasks[5] && a.lot == &lot && !a.broke);
  lot_remove_breaker(&a);
  core_end();
}

static void a_breaker_can_be_taken_back(void) {
  set_up(1);
  LotBreaker a, b;
  lot_add_breaker(&lot, &a, &core_tasks[5]);
  lot_add_breaker(&lot, &b, &core_tasks[6]);
  lot_remove_breaker(&a);
  CHECK(a.lot == NULL);
  CHECK(!lot_task_ends(&core_tasks[5]));
  CHECK(!lot.broken);
  CHECK(lot_task_ends(&core_tasks[6]));
  CHECK(lot.broken);
  lot_remove_breaker(&b);  // after the fact
  CHECK(list_is_empty(&lot.breakers));
  core_end();
}

static void a_lot_that_goes_forgets_its_breakers(void) {
  set_up(0);
  LotBreaker a, b, c;
  lot_add_breaker(&lot, &a, &core_tasks[5]);
  lot_add_breaker(&lot, &b, &core_tasks[6]);
  lot_add_breaker(&other, &c, &core_tasks[5]);
  lot_deinit(&lot);
  CHECK(a.lot == NULL && b.lot == NULL);
  CHECK(!lot_task_ends(&core_tasks[6]));
  CHECK(lot_task_ends(&core_tasks[5]));
  CHECK(!lot.broken && other.broken);
  lot_deinit(&other);
  core_end();
}

int main(void) {
  UNIT_RUN(starts_empty);
  UNIT_RUN(the_longest_waiting_goes_first);
  UNIT_RUN(whoever_comes_back_stands_last);
  UNIT_RUN(an_abort_takes_one_out_of_the_middle);
  UNIT_RUN(unparking_after_an_abort_wakes_the_next);
  UNIT_RUN(repark_moves_the_first_to_the_end);
  UNIT_RUN(repark_into_itself_turns_it);
  UNIT_RUN(an_abort_after_a_repark_leaves_the_new_lot);
  UNIT_RUN(breaking_wakes_everybody);
  UNIT_RUN(the_end_of_a_breaker_breaks_its_lots);
  UNIT_RUN(the_end_of_others_does_not);
  UNIT_RUN(a_breaker_can_be_taken_back);
  UNIT_RUN(a_lot_that_goes_forgets_its_breakers);
  return unit_done();
}
