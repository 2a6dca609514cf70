// SPDX-License-Identifier: MIT
// The cancel tree: what is effectively cancelled, who hears of it, and for
// which reason. What closing in the wrong order and changes in the middle of a
// delivery do is in cancel_order.c.
#include "../../src/base/mem.h"
#include "../support/core.h"

static CancelStatus *outer, *inner;

static void set_up(void) {
  core_begin();
  outer = core_open(NULL);
  inner = core_open(outer);
}

static CancelReason *explicit_reason(void) {
  return cancel_reason_bare(CANCEL_EXPLICIT);
}

static void nothing_is_cancelled_at_first(void) {
  set_up();
  CHECK(!outer->called && !outer->effective);
  CHECK(!inner->called && !inner->effective);
  CHECK(inner->serial != outer->serial && outer->serial != 0);
  CHECK(cancel_encloses(outer, inner) && cancel_encloses(inner, inner));
  CHECK(!cancel_encloses(inner, outer));
  core_end();
}

static void a_request_reaches_everything_below(void) {
  set_up();
  CancelStatus *aside = core_open(outer), *deep = core_open(inner);
  core_sleeper(0, deep);
  core_sleeper(1, aside);
  core_sleeper(2, outer);
  cancel_request(inner, explicit_reason());
  CHECK(inner->called && inner->effective);
  CHECK(!deep->called && deep->effective);
  CHECK(!outer->effective && !aside->effective);
  CHECK_NUM(core_aborts[0], 1);
  CHECK_NUM(core_codes[0], WAKE_CANCELLED);
  CHECK(core_tasks[0].state == TASK_READY);
  CHECK(core_tasks[1].state == TASK_PARKED);
  CHECK(core_tasks[2].state == TASK_PARKED);
  core_end();
}

static void only_sleepers_are_interrupted(void) {
  set_up();
  Task *t = core_run(&core_tasks[0]);
  cancel_attach(t, inner);
  cancel_request(outer, explicit_reason());
  CHECK(t->state == TASK_RUNNING);
  CHECK_NUM(core_aborts[0], 0);
  core_end();
}

static void a_second_request_interrupts_nobody(void) {
  set_up();
  core_answer = ABORT_PENDING;
  core_sleeper(0, inner);
  cancel_request(outer, explicit_reason());
  cancel_request(outer, explicit_reason());
  cancel_request(inner, explicit_reason());
  CHECK_NUM(core_aborts[0], 1);
  core_end();
}

static void what_opens_below_is_cancelled_too(void) {
  set_up();
  cancel_request(outer, explicit_reason());
  CancelStatus *late = core_open(inner);
  CHECK(late->effective && !late->called);
  CHECK(late->reason == explicit_reason());
  CancelStatus *shielded = cancel_open(&core_sched, inner, INFINITY, true);
  CHECK(!shielded->effective && shielded->reason == NULL);
  core_end();
}

static void a_shield_keeps_it_out(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  core_sleeper(0, deep);
  cancel_set_shield(inner, true);
  cancel_request(outer, explicit_reason());
  CHECK(outer->effective && !inner->effective && !deep->effective);
  CHECK(!cancel_parent_visible(inner));
  CHECK(core_tasks[0].state == TASK_PARKED);
  cancel_set_shield(inner, false);
  CHECK(inner->effective && deep->effective);
  CHECK(cancel_parent_visible(inner));
  CHECK(core_tasks[0].state == TASK_READY);
  core_end();
}

static void a_shield_set_late_withdraws_it(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  cancel_request(outer, explicit_reason());
  cancel_set_shield(inner, true);
  CHECK(!inner->effective && !deep->effective);
  core_end();
}

static void a_shield_does_not_protect_from_itself(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  cancel_set_shield(inner, true);
  cancel_request(inner, explicit_reason());
  CHECK(inner->effective && deep->effective);
  core_end();
}

static void the_origin_is_the_outermost_that_passes_it_on(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  CHECK(cancel_origin(deep) == deep);
  cancel_request(inner, explicit_reason());
  CHECK(cancel_origin(deep) == inner);
  cancel_request(outer, explicit_reason());
  CHECK(cancel_origin(deep) == outer);
  cancel_set_shield(inner, true);
  CHECK(cancel_origin(deep) == inner);
  core_end();
}

static void whoever_enters_a_cancelled_one_asleep_is_interrupted(void) {
  set_up();
  core_sleeper(0, outer);
  cancel_request(inner, explicit_reason());
  CHECK(core_tasks[0].state == TASK_PARKED);
  cancel_attach(&core_tasks[0], inner);
  CHECK(core_tasks[0].state == TASK_READY);
  CHECK(core_tasks[0].cancel_reason == explicit_reason());
  core_end();
}

