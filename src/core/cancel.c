// SPDX-License-Identifier: MIT
// cancel.c: see cancel.h. The walk down the tree only changes flags and
// collects the statuses whose tasks are to be interrupted; the aborts come
// afterwards, because an abort function written in Lua may change the tree
// again.
#include "cancel.h"

#include "../base/debug.h"
#include "../base/mem.h"
#include "task.h"

static char misnesting_text[] = "misnesting";
CancelReason cancel_reason_misnesting = {-1, CANCEL_UNKNOWN, misnesting_text,
                                         NULL};
static CancelReason bare_reasons[] = {
    {-1, CANCEL_UNKNOWN, NULL, NULL},
    {-1, CANCEL_DEADLINE, NULL, NULL},
    {-1, CANCEL_EXPLICIT, NULL, NULL},
    {-1, CANCEL_NURSERY, NULL, NULL},
    {-1, CANCEL_SHUTDOWN, NULL, NULL},
    {-1, CANCEL_KEYBOARD_INTERRUPT, NULL, NULL},
};

CancelReason *cancel_reason_bare(CancelSource source) {
  return &bare_reasons[source];
}

CancelReason *cancel_reason_new(CancelSource source, const char *text,
                                const char *task) {
  CancelReason *r = mem_alloc(sizeof(CancelReason));
  if (r == NULL) return cancel_reason_bare(source);
  r->references = 1;
  r->source = source;
  r->text = text == NULL ? NULL : mem_strdup(text);
  r->task = task == NULL ? NULL : mem_strdup(task);
  return r;
}

static void reason_release(CancelReason *r) {
  if (r->references < 0 || --r->references > 0) return;
  mem_free(r->text);
  mem_free(r->task);
  mem_free(r);
}

void cancel_reason_set(CancelReason **place, CancelReason *reason) {
  CancelReason *old = *place;
  if (old == reason) return;
  if (reason != NULL && reason->references > 0) reason->references++;
  *place = reason;
  if (old != NULL) reason_release(old);
}

const char *cancel_source_name(CancelSource source) {
  switch (source) {
    case CANCEL_UNKNOWN:
      return "unknown";
    case CANCEL_DEADLINE:
      return "deadline";
    case CANCEL_EXPLICIT:
      return "explicit";
    case CANCEL_NURSERY:
      return "nursery";
    case CANCEL_SHUTDOWN:
      return "shutdown";
    case CANCEL_KEYBOARD_INTERRUPT:
      return "KeyboardInterrupt";
  }
  UNREACHABLE();
}

static void on_deadline(Timer *timer) {
  CancelStatus *c = CONTAINER_OF(timer, CancelStatus, timer);
  cancel_request(c, cancel_reason_bare(CANCEL_DEADLINE));
}

static CancelStatus *take_from_pool(Sched *s) {
  CancelStatus *c = s->free_statuses;
  if (c != NULL) {
    s->free_statuses = c->next_free;
    return c;
  }
  if (!heap_reserve(&s->timers)) return NULL;
  c = mem_alloc(sizeof(CancelStatus));
  if (c == NULL) {
    heap_unreserve(&s->timers);
    return NULL;
  }
  c->next = s->statuses;
  s->statuses = c;
  c->sched = s;
  c->timer.fire = on_deadline;
  list_init(&c->children);
  list_init(&c->tasks);
  return c;
}

CancelStatus *cancel_open(Sched *s, CancelStatus *parent, double deadline,
                          bool shield) {
  CancelStatus *c = take_from_pool(s);
  if (c == NULL) return NULL;
  c->parent = parent;
  c->deadline = deadline;
  c->serial = ++s->opened;
  c->shield = shield;
  c->called = false;
  c->effective = false;
  c->abandoned = false;
  c->reason = NULL;
  c->scope = NULL;
  if (parent != NULL) {
    list_push(&parent->children, &c->sibling_link);
    if (parent->effective && !shield) {
      cancel_reason_set(&c->reason, parent->reason);
      c->effective = true;
    }
  }
  if (deadline != INFINITY) sched_set_timer(s, &c->timer, deadline);
  return c;
}

bool cancel_parent_visible(const CancelStatus *c) {
  return c->parent != NULL && !c->shield && c->parent->effective;
}

const CancelStatus *cancel_origin(const CancelStatus *c) {
  while (cancel_parent_visible(c)) c = c->parent;
  return c;
}

// Interrupt the tasks of the collected statuses, one by one. An abort function
// may call in here again; then the outer call goes on with what the inner one
// added. Who was visited goes to the end of its list, as does who is attached
// meanwhile: so the others stand in front, at most `undelivered` of them.
static void deliver(Sched *s) {
  Link *first;
  while ((first = list_first(&s->deliveries)) != NULL) {
    CancelStatus *c = CONTAINER_OF(first, CancelStatus, delivery_link);
    Link *link = list_first(&c->tasks);
    if (link == NULL || c->undelivered == 0) {
      list_remove(&c->delivery_link);
      continue;
    }
    c->undelivered--;
    const struct Task *next =
        CONTAINER_OF(link->next, struct Task, cancel_link);
    __builtin_prefetch(next);
    __builtin_prefetch(&next->values);
    __builtin_prefetch(&next->timer);
    list_remove(link);
    list_push(&c->tasks, link);
    if (c->effective) {
      task_abort(CONTAINER_OF(link, struct Task, cancel_link), WAKE_CANCELLED);
    }
  }
}

