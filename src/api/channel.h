// SPDX-License-Identifier: MIT
// channel.h: the state that the ends of a memory channel share, with its
// buffer. channel.c has the ends.
#ifndef TRIO_API_CHANNEL_H
#define TRIO_API_CHANNEL_H

#include "../bind/await.h"
#include "../bind/class.h"

// The buffer is a ring of `size` slots in a Lua table, the state's user value.
typedef struct Channel {
  ClassHead head;
  Lot senders;    // tasks that wait to send; the value stands at index 2
  Lot receivers;  // tasks that wait to receive
  double limit;   // max_buffer_size: whole, or INFINITY
  int open_send, open_receive;
  int size;   // slots of the ring, a power of two or 0
  int first;  // 0-based slot of the oldest item
  int used;   // items in the ring
  int peak;
} Channel;

extern const Class channel_class;

// Push a new state. [-0, +1, m]
Channel *channel_push(lua_State *L, double limit);

// These are for methods of an end, which stands at index 1. They leave the
// state and the ring on the stack: their callers return at once.

// Append the value at index 2; may raise before anything changes. [-0, +2, m]
void channel_append(lua_State *L, Channel *ch);
// Take the oldest item out; it is pushed last. [-0, +3, -]
void channel_take(lua_State *L, Channel *ch);
// Right after channel_take: append the value on top instead. [-1, +0, -]
void channel_refill(lua_State *L, Channel *ch);
// Drop all items and the ring's memory. [-0, +0, -]
void channel_drop(lua_State *L, Channel *ch);

// The table of the seven statistics. [-0, +1, m]
void channel_push_statistics(lua_State *L, const Channel *ch);

#endif
