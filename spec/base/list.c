// SPDX-License-Identifier: MIT
// The intrusive list: order of insertion, removal from anywhere, splicing.
#include "../../src/base/list.h"

#include "../support/unit.h"

typedef struct Thing {
  int value;
  Link link;
  Item item;
} Thing;

static List list, other;
static Thing items[5];

static void set_up(int count) {
  list_init(&list);
  for (int i = 0; i < 5; i++) items[i] = (Thing){.value = i};
  for (int i = 0; i < count; i++) list_push(&list, &items[i].link);
}

// The values from first to last as a decimal number; -1: a link back is wrong.
static int digits(const List *from) {
  int number = 0;
  const Link *left = &from->head;
  for (const Link *at = from->head.next; at != &from->head; at = at->next) {
    if (at->prev != left) return -1;
    number = number * 10 + CONTAINER_OF(at, Thing, link)->value;
    left = at;
  }
  return from->head.prev == left ? number : -1;
}

static void starts_empty(void) {
  set_up(0);
  CHECK(list_is_empty(&list));
  CHECK(list_first(&list) == NULL);
  CHECK(list_shift(&list) == NULL);
  CHECK(!link_is_linked(&items[0].link));
}

static void push_goes_behind_and_push_front_ahead(void) {
  set_up(0);
  list_push(&list, &items[2].link);
  list_push(&list, &items[3].link);
  list_push_front(&list, &items[1].link);
  CHECK_NUM(digits(&list), 123);
  CHECK(link_is_linked(&items[1].link));
}

static void insert_before_takes_the_place(void) {
  set_up(3);
  list_insert_before(&items[2].link, &items[4].link);
  CHECK_NUM(digits(&list), 142);
  list_insert_before(&items[0].link, &items[3].link);
  CHECK_NUM(digits(&list), 30142);
}

static void first_and_next_visit_all(void) {
  set_up(3);
  Link *link = list_first(&list);
  CHECK(link == &items[0].link);
  link = list_next(&list, link);
  CHECK(link == &items[1].link);
  link = list_next(&list, link);
  CHECK(link == &items[2].link);
  CHECK(list_next(&list, link) == NULL);
}

static void remove_leaves_the_rest_and_marks_the_link(void) {
  set_up(5);
  list_remove(&items[2].link);
  CHECK_NUM(digits(&list), 134);
  CHECK(!link_is_linked(&items[2].link));
  list_remove(&items[0].link);
  list_remove(&items[4].link);
  CHECK_NUM(digits(&list), 13);
  list_remove(&items[1].link);
  list_remove(&items[3].link);
  CHECK(list_is_empty(&list));
}

static void a_removed_link_can_be_pushed_again(void) {
  set_up(3);
  list_remove(&items[1].link);
  list_push(&list, &items[1].link);
  CHECK_NUM(digits(&list), 21);
}

static void shift_takes_from_the_front(void) {
  set_up(2);
  CHECK(list_shift(&list) == &items[0].link);
  CHECK(!link_is_linked(&items[0].link));
  CHECK(list_shift(&list) == &items[1].link);
  CHECK(list_shift(&list) == NULL);
  CHECK(list_is_empty(&list));
}

static void splice_moves_everything_to_the_end(void) {
  list_init(&other);
  set_up(2);
  list_push(&other, &items[3].link);
  list_push(&other, &items[4].link);
  list_splice(&list, &other);
  CHECK_NUM(digits(&list), 134);
  CHECK(list_is_empty(&other));
  list_push(&other, &items[2].link);
  CHECK_NUM(digits(&other), 2);
}

static void splice_copes_with_empty_lists(void) {
  list_init(&other);
  set_up(3);
  list_splice(&list, &other);
  CHECK_NUM(digits(&list), 12);
  CHECK(list_is_empty(&other));
  list_splice(&other, &list);
  CHECK_NUM(digits(&other), 12);
  CHECK(list_is_empty(&list));
}

static void a_queue_gives_from_the_front(void) {
  Queue queue;
  set_up(0);
  queue_init(&queue);
  CHECK(queue_shift(&queue) == NULL);
  queue_push(&queue, &items[1].item);
  queue_push(&queue, &items[2].item);
  queue_push_front(&queue, &items[0].item);
  for (int i = 0; i < 3; i++) CHECK(queue_shift(&queue) == &items[i].item);
  CHECK(queue_shift(&queue) == NULL);
  queue_push_front(&queue, &items[0].item);
  queue_push(&queue, &items[3].item);
  CHECK(queue_shift(&queue) == &items[0].item);
  CHECK(queue_shift(&queue) == &items[3].item);
  CHECK(queue.first == NULL);
}

int main(void) {
  UNIT_RUN(starts_empty);
  UNIT_RUN(push_goes_behind_and_push_front_ahead);
  UNIT_RUN(insert_before_takes_the_place);
  UNIT_RUN(first_and_next_visit_all);
  UNIT_RUN(remove_leaves_the_rest_and_marks_the_link);
  UNIT_RUN(a_removed_link_can_be_pushed_again);
  UNIT_RUN(shift_takes_from_the_front);
  UNIT_RUN(splice_moves_everything_to_the_end);
  UNIT_RUN(splice_copes_with_empty_lists);
  UNIT_RUN(a_queue_gives_from_the_front);
  return unit_done();
}
