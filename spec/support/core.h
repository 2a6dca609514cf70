// SPDX-License-Identifier: MIT
// core.h: what the tests of src/core share: a scheduler on a clock that the
// test sets, tasks without coroutines, a record of who was aborted.
//
// A test begins with core_begin() and ends with core_end(), which frees the
// statuses: what a test leaks besides is found by the sanitizer.
#ifndef TRIO_SPEC_CORE_H
#define TRIO_SPEC_CORE_H

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/core/cancel.h"
#include "../../src/core/lot.h"
#include "../../src/core/sched.h"
#include "../../src/core/task.h"
#include "unit.h"

enum { CORE_TASKS = 8 };

static double core_now;
static Clock core_clock;
static Sched core_sched;
static Task core_tasks[CORE_TASKS];
static int core_aborts[CORE_TASKS];  // how often each was asked to stop
static int core_codes[CORE_TASKS];   // the code of the last time
static AbortResult core_answer;      // what they answer

static inline double core_read_clock(Clock *self) {
  UNUSED(self);
  return core_now;
}

static inline void core_begin(void) {
  core_now = 0;
  core_clock = (Clock){.now = core_read_clock};
  sched_init(&core_sched, &core_clock);
  memset(core_tasks, 0, sizeof core_tasks);
  memset(core_aborts, 0, sizeof core_aborts);
  memset(core_codes, 0, sizeof core_codes);
  core_answer = ABORT_DONE;
  for (int i = 0; i < CORE_TASKS; i++) task_init(&core_tasks[i], &core_sched);
}

static inline void core_end(void) {
  for (int i = 0; i < CORE_TASKS; i++) {
    cancel_attach(&core_tasks[i], NULL);
    cancel_reason_set(&core_tasks[i].cancel_reason, NULL);
  }
  sched_deinit(&core_sched);
}

static inline AbortResult core_abort(Task *t, void *self, int code) {
  UNUSED(self);
  core_aborts[t - core_tasks]++;
  core_codes[t - core_tasks] = code;
  return core_answer;
}

// Take it out of the queue, from wherever it stands.
static inline void core_dequeue(Task *t) {
  Queue others;
  queue_init(&others);
  Item *item;
  while ((item = queue_shift(&core_sched.ready)) != NULL) {
    if (item != &t->run_item) queue_push(&others, item);
  }
  core_sched.ready = others;
}

// Make it RUNNING as the loop does, from NEW or READY.
static inline Task *core_run(Task *t) {
  if (t->state == TASK_NEW) task_ready(t);
  if (t->state == TASK_READY) {
    core_dequeue(t);
    core_sched.ready_count--;
    t->state = TASK_RUNNING;
  }
  return t;
}

// A task that sleeps below `c`.
static inline Task *core_sleeper(int i, CancelStatus *c) {
  Task *t = core_run(&core_tasks[i]);
  if (t->cancel != c) cancel_attach(t, c);
  task_park(t, core_abort, NULL, "a test");
  return t;
}

static inline CancelStatus *core_open(CancelStatus *parent) {
  return cancel_open(&core_sched, parent, INFINITY, false);
}

// Does it end in a failed assertion? Runs in a process of its own.
static inline bool core_dies(void (*act)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    if (freopen("/dev/null", "w", stderr) == NULL) _exit(2);
    act();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
