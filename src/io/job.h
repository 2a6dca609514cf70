// SPDX-License-Identifier: MIT
// job.h: blocking work of files and paths, in libuv's pool of threads.
//
// A Job is embedded in a block of C memory that its owner keeps until the job
// has come back. Its `work` runs in another thread: it sees nothing but that
// block, and never Lua or a task. A task that waits for a job is woken when
// it is back and not before, also if it is cancelled: an operation that has
// begun on a file is soon over, and its outcome is then known. What may last
// (a pipe, a terminal) looks at job_should_stop while it waits.
#ifndef TRIO_IO_JOB_H
#define TRIO_IO_JOB_H

#include <stdatomic.h>
#include <uv.h>

#include "../bind/await.h"

typedef struct Job {
  uv_work_t req;
  void (*work)(struct Job *j);  // in a worker thread
  void (*done)(struct Job *j);  // afterwards, back in the loop's; or NULL
  Task *task;                   // who waits for it, or NULL
  int abort_code;               // why the waiting task wants to go, or 0
  atomic_bool stop;             // come back early if you can
  bool running;
  bool skipped;  // it was cancelled before a thread took it
  bool cut;      // set by `work`: it came back early
} Job;

// Hand it to the pool; `work` and `done` are set, `t` may be NULL. It can't
// fail.
void job_submit(Job *j, uv_loop_t *loop, Task *t);

// For Op.attempt of what always takes a job: so a cancellation that is already
// there is delivered before it begins.
int job_attempt(lua_State *L, Task *t, void *self);

// For Op.abort: ask it to come back.
AbortResult job_abort(Job *j, int code);

// For `work`: is somebody asking for that? Also true when the process exits,
// which would wait for the threads of the pool.
bool job_should_stop(const Job *j);

// The loop of the run that the task belongs to.
uv_loop_t *job_loop(const Task *t);

#endif
