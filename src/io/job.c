// SPDX-License-Identifier: MIT
// job.c: see job.h.
#include "job.h"

#include <stdlib.h>

#include "../base/debug.h"

static atomic_bool exiting;
static uv_once_t once = UV_ONCE_INIT;

static void on_exit_of_process(void) { atomic_store(&exiting, true); }

static void prepare(void) {
  int result = atexit(on_exit_of_process);
  UNUSED(result);
}

bool job_should_stop(const Job *j) {
  return atomic_load_explicit(&j->stop, memory_order_relaxed) ||
         atomic_load_explicit(&exiting, memory_order_relaxed);
}

static void run_job(uv_work_t *req) {
  Job *j = req->data;
  j->work(j);
}

static void on_back(uv_work_t *req, int status) {
  Job *j = req->data;
  Task *t = j->task;
  j->running = false;
  j->skipped = status == UV_ECANCELED;
  j->task = NULL;
  if (t != NULL) task_wake(t, WAKE_OK);
  if (j->done != NULL) j->done(j);
}

void job_submit(Job *j, uv_loop_t *loop, Task *t) {
  ASSERT(!j->running);
  uv_once(&once, prepare);
  j->req.data = j;
  j->task = t;
  j->abort_code = 0;
  j->skipped = false;
  j->cut = false;
  j->running = true;
  atomic_store(&j->stop, false);
  int result = uv_queue_work(loop, &j->req, run_job, on_back);
  ASSERT(result == 0);
  UNUSED(result);
}

int job_attempt(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  UNUSED(t);
  UNUSED(self);
  return WOULD_BLOCK;
}

AbortResult job_abort(Job *j, int code) {
  atomic_store(&j->stop, true);
  if (j->running) uv_cancel((uv_req_t *)&j->req);
  if (code == WAKE_DISCARDED) {
    j->task = NULL;
    return ABORT_DONE;
  }
  j->abort_code = code;
  return ABORT_PENDING;
}

uv_loop_t *job_loop(const Task *t) {
  return poll_loop(runner_of_task(t)->state->poll);
}
