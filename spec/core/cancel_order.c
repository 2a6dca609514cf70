// SPDX-License-Identifier: MIT
// The cancel tree under pressure: statuses closed in the wrong order, abort
// functions that change the tree while a cancellation is delivered, chains far
// too deep for recursion.
#include "../../src/base/mem.h"
#include "../support/core.h"

static CancelStatus *outer, *inner, *aside;

static void set_up(void) {
  core_begin();
  outer = core_open(NULL);
  inner = core_open(outer);
  aside = core_open(outer);
}

static CancelReason *explicit_reason(void) {
  return cancel_reason_bare(CANCEL_EXPLICIT);
}

// ---- closing

static void a_closed_status_is_used_again_as_new(void) {
  core_begin();
  CancelStatus *c = cancel_open(&core_sched, NULL, 5, true);
  cancel_request(c, explicit_reason());
  c->scope = c;
  uint64_t serial = c->serial;
  cancel_close(c);
  CancelStatus *d = core_open(NULL);
  CHECK(d == c);
  CHECK(d->serial > serial);
  CHECK(!d->called && !d->effective && !d->shield && !d->abandoned);
  CHECK(d->reason == NULL && d->scope == NULL && d->parent == NULL);
  CHECK_NUM(d->deadline, INFINITY);
  CHECK_NUM(core_sched.timers.count, 0);
  core_end();
}

static void what_is_left_open_below_is_abandoned(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  core_sleeper(0, deep);
  core_sleeper(1, aside);
  cancel_close(inner);
  CHECK(deep->abandoned && deep->effective && !deep->called);
  CHECK(core_tasks[0].state == TASK_READY);
  CHECK(core_tasks[0].cancel_reason == &cancel_reason_misnesting);
  CHECK(core_tasks[1].state == TASK_PARKED);
  CHECK(!outer->effective && !outer->abandoned && !aside->abandoned);
  CHECK(list_next(&outer->children, list_first(&outer->children)) == NULL);
  CHECK(core_open(NULL) != inner);  // not in the pool: deep points to it
  core_end();
}

static void a_task_left_inside_is_told(void) {
  set_up();
  core_sleeper(0, inner);
  cancel_close(inner);
  CHECK(inner->abandoned && inner->effective);
  CHECK(core_tasks[0].state == TASK_READY);
  CHECK(core_tasks[0].cancel == inner);
  core_end();
}

static void a_shield_does_not_hide_abandonment_of_its_own(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  cancel_set_shield(deep, true);
  core_sleeper(0, deep);
  core_sleeper(1, inner);
  cancel_close(inner);
  CHECK(deep->abandoned && !deep->effective);
  CHECK(core_tasks[0].state == TASK_PARKED);
  CHECK(core_tasks[1].state == TASK_READY);
  core_end();
}

static void all_memory_goes_with_the_run(void) {
  size_t before = mem_live_blocks();
  set_up();
  CancelReason *r = cancel_reason_new(CANCEL_EXPLICIT, "stop", "me");
  core_sleeper(0, core_open(inner));
  cancel_request(outer, r);
  cancel_reason_set(&r, NULL);
  cancel_close(inner);  // abandoned
  cancel_close(aside);  // pooled; outer stays open
  core_end();
  CHECK_NUM(mem_live_blocks(), before);
}

// ---- moving

static void moving_below_a_cancelled_one_delivers(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  core_sleeper(0, deep);
  cancel_request(aside, explicit_reason());
  cancel_set_parent(deep, aside);
  CHECK(deep->parent == aside && deep->effective);
  CHECK(deep->reason == explicit_reason());
  CHECK(core_tasks[0].state == TASK_READY);
  CHECK(list_is_empty(&inner->children));
  CHECK(list_first(&aside->children) == &deep->sibling_link);
  core_end();
}

static void moving_away_withdraws(void) {
  set_up();
  CancelStatus *deep = core_open(inner), *deeper = core_open(deep);
  cancel_request(inner, explicit_reason());
  cancel_set_parent(deep, aside);
  CHECK(!deep->effective && !deeper->effective);
  core_end();
}

// ---- aborts that change the tree

static void (*interfere)(void);

static AbortResult abort_and_interfere(Task *t, void *self, int code) {
  AbortResult result = core_abort(t, self, code);
  if (interfere != NULL) {
    void (*act)(void) = interfere;
    interfere = NULL;  // once
    act();
  }
  return result;
}

// Tasks 0, 1 and 2 sleep in inner, `aside` and outer; whichever is told first
// does `act`.
static void cancel_with(void (*act)(void)) {
  CancelStatus *places[] = {inner, aside, outer};
  for (int i = 0; i < 3; i++) {
    core_sleeper(i, places[i])->abort = abort_and_interfere;
  }
  interfere = act;
  cancel_request(outer, explicit_reason());
}

static void count_aborts(int first, int second, int third) {
  CHECK_NUM(core_aborts[0], first);
  CHECK_NUM(core_aborts[1], second);
  CHECK_NUM(core_aborts[2], third);
}

