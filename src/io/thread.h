// SPDX-License-Identifier: MIT
// thread.h: what the files of trio.to_thread and trio.from_thread share.
//
// A Job is a call of a Lua function in a worker; a Request is a call that code
// in a worker makes into a run. Both are C memory with one reference for each
// side, and carry parcels. A worker reaches the run through its TokenQueue
// only; all fields that are not said to be the worker's are the run's thread's.
// The order of things is written in lua/trio/thread.lua.
#ifndef TRIO_IO_THREAD_H
#define TRIO_IO_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "../api/token_c.h"
#include "../bind/await.h"
#include "parcel.h"
#include "worker.h"

struct Request;

typedef struct Job {
  Work work;
  atomic_int references;
  TokenQueue *token;   // of the run that started it
  Parcel call;         // for the worker
  char *path, *cpath;  // package.path and cpath for the worker
  bool installed;      // trio.install was called
  bool warnings;       // are on in the state of the run
  bool has_host;       // a task waits for it, or has abandoned it
  bool abandon;        // option abandon_on_cancel
  TokenCall delivery;  // of the result
  Parcel result;       // of the worker: results, or error and traceback
  bool ok;             // which of these
  atomic_int cancel;   // 0, or the code by which the host was interrupted
  const char *source;  // of the cancellation; set before `cancel`
  char *reason, *canceller;
  Task *host;               // while it waits
  struct Request *request;  // for the host to serve
} Job;

typedef struct Request {
  atomic_int references;
  Job *job;  // whose host serves it; NULL: anybody
  bool sync;
  Parcel call, reply;
  pthread_mutex_t mutex;
  pthread_cond_t answered;
  enum { REQUEST_OPEN, REQUEST_OK, REQUEST_ERROR, REQUEST_DROPPED } state;
} Request;

// The job of this thread, or NULL: it is no worker, or does other work.
extern _Thread_local Job *thread_job;

// A reference less. Any thread.
void thread_release(Job *job);

// Push the Lua function that lua/trio/thread.lua gave under that name.
// [-0, +1, -]
void thread_push_callback(lua_State *L, const char *name);

// thread_request.c: push a Lua object with the request, which is its own from
// now on. [-0, +1, m]
void thread_push_request(lua_State *L, Request *r);
// Nobody will serve the request. Any thread.
void thread_drop_request(void *request);
// Add its functions to the table on top. [-0, +0, m]
void thread_request_open(lua_State *L);

#endif
