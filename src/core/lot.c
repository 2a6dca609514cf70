// SPDX-License-Identifier: MIT
// lot.c: see lot.h.
#include "lot.h"

void lot_init(Lot *lot) {
  list_init(&lot->parked);
  list_init(&lot->breakers);
  lot->count = 0;
  lot->broken = false;
}

struct Task *lot_unpark(Lot *lot, int code) {
  struct Task *t = lot_first(lot);
  if (t == NULL) return NULL;
  lot_remove(t);
  task_wake(t, code);
  return t;
}

void lot_repark(Lot *from, Lot *to, int count) {
  while (count-- > 0) {
    struct Task *t = lot_first(from);
    if (t == NULL) return;
    lot_remove(t);
    lot_park(to, t);
  }
}

void lot_break(Lot *lot) {
  lot->broken = true;
  while (lot_unpark(lot, WAKE_BROKEN) != NULL) continue;
}

void lot_add_breaker(Lot *lot, LotBreaker *breaker, struct Task *t) {
  breaker->lot = lot;
  breaker->task = t;
  breaker->broke = false;
  list_push(&t->breaks, &breaker->task_link);
  list_push(&lot->breakers, &breaker->lot_link);
}

void lot_remove_breaker(LotBreaker *breaker) {
  if (link_is_linked(&breaker->task_link)) list_remove(&breaker->task_link);
  list_remove(&breaker->lot_link);
  breaker->lot = NULL;
}

bool lot_task_ends(struct Task *t) {
  bool broke = !list_is_empty(&t->breaks);
  Link *link;
  while ((link = list_shift(&t->breaks)) != NULL) {
    LotBreaker *breaker = CONTAINER_OF(link, LotBreaker, task_link);
    breaker->broke = true;
    lot_break(breaker->lot);
  }
  return broke;
}

void lot_deinit(Lot *lot) {
  Link *link;
  while ((link = list_first(&lot->breakers)) != NULL) {
    lot_remove_breaker(CONTAINER_OF(link, LotBreaker, lot_link));
  }
}
