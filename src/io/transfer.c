// SPDX-License-Identifier: MIT
// transfer.c: the methods of sockets that may wait: accept, connect, recv,
// send and their kin (Trio: SocketType). Each tries its system call first and
// waits for the descriptor only where that would block.
#define _GNU_SOURCE  // accept4
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "../bind/error.h"
#include "address.h"
#include "io.h"
#include "oserror.h"
#include "socket.h"

enum { SELF = 1 };

void socket_join_parts(lua_State *L, int idx) {
  if (lua_type(L, idx) == LUA_TSTRING) return;
  luaL_checktype(L, idx, LUA_TTABLE);
  lua_Integer count = luaL_len(L, idx);
  luaL_Buffer joined;
  luaL_buffinit(L, &joined);
  for (lua_Integer n = 1; n <= count; n++) {
    if (lua_geti(L, idx, n) != LUA_TSTRING) {
      luaL_argerror(L, idx, "an array of strings expected");
    }
    luaL_addvalue(&joined);
  }
  luaL_pushresult(&joined);
  lua_replace(L, idx);
}

int socket_retry(lua_State *L, Task *t, Socket *s, int code,
                 int (*attempt)(lua_State *, Task *, void *), const Op *again) {
  if (code < 0) return await_raise(L, t, code);
  socket_check(L, SELF);
  s->drained = false;
  int results = attempt(L, t, s);
  return results != WOULD_BLOCK ? results : await(L, again, s);
}

static void begin(lua_State *L, Task *t, Socket *s, WatchSide side) {
  watch_check(L, s->fd, side);
  s->watch = watch_get(L, s->fd, "wait");
  watch_begin(s->watch, side, t);
}

void socket_start_reading(lua_State *L, Task *t, void *self) {
  begin(L, t, self, WATCH_READ);
}

void socket_start_writing(lua_State *L, Task *t, void *self) {
  begin(L, t, self, WATCH_WRITE);
}

AbortResult socket_stop_reading(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  watch_cancel(((Socket *)self)->watch, WATCH_READ);
  return ABORT_DONE;
}

AbortResult socket_stop_writing(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  watch_cancel(((Socket *)self)->watch, WATCH_WRITE);
  return ABORT_DONE;
}

static bool would_block(int number) {
  return number == EAGAIN || number == EWOULDBLOCK;
}

// ---- accept

// The object for the next connection, kept from the last attempt if that had
// to wait.
static Socket *push_spare(lua_State *L) {
  if (lua_getiuservalue(L, SELF, SOCKET_SPARE) == LUA_TUSERDATA) {
    return lua_touserdata(L, -1);
  }
  lua_pop(L, 1);
  Socket *spare = socket_new(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, SELF, SOCKET_SPARE);
  return spare;
}

static int try_accept(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  const Socket *s = self;
  lua_settop(L, SELF);
  Socket *connection = push_spare(L);
  Address peer;
  memset(&peer, 0, sizeof peer);
  peer.length = sizeof peer.storage;
  int fd;
  do {
    fd = accept4(s->fd, (struct sockaddr *)&peer.storage, &peer.length,
                 SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    if (would_block(errno)) return WOULD_BLOCK;
    return oserror_raise(L, errno, "accept", NULL);
  }
  socket_adopt(L, connection, fd, s->family, s->type, s->proto);
  lua_pushnil(L);
  lua_setiuservalue(L, SELF, SOCKET_SPARE);
  resource_origin(L, &connection->resource, 1);
  address_push(L, &peer);
  return 2;
}

static int finish_accept(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "socket:accept",
                           .start = socket_start_reading,
                           .abort = socket_stop_reading,
                           .finish = finish_accept};
  return socket_retry(L, t, self, code, try_accept, &again);
}

// socket:accept() -> socket, address of the peer
int transfer_accept(lua_State *L) {
  static const Op op = {.name = "socket:accept",
                        .attempt = try_accept,
                        .start = socket_start_reading,
                        .abort = socket_stop_reading,
                        .finish = finish_accept};
  Socket *s = socket_check(L, SELF);
  lua_settop(L, SELF);
  return await(L, &op, s);
}

// ---- connect; the numeric address stands at 2