// ---- deadlines

static void a_deadline_cancels_when_it_is_due(void) {
  set_up();
  cancel_set_deadline(inner, 3);
  core_sleeper(0, inner);
  CHECK_NUM(sched_next_deadline(&core_sched), 3);
  CHECK(!sched_expire(&core_sched, 2));
  core_now = 3;
  CHECK(sched_expire(&core_sched, core_now));
  CHECK(inner->called && inner->effective && !outer->effective);
  CHECK(inner->reason->source == CANCEL_DEADLINE);
  CHECK_NUM(core_aborts[0], 1);
  CHECK_NUM(sched_next_deadline(&core_sched), INFINITY);
  core_end();
}

static void a_deadline_moves_until_it_has_fired(void) {
  set_up();
  CancelStatus *c = cancel_open(&core_sched, inner, 3, false);
  cancel_set_deadline(c, 5);
  CHECK_NUM(sched_next_deadline(&core_sched), 5);
  cancel_set_deadline(c, INFINITY);
  CHECK_NUM(sched_next_deadline(&core_sched), INFINITY);
  cancel_set_deadline(c, -1);
  CHECK_NUM(sched_next_deadline(&core_sched), -1);
  CHECK(!c->called);  // only the loop fires it
  sched_expire(&core_sched, 0);
  CHECK(c->called);
  cancel_set_deadline(c, 7);
  CHECK_NUM(c->deadline, 7);
  CHECK_NUM(sched_next_deadline(&core_sched), INFINITY);
  core_end();
}

static void a_request_stops_the_deadline(void) {
  set_up();
  cancel_set_deadline(inner, 3);
  cancel_request(inner, explicit_reason());
  CHECK_NUM(core_sched.timers.count, 0);
  CHECK(inner->reason == explicit_reason());
  core_end();
}

static void closing_stops_the_deadline(void) {
  set_up();
  cancel_set_deadline(inner, 3);
  cancel_close(inner);
  CHECK_NUM(core_sched.timers.count, 0);
  core_end();
}

static void a_look_at_a_scope_sees_that_its_time_is_up(void) {
  set_up();
  cancel_set_deadline(inner, 3);
  core_now = 4;
  cancel_set_shield(inner, true);  // the loop has not noticed yet
  CHECK(inner->called && inner->effective);
  CHECK(inner->reason->source == CANCEL_DEADLINE);
  CHECK_NUM(core_sched.timers.count, 0);
  core_end();
}

static void the_effective_deadline_ends_at_a_shield(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  CHECK_NUM(cancel_effective_deadline(deep), INFINITY);
  cancel_set_deadline(outer, 2);
  cancel_set_deadline(inner, 3);
  cancel_set_deadline(deep, 4);
  CHECK_NUM(cancel_effective_deadline(deep), 2);
  cancel_set_shield(inner, true);
  CHECK_NUM(cancel_effective_deadline(deep), 3);
  cancel_set_shield(deep, true);
  CHECK_NUM(cancel_effective_deadline(deep), 4);
  cancel_request(deep, explicit_reason());
  CHECK_NUM(cancel_effective_deadline(deep), -INFINITY);
  CHECK_NUM(cancel_effective_deadline(inner), 3);
  CHECK_NUM(cancel_effective_deadline(NULL), INFINITY);
  core_end();
}

// ---- reasons

static void the_first_reason_sticks(void) {
  set_up();
  CancelReason *first = cancel_reason_new(CANCEL_EXPLICIT, "first", "A");
  CancelReason *second = cancel_reason_new(CANCEL_NURSERY, "second", "B");
  cancel_request(inner, first);
  cancel_request(inner, second);
  CHECK(inner->reason == first);
  CHECK(strcmp(first->text, "first") == 0 && strcmp(first->task, "A") == 0);
  cancel_request(outer, second);
  CHECK(inner->reason == first && outer->reason == second);
  CHECK_NUM(second->references, 2);
  cancel_reason_set(&first, NULL);
  cancel_reason_set(&second, NULL);
  core_end();
}

static void reasons_are_inherited(void) {
  set_up();
  CancelStatus *deep = core_open(inner);
  CancelReason *r = cancel_reason_new(CANCEL_EXPLICIT, "stop", NULL);
  core_sleeper(0, deep);
  cancel_request(outer, r);
  CHECK(inner->reason == r && deep->reason == r);
  CHECK(core_tasks[0].cancel_reason == r);
  CHECK(r->task == NULL);
  cancel_request(deep, explicit_reason());  // it has a reason already
  CHECK(deep->reason == r);
  cancel_close(inner);  // misnested: keeps what it has
  CHECK(inner->reason == r);
  cancel_reason_set(&r, NULL);
  core_end();
}

