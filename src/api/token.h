// SPDX-License-Identifier: MIT
// token.h: the queue of calls into a run from outside of its tasks, and the
// system task that works it off (Trio: TrioToken, EntryQueue).
#ifndef TRIO_API_TOKEN_H
#define TRIO_API_TOKEN_H

#include "../bind/runner.h"

typedef struct TokenQueue TokenQueue;

// Make the run's queue, in its registry. [-0, +0, v]
void token_begin(lua_State *L, Runner *R);
// The run is over: refuse calls from now on. No Lua, no failure.
void token_end(Runner *R);
// No task waits for calls any more: let the queue go.
void token_deinit(Runner *R);
// The body of the system task `<TrioToken.run_sync_soon task>`.
int token_main(lua_State *L);
// Did another thread queue a call since the last pass?
bool token_is_pending(const Runner *R);
// Calls that wait in the queue.
int token_size(const Runner *R);

#endif
