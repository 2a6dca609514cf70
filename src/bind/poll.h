// SPDX-License-Identifier: MIT
// poll.h: the libuv loop of one Lua state, and how the runner waits in it.
//
// Owns the uv_loop_t, one timer and one async handle. Callbacks of other files
// on this loop may wake tasks and set flags; they never run Lua.
#ifndef TRIO_BIND_POLL_H
#define TRIO_BIND_POLL_H

#include <stdbool.h>

typedef struct Poll Poll;
struct uv_loop_s;

// A new loop, or NULL.
Poll *poll_new(void);
// One that uses a host's loop, or NULL. It must not be waited in.
Poll *poll_borrow(struct uv_loop_s *loop);
bool poll_is_borrowed(const Poll *p);
// After a fork the loop still shares what it waits in with the parent: give it
// its own. To be called before a run; false if that fails.
bool poll_renew(Poll *p);
// Close what is left open on the loop and free it. Of a host's loop only our
// own handles are closed; their memory goes when the host runs it again.
void poll_free(Poll *p);

// Process what is due. Blocks for at most `seconds` (0: not at all, INFINITY:
// until something happens). Did the whole time pass?
bool poll_wait(Poll *p, double seconds);
// In a callback on the loop: let poll_wait return without blocking any more.
void poll_stop(Poll *p);
// Make a blocked poll_wait return. Any thread, any signal handler.
void poll_wake(Poll *p);
// Is there anything on the loop, besides our own handles, that could happen?
bool poll_has_sources(Poll *p);
// Handles open on the loop besides our own.
int poll_count_handles(Poll *p);
struct uv_loop_s *poll_loop(Poll *p);

#endif
