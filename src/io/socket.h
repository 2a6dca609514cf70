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
  Watch *watch;     // while a task waits in one of its methods
} Socket;

extern const Class socket_class;

// The methods of transfer.c.
int transfer_accept(lua_State *L);
int transfer_connect(lua_State *L);
int transfer_recv(lua_State *L);
int transfer_recvfrom(lua_State *L);
int transfer_send(lua_State *L);
int transfer_sendto(lua_State *L);
int transfer_wait_writable(lua_State *L);

// Push a socket object that owns the descriptor. On an error the descriptor is
// closed. `level` names the creating code. [-0, +1, v]
Socket *socket_push(lua_State *L, int fd, int family, int type, int proto,
                    int level);

// The socket at idx, open, or an error (ClosedResourceError). [v]
Socket *socket_check(lua_State *L, int idx);

// Close it, waking who waits. Idempotent, no failure.
void socket_close(lua_State *L, Socket *s);

#endif
