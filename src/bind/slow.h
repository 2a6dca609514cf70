// SPDX-License-Identifier: MIT
// slow.h: finds tasks that hold the loop too long, while they do it
// (`trio-lua --slow-step`). A thread of its own watches a counter of steps; a
// step that lasts is interrupted by a signal, whose handler arms a debug hook,
// which calls a Lua function with a traceback. Costs nothing else.
#ifndef TRIO_BIND_SLOW_H
#define TRIO_BIND_SLOW_H

#include <lua.h>
#include <stdatomic.h>
#include <stdint.h>

#include "runner.h"

// Odd while a batch runs, and another number in each step. Written by the
// runner, read by the watching thread.
extern _Thread_local _Atomic uint64_t slow_steps
    __attribute__((tls_model("initial-exec")));

// Only the runner's thread writes: no atomic increment is needed.
static inline void slow_count(uint64_t by) {
  uint64_t step = atomic_load_explicit(&slow_steps, memory_order_relaxed);
  atomic_store_explicit(&slow_steps, step + by, memory_order_relaxed);
}

// The Lua state is closed: watch it no longer.
void slow_forget(const State *closed);

// Add trio._watch_steps to the module table on top. [-0, +0, m]
void slow_open(lua_State *L);

#endif