static int connect_failed(lua_State *L, const Socket *s, int number) {
  Address address;
  address_check(L, 2, s->family, &address);
  address_push_text(L, &address);
  oserror_push(L, number, "connect", lua_tostring(L, -1));
  address_push(L, &address);
  lua_setfield(L, -2, "address");
  return lua_error(L);
}

static int try_connect(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  const Socket *s = self;
  Address address;
  address_check(L, 2, s->family, &address);
  int result;
  do {
    result =
        connect(s->fd, (struct sockaddr *)&address.storage, address.length);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return 0;
  // A Unix socket whose listener's queue is full says EAGAIN for good.
  if (errno == EINPROGRESS || errno == EALREADY) return WOULD_BLOCK;
  return connect_failed(L, s, errno);
}

static int finish_connect(lua_State *L, Task *t, void *self, int code) {
  Socket *s = self;
  if (code == WAKE_CANCELLED || code == WAKE_INTERRUPTED) socket_close(L, s);
  if (code < 0) return await_raise(L, t, code);
  int number = 0;
  socklen_t length = sizeof number;
  socket_check(L, SELF);
  if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &number, &length) != 0) {
    number = errno;
  }
  if (number != 0) return connect_failed(L, s, number);
  return 0;
}

// socket:_connect(address): connect to a numeric address. A cancelled
// connect closes the socket.
int transfer_connect(lua_State *L) {
  static const Op op = {.name = "socket:connect",
                        .attempt = try_connect,
                        .start = socket_start_writing,
                        .abort = socket_stop_writing,
                        .finish = finish_connect};
  Socket *s = socket_check(L, SELF);
  Address address;
  address_check(L, 2, s->family, &address);
  lua_settop(L, 2);
  return await(L, &op, s);
}

// ---- receiving; size at 2, flags at 3

// Room for what is received. A stream may give less than was asked for; what
// doesn't fit of a datagram would be lost.
static char *push_buffer(lua_State *L, const Socket *s, size_t *size) {
  lua_settop(L, 3);
  if (*size <= STATE_BUFFER) return state_buffer(L);
  if (s->type != SOCK_STREAM) return lua_newuserdatauv(L, *size, 0);
  *size = STATE_BUFFER;
  return state_buffer(L);
}

static ssize_t receive(lua_State *L, Socket *s, Address *from, char **buffer) {
  size_t size = (size_t)lua_tointeger(L, 2);
  if (s->drained && !watch_take_readable(L, s->fd)) {
    errno = EAGAIN;
    return -1;
  }
  *buffer = push_buffer(L, s, &size);
  ssize_t count;
  int flags = (int)lua_tointeger(L, 3);
  do {
    count = from == NULL
                ? recv(s->fd, *buffer, size, flags)
                : recvfrom(s->fd, *buffer, size, flags,
                           (struct sockaddr *)&from->storage, &from->length);
  } while (count < 0 && errno == EINTR);
  // A short read emptied the stream: the next one would only be told so.
  if (s->type == SOCK_STREAM && count > 0 && flags == 0) {
    s->drained = (size_t)count < size;
  }
  return count;
}

static int try_recv(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  Socket *s = self;
  char *buffer;
  ssize_t count = receive(L, s, NULL, &buffer);
  if (count < 0) {
    if (would_block(errno)) return WOULD_BLOCK;
    return oserror_raise(L, errno, "recv", NULL);
  }
  if (count == 0 && s->type == SOCK_STREAM) {
    lua_pushnil(L);
  } else {
    lua_pushlstring(L, buffer, (size_t)count);
  }
  return 1;
}

static int finish_recv(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "socket:recv",
                           .start = socket_start_reading,
                           .abort = socket_stop_reading,
                           .finish = finish_recv};
  return socket_retry(L, t, self, code, try_recv, &again);
}

static Socket *receive_arguments(lua_State *L) {
  class_check(L, SELF, &socket_class);
  lua_Integer size = luaL_checkinteger(L, 2);
  luaL_argcheck(L, size > 0 && size <= INT_MAX, 2, "out of range");
  luaL_optinteger(L, 3, 0);
  lua_settop(L, 3);
  return socket_check(L, SELF);
}

// socket:recv(max_bytes [, flags]) -> string; nil at the end of a stream
int transfer_recv(lua_State *L) {
  static const Op op = {.name = "socket:recv",
                        .attempt = try_recv,
                        .start = socket_start_reading,
                        .abort = socket_stop_reading,
                        .finish = finish_recv};
  return await(L, &op, receive_arguments(L));
}

