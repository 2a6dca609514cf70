// SPDX-License-Identifier: MIT
// socket.h: the socket object, for the other files of this layer: socket.c
// has its construction and plain methods, transfer.c those that may wait.
#ifndef TRIO_IO_SOCKET_H
#define TRIO_IO_SOCKET_H

#include "../bind/class.h"
#include "../bind/resource.h"
#include "watch.h"

typedef struct Socket {
  ClassHead head;
  Resource resource;
  int fd;  // -1 once closed or detached
  int family, type, proto;
  bool shut_write;  // SHUT_WR was done
  bool drained;     // the last read was short: wait before reading again
  bool tuned;       // what it accepts has the options of a SocketStream
  Watch *watch;     // while a task waits in one of its methods
} Socket;

// User values of a socket object.
enum { SOCKET_SPARE = 1, SOCKET_USER_VALUES = 1 };  // see transfer_accept

extern const Class socket_class;

// The parts of an Op on a socket: watch it from `start` on, stop watching.
void socket_start_reading(lua_State *L, Task *t, void *self);
void socket_start_writing(lua_State *L, Task *t, void *self);
AbortResult socket_stop_reading(Task *t, void *self, int code);
AbortResult socket_stop_writing(Task *t, void *self, int code);
// For `finish`: try again, and wait again while that would block. The socket
// stands at index 1. [y]
int socket_retry(lua_State *L, Task *t, Socket *s, int code,
                 int (*attempt)(lua_State *, Task *, void *), const Op *again);

// Replace the value at idx, a string or an array of strings, by one string.
// Raises an argument error for anything else. [-0, +0, v]
void socket_join_parts(lua_State *L, int idx);

// The methods getsockopt and setsockopt, with the socket at index 1.
int socket_getsockopt(lua_State *L);
int socket_setsockopt(lua_State *L);

// The methods of message.c.
int message_send(lua_State *L);
int message_receive(lua_State *L);

// The methods of transfer.c.
int transfer_accept(lua_State *L);
int transfer_connect(lua_State *L);
int transfer_recv(lua_State *L);
int transfer_recvfrom(lua_State *L);
int transfer_send(lua_State *L);
int transfer_sendto(lua_State *L);
int transfer_wait_writable(lua_State *L);

// Push a closed socket object. [-0, +1, m]
Socket *socket_new(lua_State *L);

// Make the descriptor the object's own. It can't fail, so that no descriptor
// is ever without an owner; then call resource_origin.
void socket_adopt(lua_State *L, Socket *s, int fd, int family, int type,
                  int proto);

// The socket at idx, open, or an error (ClosedResourceError). [v]
Socket *socket_check(lua_State *L, int idx);

// Close it, waking who waits. Idempotent, no failure.
void socket_close(lua_State *L, Socket *s);

#endif
