// SPDX-License-Identifier: MIT
// stream.h: the stream object: stream.c has what it does, stream_kinds.c the
// classes and how they are made. For these two and listener.c.
#ifndef TRIO_IO_STREAM_H
#define TRIO_IO_STREAM_H

#include "../bind/class.h"
#include "../bind/resource.h"
#include "socket.h"
#include "watch.h"

typedef struct Stream {
  ClassHead head;
  Socket *socket;     // user value 1; NULL for an FdStream
  Resource resource;  // of an FdStream
  int fd;             // of an FdStream, -1 once closed
  int old_flags;      // of an FdStream: what it gets back when closed
  bool can_drain;     // a short read means that nothing is left
  bool drained;       // the last read was short: wait before reading again
  bool sending;       // send_all is under way
  size_t sent;        // how much of its data is
  Watch *reading, *writing;  // while a task waits
} Stream;

extern const Class socket_stream_class, fd_stream_class;

// Push a stream over the socket at this (absolute) index. [-0, +1, m]
Stream *stream_new(lua_State *L, int socket);
// Set what such a stream sets of a connected socket; is it set?
void stream_tune(const Socket *socket);
bool stream_is_tuned(const Socket *socket);

// The stream at index 1. [v]
Stream *stream_check(lua_State *L);
// Its descriptor, -1 once closed.
int stream_fd(const Stream *s);
// For Resource: close the descriptor of an FdStream.
void stream_close_fd(lua_State *L, Resource *r);

// The methods; `stream_next` is a step of a loop.
int stream_receive_some(lua_State *L);
int stream_next(lua_State *L);
int stream_send_all(lua_State *L);
int stream_wait_send(lua_State *L);
int stream_send_eof(lua_State *L);
int stream_close(lua_State *L);
int stream_aclose(lua_State *L);

#endif