static void an_inherited_reason_sticks_too(void) {
  set_up();
  CancelReason *r = cancel_reason_new(CANCEL_EXPLICIT, "stop", NULL);
  cancel_request(outer, r);
  cancel_set_shield(inner, true);  // withdrawn
  CancelStatus *other = core_open(NULL);
  cancel_request(other, explicit_reason());
  cancel_set_parent(inner, other);
  cancel_set_shield(inner, false);
  CHECK(inner->effective && inner->reason == r);
  cancel_reason_set(&r, NULL);
  core_end();
}

static void a_reason_lives_as_long_as_it_is_needed(void) {
  core_begin();
  size_t before = mem_live_blocks();
  CancelStatus *c = core_open(NULL);
  CancelReason *r = cancel_reason_new(CANCEL_EXPLICIT, "stop", "me");
  cancel_request(c, r);
  cancel_reason_set(&r, NULL);
  CHECK(r == NULL);
  CHECK(strcmp(c->reason->text, "stop") == 0);
  cancel_reason_set(&c->reason, c->reason);
  CHECK_NUM(c->reason->references, 1);
  cancel_close(c);
  // The status, in the pool, and the heap with a place for its timer.
  CHECK_NUM(mem_live_blocks(), before + 2);
  core_end();
  CHECK_NUM(mem_live_blocks(), before);
}

static void without_memory_a_reason_has_no_text(void) {
  core_begin();
  size_t before = mem_live_blocks();
  mem_set_budget(0);
  CancelReason *r = cancel_reason_new(CANCEL_NURSERY, "text", "task");
  CHECK(r == cancel_reason_bare(CANCEL_NURSERY));
  cancel_reason_set(&r, NULL);
  mem_set_budget(1);
  r = cancel_reason_new(CANCEL_NURSERY, "text", "task");
  CHECK(r->source == CANCEL_NURSERY && r->text == NULL && r->task == NULL);
  cancel_reason_set(&r, NULL);
  mem_set_budget(0);
  CHECK(core_open(NULL) == NULL);
  mem_set_budget(-1);
  CHECK_NUM(mem_live_blocks(), before);
  core_end();
}

static void sources_have_names(void) {
  CHECK(strcmp(cancel_source_name(CANCEL_UNKNOWN), "unknown") == 0);
  CHECK(strcmp(cancel_source_name(CANCEL_DEADLINE), "deadline") == 0);
  CHECK(strcmp(cancel_source_name(CANCEL_EXPLICIT), "explicit") == 0);
  CHECK(strcmp(cancel_source_name(CANCEL_NURSERY), "nursery") == 0);
  CHECK(strcmp(cancel_source_name(CANCEL_SHUTDOWN), "shutdown") == 0);
  CHECK(strcmp(cancel_source_name(CANCEL_KEYBOARD_INTERRUPT),
               "KeyboardInterrupt") == 0);
  for (int i = 0; i <= CANCEL_KEYBOARD_INTERRUPT; i++) {
    CHECK(cancel_reason_bare((CancelSource)i)->source == (CancelSource)i);
  }
}

int main(void) {
  UNIT_RUN(nothing_is_cancelled_at_first);
  UNIT_RUN(a_request_reaches_everything_below);
  UNIT_RUN(only_sleepers_are_interrupted);
  UNIT_RUN(a_second_request_interrupts_nobody);
  UNIT_RUN(what_opens_below_is_cancelled_too);
  UNIT_RUN(a_shield_keeps_it_out);
  UNIT_RUN(a_shield_set_late_withdraws_it);
  UNIT_RUN(a_shield_does_not_protect_from_itself);
  UNIT_RUN(the_origin_is_the_outermost_that_passes_it_on);
  UNIT_RUN(whoever_enters_a_cancelled_one_asleep_is_interrupted);
  UNIT_RUN(a_deadline_cancels_when_it_is_due);
  UNIT_RUN(a_deadline_moves_until_it_has_fired);
  UNIT_RUN(a_request_stops_the_deadline);
  UNIT_RUN(closing_stops_the_deadline);
  UNIT_RUN(a_look_at_a_scope_sees_that_its_time_is_up);
  UNIT_RUN(the_effective_deadline_ends_at_a_shield);
  UNIT_RUN(the_first_reason_sticks);
  UNIT_RUN(reasons_are_inherited);
  UNIT_RUN(an_inherited_reason_sticks_too);
  UNIT_RUN(a_reason_lives_as_long_as_it_is_needed);
  UNIT_RUN(without_memory_a_reason_has_no_text);
  UNIT_RUN(sources_have_names);
  return unit_done();
}
