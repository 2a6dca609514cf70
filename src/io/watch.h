// SPDX-License-Identifier: MIT
// watch.h: waiting until a descriptor is readable or writable.
//
// One Watch per descriptor of a loop, found in a table by its number. It is a
// uv_poll_t in C memory (never in the memory of a Lua object), with at most
// one waiting task in each direction. A watch stays armed between two waits,
// because the owner of a connection mostly comes back: that spares the system
// calls of stopping and starting. If nobody comes back it is disarmed.
// Whoever closes a descriptor calls watch_close first.
#ifndef TRIO_IO_WATCH_H
#define TRIO_IO_WATCH_H

#include "../bind/await.h"

typedef enum WatchSide { WATCH_READ, WATCH_WRITE } WatchSide;

typedef struct Watch Watch;

// The watch of the descriptor, made if needed; raises OSError for one that
// can't be watched, `what` names the operation. [v]
Watch *watch_get(lua_State *L, int fd, const char *what);

// Is a task waiting on that side of the descriptor?
bool watch_is_busy(lua_State *L, int fd, WatchSide side);

// Raise BusyResourceError if a task is waiting on that side. [v]
void watch_check(lua_State *L, int fd, WatchSide side);

// Has the descriptor become readable while nobody waited? Asked once only.
bool watch_take_readable(lua_State *L, int fd);

// Register the task for the side; for Op.start, after watch_get.
void watch_begin(Watch *w, WatchSide side, Task *t);
// Take it out again; for Op.abort.
void watch_cancel(Watch *w, WatchSide side);

// Stop watching everything: the state's loop is about to change.
void watch_forget_all(lua_State *L);

// The descriptor is about to be closed: wake who waits with WAKE_CLOSED and
// stop watching. Does nothing for one that is not watched. No failure.
void watch_close(lua_State *L, int fd);
// The same for a socket: the watch is kept for the next one with this number,
// because making a watch takes several system calls. No failure.
void watch_rest(lua_State *L, int fd);

#endif
