// SPDX-License-Identifier: MIT
// cancel.h: the tree of cancel statuses.
//
// Every entered cancel scope has one CancelStatus; a task points to its
// innermost one. A status is *effectively* cancelled if cancellation was
// requested for it, or if its parent is effectively cancelled and it does not
// shield. `effective` is kept current eagerly: whoever changes an input calls
// in here, the change walks down the tree (no recursion, no allocation), and
// sleeping tasks below are aborted before the call returns.
//
// Statuses live in C memory pooled by the scheduler, never in the memory of
// the Lua object: a scope that is collected while open can't dangle.
#ifndef TRIO_CORE_CANCEL_H
#define TRIO_CORE_CANCEL_H

#include <stdbool.h>

#include "../base/list.h"
#include "sched.h"

struct Task;

typedef enum CancelSource {
  CANCEL_UNKNOWN,
  CANCEL_DEADLINE,
  CANCEL_EXPLICIT,
  CANCEL_NURSERY,
  CANCEL_SHUTDOWN,
  CANCEL_KEYBOARD_INTERRUPT
} CancelSource;

// Why a scope was cancelled. Shared by reference; the strings may be NULL.
typedef struct CancelReason {
  int references;  // < 0: static, never freed
  CancelSource source;
  char *text;  // owned
  char *task;  // owned; describes the task that cancelled
} CancelReason;

extern CancelReason cancel_reason_misnesting;

// A new reason with one reference, or a static text-less one of the same
// source where memory is short. `text` and `task` are copied, may be NULL.
CancelReason *cancel_reason_new(CancelSource source, const char *text,
                                const char *task);
// *place = reason, with reference counts; reason may be NULL.
void cancel_reason_set(CancelReason **place, CancelReason *reason);
// The static reason of that source, without text.
CancelReason *cancel_reason_bare(CancelSource source);
// "deadline", "explicit"...
const char *cancel_source_name(CancelSource source);

typedef struct CancelStatus {
  Sched *sched;
  struct CancelStatus *parent;  // NULL for the outermost, or abandoned
  List children;                // by sibling_link
  Link sibling_link;
  List tasks;          // whose innermost status this is, by cancel_link
  size_t task_count;   // length of `tasks`
  size_t undelivered;  // tasks not yet visited by a delivery
  Link delivery_link;  // in sched->deliveries, during one
  Timer timer;         // queued while open, not cancelled, deadline finite
  double deadline;
  uint64_t serial;  // unique in the run, never 0
  bool shield;
  bool called;     // cancellation was requested
  bool effective;  // see above
  bool abandoned;  // a status above it was closed while it was open
  CancelReason *reason;
  const void *scope;  // address of the Lua object, only for messages
  struct CancelStatus *next_free;  // in the pool
  struct CancelStatus *next;       // in the list of all of this run
} CancelStatus;

// A new open status below `parent`, or NULL for lack of memory.
CancelStatus *cancel_open(Sched *s, CancelStatus *parent, double deadline,
                          bool shield);
// Take it out of the tree. What still stands below it is marked abandoned and
// becomes cancelled (misnesting); then the status waits, outside the tree, for
// the end of the run. Otherwise it goes back to the pool.
void cancel_close(CancelStatus *c);

// Request cancellation; the first reason sticks. Aborts sleepers below.
void cancel_request(CancelStatus *c, CancelReason *reason);
void cancel_set_shield(CancelStatus *c, bool shield);
void cancel_set_deadline(CancelStatus *c, double deadline);
// Put it below another parent, delivering what that brings.
void cancel_set_parent(CancelStatus *c, CancelStatus *parent);

// Is a cancellation of the parent visible through this status?
bool cancel_parent_visible(const CancelStatus *c);
// The outermost status that passes its cancellation on to this one.
const CancelStatus *cancel_origin(const CancelStatus *c);
bool cancel_encloses(const CancelStatus *outer, const CancelStatus *inner);
// Minimum deadline up to the first shield; -INFINITY if cancelled.
double cancel_effective_deadline(const CancelStatus *c);

// Make `c` (or NULL) the task's innermost status, delivering what that brings.
void cancel_attach(struct Task *t, CancelStatus *c);

// Free every status of the run, at its end.
void cancel_free_all(Sched *s);

#endif