static void collect_tasks(CancelStatus *c) {
  c->undelivered = c->task_count;
  if (c->task_count > 0 && !link_is_linked(&c->delivery_link)) {
    list_push(&c->sched->deliveries, &c->delivery_link);
  }
}

// Whoever looks at a scope looks at the clock too (as in Trio): where its time
// is up it counts as cancelled from now on, before the loop has noticed.
static void expire(CancelStatus *c) {
  if (c->called || c->deadline == INFINITY) return;
  if (sched_now(c->sched) < c->deadline) return;
  if (c->reason == NULL) {
    cancel_reason_set(&c->reason, cancel_reason_bare(CANCEL_DEADLINE));
  }
  c->called = true;
  sched_stop_timer(c->sched, &c->timer);
}

// Bring one status up to date; did its state change?
static bool refresh(CancelStatus *c) {
  expire(c);
  bool visible = cancel_parent_visible(c);
  bool state = c->called || visible || (c->abandoned && c->parent == NULL);
  if (state == c->effective) return false;
  if (c->reason == NULL && visible) {
    cancel_reason_set(&c->reason, c->parent->reason);
  }
  c->effective = state;
  if (state) collect_tasks(c);
  return true;
}

// The status after `c` in a walk over the tree below `top`, where the subtree
// of `c` is entered only if `down`.
static CancelStatus *walk_on(CancelStatus *c, CancelStatus *top, bool down) {
  Link *child = down ? list_first(&c->children) : NULL;
  if (child != NULL) return CONTAINER_OF(child, CancelStatus, sibling_link);
  while (c != top) {
    Link *next = list_next(&c->parent->children, &c->sibling_link);
    if (next != NULL) return CONTAINER_OF(next, CancelStatus, sibling_link);
    c = c->parent;
  }
  return NULL;
}

static void recalculate(CancelStatus *top) {
  CancelStatus *c = top;
  while (c != NULL) c = walk_on(c, top, refresh(c));
  deliver(top->sched);
}

void cancel_request(CancelStatus *c, CancelReason *reason) {
  if (c->called) return;
  if (c->reason == NULL) cancel_reason_set(&c->reason, reason);
  c->called = true;
  sched_stop_timer(c->sched, &c->timer);
  recalculate(c);
}

void cancel_set_shield(CancelStatus *c, bool shield) {
  c->shield = shield;
  recalculate(c);
}

void cancel_set_deadline(CancelStatus *c, double deadline) {
  c->deadline = deadline;
  if (!c->called) sched_set_timer(c->sched, &c->timer, deadline);
}

void cancel_set_parent(CancelStatus *c, CancelStatus *parent) {
  if (c->parent != NULL) list_remove(&c->sibling_link);
  c->parent = parent;
  if (parent != NULL) {
    list_push(&parent->children, &c->sibling_link);
    recalculate(c);
  }
}

// Something is still open below a status that closes: mark all of it, and let
// it see a cancellation, so that the program can leave. Its reason says why.
static void abandon_below(CancelStatus *top) {
  for (CancelStatus *c = top; c != NULL; c = walk_on(c, top, true)) {
    c->abandoned = true;
  }
  if (top->reason == NULL) {
    cancel_reason_set(&top->reason, &cancel_reason_misnesting);
  }
  recalculate(top);
}

void cancel_close(CancelStatus *c) {
  sched_stop_timer(c->sched, &c->timer);
  cancel_set_parent(c, NULL);
  if (!list_is_empty(&c->tasks) || !list_is_empty(&c->children)) {
    abandon_below(c);  // stays outside the tree until the run ends
    return;
  }
  if (link_is_linked(&c->delivery_link)) list_remove(&c->delivery_link);
  cancel_reason_set(&c->reason, NULL);
  c->next_free = c->sched->free_statuses;
  c->sched->free_statuses = c;
}

bool cancel_encloses(const CancelStatus *outer, const CancelStatus *inner) {
  while (inner != NULL && inner != outer) inner = inner->parent;
  return inner == outer;
}

double cancel_effective_deadline(const CancelStatus *c) {
  double deadline = INFINITY;
  for (; c != NULL; c = c->parent) {
    if (c->effective) return -INFINITY;
    if (c->deadline < deadline) deadline = c->deadline;
    if (c->shield) break;
  }
  return deadline;
}

void cancel_attach(struct Task *t, CancelStatus *c) {
  if (t->cancel != NULL) {
    list_remove(&t->cancel_link);
    t->cancel->task_count--;
  }
  t->cancel = c;
  if (c == NULL) return;
  list_push(&c->tasks, &t->cancel_link);
  c->task_count++;
  if (c->effective) task_abort(t, WAKE_CANCELLED);
}

void cancel_free_all(Sched *s) {
  while (s->statuses != NULL) {
    CancelStatus *c = s->statuses;
    s->statuses = c->next;
    cancel_reason_set(&c->reason, NULL);
    mem_free(c);
  }
  s->free_statuses = NULL;
}