static void shield_one(void) { cancel_set_shield(inner, true); }

static void an_abort_may_shield_those_not_yet_told(void) {
  set_up();
  cancel_with(shield_one);
  count_aborts(0, 1, 1);
  CHECK(core_tasks[0].state == TASK_PARKED);
  CHECK(!inner->effective && outer->effective);
  core_end();
}

static void cancel_inside(void) {
  cancel_request(inner, explicit_reason());
  cancel_request(aside, explicit_reason());
}

static void an_abort_may_cancel_more(void) {
  set_up();
  cancel_with(cancel_inside);
  count_aborts(1, 1, 1);
  core_end();
}

static void wake_the_others(void) {
  task_wake(&core_tasks[0], 1);
  task_wake(&core_tasks[1], 1);
}

static void an_abort_may_wake_those_not_yet_told(void) {
  set_up();
  cancel_with(wake_the_others);
  count_aborts(0, 0, 1);
  CHECK_NUM(core_tasks[0].wake_code, 1);
  core_end();
}

static void move_the_rest(void) { cancel_set_parent(inner, aside); }

static void an_abort_may_move_those_not_yet_told(void) {
  set_up();
  cancel_with(move_the_rest);
  count_aborts(1, 1, 1);
  CHECK(inner->parent == aside && inner->effective);
  core_end();
}

static void move_them_out(void) {
  CancelStatus *elsewhere = core_open(NULL);
  cancel_set_parent(inner, elsewhere);
}

static void whoever_was_moved_out_is_not_told(void) {
  set_up();
  cancel_with(move_them_out);
  count_aborts(0, 1, 1);
  CHECK(!inner->effective);
  core_end();
}

static void close_them(void) {
  cancel_attach(&core_tasks[0], outer);
  cancel_close(inner);
}

static void an_abort_may_close_statuses(void) {
  set_up();
  cancel_with(close_them);
  count_aborts(1, 1, 1);
  CHECK(core_open(NULL) == inner);
  core_end();
}

static void detach_one(void) { cancel_attach(&core_tasks[0], NULL); }

static void a_task_without_a_scope_is_not_told(void) {
  set_up();
  cancel_with(detach_one);
  count_aborts(0, 1, 1);
  core_end();
}

// ---- depth

enum { DEEP = 100000 };

static void a_deep_chain_needs_no_recursion(void) {
  core_begin();
  CancelStatus *top = core_open(NULL), *c = top;
  for (int i = 0; i < DEEP; i++) c = core_open(c);
  CancelStatus *bottom = c, *middle = top;
  for (int i = 0; i < DEEP / 2; i++) {
    middle =
        CONTAINER_OF(list_first(&middle->children), CancelStatus, sibling_link);
  }
  core_sleeper(0, bottom);
  cancel_set_shield(middle, true);
  cancel_request(top, explicit_reason());
  CHECK(!bottom->effective && middle->parent->effective);
  cancel_set_shield(middle, false);
  CHECK(bottom->effective && bottom->reason == explicit_reason());
  CHECK_NUM(core_aborts[0], 1);
  CHECK(cancel_origin(bottom) == top);
  CHECK(cancel_encloses(top, bottom));
  cancel_close(top);
  CHECK(bottom->abandoned);
  core_end();
}

static void a_wide_tree_is_walked_once(void) {
  core_begin();
  CancelStatus *top = core_open(NULL), *last = NULL;
  for (int i = 0; i < DEEP / 2; i++) last = core_open(core_open(top));
  core_sleeper(0, last);
  cancel_request(top, explicit_reason());
  CHECK(last->effective);
  CHECK_NUM(core_aborts[0], 1);
  int cancelled = 0;
  for (CancelStatus *c = core_sched.statuses; c != NULL; c = c->next) {
    cancelled += c->effective;
  }
  CHECK_NUM(cancelled, DEEP + 1);
  core_end();
}

int main(void) {
  UNIT_RUN(a_closed_status_is_used_again_as_new);
  UNIT_RUN(what_is_left_open_below_is_abandoned);
  UNIT_RUN(a_task_left_inside_is_told);
  UNIT_RUN(a_shield_does_not_hide_abandonment_of_its_own);
  UNIT_RUN(all_memory_goes_with_the_run);
  UNIT_RUN(moving_below_a_cancelled_one_delivers);
  UNIT_RUN(moving_away_withdraws);
  UNIT_RUN(an_abort_may_shield_those_not_yet_told);
  UNIT_RUN(an_abort_may_cancel_more);
  UNIT_RUN(an_abort_may_wake_those_not_yet_told);
  UNIT_RUN(an_abort_may_move_those_not_yet_told);
  UNIT_RUN(whoever_was_moved_out_is_not_told);
  UNIT_RUN(an_abort_may_close_statuses);
  UNIT_RUN(a_task_without_a_scope_is_not_told);
  UNIT_RUN(a_deep_chain_needs_no_recursion);
  UNIT_RUN(a_wide_tree_is_walked_once);
  return unit_done();
}
