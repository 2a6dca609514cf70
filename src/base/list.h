// SPDX-License-Identifier: MIT
// list.h: intrusive lists.
//
// List is a doubly linked ring. A Link sits inside the object that it
// chains; a List is the ring's head. No allocation, so no operation can fail.
// A Link that stands in no list has next == NULL (list_remove leaves it so).
#ifndef TRIO_BASE_LIST_H
#define TRIO_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "debug.h"

typedef struct Link {
  struct Link *next, *prev;
} Link;

typedef struct List {
  Link head;
} List;

static inline void list_init(List *list) {
  list->head.next = list->head.prev = &list->head;
}

static inline bool list_is_empty(const List *list) {
  return list->head.next == &list->head;
}

static inline bool link_is_linked(const Link *link) {
  return link->next != NULL;
}

static inline void list_insert_before(Link *place, Link *link) {
  link->next = place;
  link->prev = place->prev;
  place->prev->next = link;
  place->prev = link;
}

static inline void list_push(List *list, Link *link) {
  list_insert_before(&list->head, link);
}

static inline void list_push_front(List *list, Link *link) {
  list_insert_before(list->head.next, link);
}

static inline void list_remove(Link *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
  link->next = link->prev = NULL;
}

// First link, or NULL.
static inline Link *list_first(const List *list) {
  return list_is_empty(list) ? NULL : list->head.next;
}

// The link after `link`, or NULL at the end.
static inline Link *list_next(const List *list, const Link *link) {
  return link->next == &list->head ? NULL : link->next;
}

// Remove and return the first link, or NULL.
static inline Link *list_shift(List *list) {
  Link *link = list_first(list);
  if (link != NULL) list_remove(link);
  return link;
}

// Move everything from `from` to the end of `to`.
static inline void list_splice(List *to, List *from) {
  if (list_is_empty(from)) return;
  Link *first = from->head.next, *last = from->head.prev;
  Link *tail = to->head.prev;
  tail->next = first;
  first->prev = tail;
  last->next = &to->head;
  to->head.prev = last;
  list_init(from);
}

// Queue is chained one way only: what goes in at either end comes out at the
// front. Cheaper, for the tasks that are ready.
typedef struct Item {
  struct Item *next;
} Item;

typedef struct Queue {
  Item *first;
  Item *last;  // meaningless in an empty one
} Queue;

static inline void queue_init(Queue *queue) {
  queue->first = queue->last = NULL;
}

static inline void queue_push(Queue *queue, Item *item) {
  item->next = NULL;
  if (queue->first == NULL) {
    queue->first = item;
  } else {
    queue->last->next = item;
  }
  queue->last = item;
}

static inline void queue_push_front(Queue *queue, Item *item) {
  item->next = queue->first;
  if (queue->first == NULL) queue->last = item;
  queue->first = item;
}

// Remove and return the first item, or NULL.
static inline Item *queue_shift(Queue *queue) {
  Item *item = queue->first;
  if (item != NULL) queue->first = item->next;
  return item;
}

#endif
