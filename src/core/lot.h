// SPDX-License-Identifier: MIT
// lot.h: the parking lot: a FIFO queue of parked tasks, the one wait queue
// that every primitive is built on (Trio: ParkingLot).
//
// A lot can *break*: everybody in it is woken with WAKE_BROKEN. A task may be
// registered as a breaker of a lot: when it ends, the lot breaks.
#ifndef TRIO_CORE_LOT_H
#define TRIO_CORE_LOT_H

#include <stdbool.h>

#include "../base/list.h"
#include "task.h"

typedef struct Lot {
  List parked;    // by wait_link
  int count;      // length of `parked`
  List breakers;  // LotBreaker, by lot_link
  bool broken;
} Lot;

// One registration. Its memory belongs to who registered it.
typedef struct LotBreaker {
  Link task_link;  // in task->breaks while the task lives
  Link lot_link;   // in lot->breakers
  Lot *lot;
  struct Task *task;  // only to be compared once `broke` is set
  bool broke;         // the task has ended and broke the lot
} LotBreaker;

void lot_init(Lot *lot);

// Queue a task that is parked or about to park.
static inline void lot_park(Lot *lot, struct Task *t) {
  list_push(&lot->parked, &t->wait_link);
  t->lot = lot;
  lot->count++;
}

// Take a task out of the lot that it stands in. The default abort.
static inline void lot_remove(struct Task *t) {
  list_remove(&t->wait_link);
  t->lot->count--;
  t->lot = NULL;
}

// The longest waiting task, or NULL.
static inline struct Task *lot_first(const Lot *lot) {
  Link *link = list_first(&lot->parked);
  return link == NULL ? NULL : CONTAINER_OF(link, struct Task, wait_link);
}

// Take out and wake the longest waiting task; NULL if there is none.
struct Task *lot_unpark(Lot *lot, int code);
// Move up to `count` tasks, in order, to the end of another lot.
void lot_repark(Lot *from, Lot *to, int count);
// Wake everybody with WAKE_BROKEN and refuse later parks.
void lot_break(Lot *lot);

void lot_add_breaker(Lot *lot, LotBreaker *breaker, struct Task *t);
void lot_remove_breaker(LotBreaker *breaker);
// Break every lot that the ending task was registered for; was there one?
bool lot_task_ends(struct Task *t);
// The lot's memory goes: forget its registrations. Nobody may be parked in it.
void lot_deinit(Lot *lot);

#endif