static int try_recvfrom(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  Address from;
  memset(&from, 0, sizeof from);
  from.length = sizeof from.storage;
  char *buffer;
  ssize_t count = receive(L, self, &from, &buffer);
  if (count < 0) {
    if (would_block(errno)) return WOULD_BLOCK;
    return oserror_raise(L, errno, "recvfrom", NULL);
  }
  lua_pushlstring(L, buffer, (size_t)count);
  address_push(L, &from);
  return 2;
}

static int finish_recvfrom(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "socket:recvfrom",
                           .start = socket_start_reading,
                           .abort = socket_stop_reading,
                           .finish = finish_recvfrom};
  return socket_retry(L, t, self, code, try_recvfrom, &again);
}

// socket:recvfrom(max_bytes [, flags]) -> string, address of the sender
int transfer_recvfrom(lua_State *L) {
  static const Op op = {.name = "socket:recvfrom",
                        .attempt = try_recvfrom,
                        .start = socket_start_reading,
                        .abort = socket_stop_reading,
                        .finish = finish_recvfrom};
  return await(L, &op, receive_arguments(L));
}

// ---- sending; data at 2, flags at 3, address (sendto) at 4

static int sent(lua_State *L, ssize_t count, const char *what) {
  if (count >= 0) {
    lua_pushinteger(L, count);
    return 1;
  }
  if (would_block(errno)) return WOULD_BLOCK;
  return oserror_raise(L, errno, what, NULL);
}

static int try_send(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  size_t length;
  const char *data = lua_tolstring(L, 2, &length);
  int flags = (int)lua_tointeger(L, 3) | MSG_NOSIGNAL;
  ssize_t count;
  do {
    count = send(((Socket *)self)->fd, data, length, flags);
  } while (count < 0 && errno == EINTR);
  return sent(L, count, "send");
}

static int finish_send(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "socket:send",
                           .start = socket_start_writing,
                           .abort = socket_stop_writing,
                           .finish = finish_send};
  return socket_retry(L, t, self, code, try_send, &again);
}

// socket:send(data [, flags]) -> how many bytes were sent, may be fewer
int transfer_send(lua_State *L) {
  static const Op op = {.name = "socket:send",
                        .attempt = try_send,
                        .start = socket_start_writing,
                        .abort = socket_stop_writing,
                        .finish = finish_send};
  class_check(L, SELF, &socket_class);
  luaL_checktype(L, 2, LUA_TSTRING);
  luaL_optinteger(L, 3, 0);
  lua_settop(L, 3);
  return await(L, &op, socket_check(L, SELF));
}

static int try_sendto(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  const Socket *s = self;
  size_t length;
  const char *data = lua_tolstring(L, 2, &length);
  int flags = (int)lua_tointeger(L, 3) | MSG_NOSIGNAL;
  Address to;
  address_check(L, 4, s->family, &to);
  ssize_t count;
  do {
    count = sendto(s->fd, data, length, flags, (struct sockaddr *)&to.storage,
                   to.length);
  } while (count < 0 && errno == EINTR);
  return sent(L, count, "sendto");
}

static int finish_sendto(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "socket:sendto",
                           .start = socket_start_writing,
                           .abort = socket_stop_writing,
                           .finish = finish_sendto};
  return socket_retry(L, t, self, code, try_sendto, &again);
}

// socket:_sendto(data, flags or nil, address) -> how many bytes were sent;
// the address is numeric
int transfer_sendto(lua_State *L) {
  static const Op op = {.name = "socket:sendto",
                        .attempt = try_sendto,
                        .start = socket_start_writing,
                        .abort = socket_stop_writing,
                        .finish = finish_sendto};
  Socket *s = socket_check(L, SELF);
  luaL_checktype(L, 2, LUA_TSTRING);
  luaL_optinteger(L, 3, 0);
  Address to;
  address_check(L, 4, s->family, &to);
  lua_settop(L, 4);
  return await(L, &op, s);
}

// socket:wait_writable(): wait until sending would not block
int transfer_wait_writable(lua_State *L) {
  static const Op op = {.name = "socket:wait_writable",
                        .start = socket_start_writing,
                        .abort = socket_stop_writing};
  Socket *s = socket_check(L, SELF);
  lua_settop(L, SELF);
  return await(L, &op, s);
}
