// SPDX-License-Identifier: MIT
// worker.h: a cache of OS threads, each with a Lua state of its own.
//
// A worker does one Work after the other; one that has had none for ten
// seconds ends. The state has Lua's libraries and trio, is made for the first
// work and kept for the next ones. Nothing here knows runs or tasks.
// Signals that the interpreter handles by touching a Lua state are blocked in
// workers: they go to the threads of the program.
#ifndef TRIO_IO_WORKER_H
#define TRIO_IO_WORKER_H

#include <lua.h>

typedef struct Work {
  // In the worker. L is NULL if there is no memory for a Lua state; the stack
  // is empty. Must not raise.
  void (*run)(lua_State *L, struct Work *work);
  // In the worker, once it counts as idle: a work started by now may get the
  // same worker. May free the work.
  void (*deliver)(struct Work *work);
  char name[16];  // of the thread meanwhile; empty: the usual one
} Work;

// Let the worker that became idle last, or a new one, do the work. Returns 0,
// or an errno. Any thread.
int worker_start(Work *work);

// Wait a second at most until all works are done, then let every idle worker
// collect its garbage. For tests.
void worker_collect(void);

// How many workers are there?
int worker_count(void);

#endif
