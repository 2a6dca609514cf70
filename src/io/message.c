// SPDX-License-Identifier: MIT
// message.c: sendmsg and recvmsg of sockets: data with flags, address and
// ancillary data, such as descriptors handed to another process (Trio: the
// same names). The rest of the waiting methods is in transfer.c.
//
// Ancillary data is an array of {level, type, data}, the data in the system's
// own layout (string.pack makes it).
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "io.h"
#include "oserror.h"
#include "socket.h"

enum { SELF = 1, MAX_ANCILLARY = 65536 };

// ---- sending: data at 2, the control buffer (or nil) at 3, flags at 4,
// address (or nil) at 5

enum { DATA = 2, CONTROL, FLAGS, ADDRESS };

static int try_sendmsg(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  const Socket *s = self;
  size_t length;
  char *data = (char *)lua_tolstring(L, DATA, &length);
  struct iovec part = {data, length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  Address to;
  if (!lua_isnil(L, ADDRESS)) {
    address_check(L, ADDRESS, s->family, &to);
    message.msg_name = &to.storage;
    message.msg_namelen = to.length;
  }
  if (!lua_isnil(L, CONTROL)) {
    message.msg_control = lua_touserdata(L, CONTROL);
    message.msg_controllen = lua_rawlen(L, CONTROL);
  }
  int flags = (int)lua_tointeger(L, FLAGS) | MSG_NOSIGNAL;
  ssize_t count;
  do {
    count = sendmsg(s->fd, &message, flags);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    return WOULD_BLOCK;
  }
  if (count < 0) return oserror_raise(L, errno, "sendmsg", NULL);
  lua_pushinteger(L, count);
  return 1;
}

static int finish_sendmsg(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "socket:sendmsg",
                           .start = socket_start_writing,
                           .abort = socket_stop_writing,
                           .finish = finish_sendmsg};
  return socket_retry(L, t, self, code, try_sendmsg, &again);
}

// The fields of item n, pushed: level, type, data.
static const char *push_item(lua_State *L, lua_Integer n, size_t *length) {
  if (lua_geti(L, CONTROL, n) != LUA_TTABLE) {
    luaL_argerror(L, CONTROL, "an array of {level, type, data} expected");
  }
  lua_geti(L, -1, 1);
  lua_geti(L, -2, 2);
  lua_geti(L, -3, 3);
  if (!lua_isinteger(L, -3) || !lua_isinteger(L, -2) ||
      lua_type(L, -1) != LUA_TSTRING) {
    luaL_argerror(L, CONTROL, "an array of {level, type, data} expected");
  }
  const char *data = lua_tolstring(L, -1, length);
  if (*length > MAX_ANCILLARY) luaL_argerror(L, CONTROL, "too long");
  return data;
}

// Replace the array at CONTROL by a buffer as the system wants it, or nil.
static void build_control(lua_State *L) {
  lua_Integer count = lua_isnoneornil(L, CONTROL) ? 0 : luaL_len(L, CONTROL);
  size_t size = 0, length;
  for (lua_Integer n = 1; n <= count; n++) {
    push_item(L, n, &length);
    lua_pop(L, 4);
    size += CMSG_SPACE(length);
  }
  if (size == 0) {
    lua_pushnil(L);
    lua_replace(L, CONTROL);
    return;
  }
  struct msghdr message = {0};
  message.msg_control = memset(lua_newuserdatauv(L, size, 0), 0, size);
  message.msg_controllen = size;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  for (lua_Integer n = 1; n <= count; n++) {
    const char *data = push_item(L, n, &length);
    head->cmsg_level = (int)lua_tointeger(L, -3);
    head->cmsg_type = (int)lua_tointeger(L, -2);
    head->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(head), data, length);
    lua_pop(L, 4);
    head = CMSG_NXTHDR(&message, head);
  }
  lua_replace(L, CONTROL);
}

// socket:_sendmsg(data, ancillary, flags, address) -> how many bytes were
// sent; the address is numeric. All but data may be nil.
int message_send(lua_State *L) {
  static const Op op = {.name = "socket:sendmsg",
                        .attempt = try_sendmsg,
                        .start = socket_start_writing,
                        .abort = socket_stop_writing,
                        .finish = finish_sendmsg};
  Socket *s = socket_check(L, SELF);
  lua_settop(L, ADDRESS);
  socket_join_parts(L, DATA);
  if (!lua_isnil(L, CONTROL)) luaL_checktype(L, CONTROL, LUA_TTABLE);
  build_control(L);
  luaL_optinteger(L, FLAGS, 0);
  Address to;
  if (!lua_isnil(L, ADDRESS)) address_check(L, ADDRESS, s->family, &to);
  return await(L, &op, s);
}

// ---- receiving: size at 2, size of ancillary data at 3, flags at 4

enum { SIZE = 2, CONTROL_SIZE, RECEIVE_FLAGS };

static void push_control(lua_State *L, struct msghdr *message) {
  lua_newtable(L);
  lua_Integer n = 0;
  for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
       head = CMSG_NXTHDR(message, head)) {
    lua_createtable(L, 3, 0);
    lua_pushinteger(L, head->cmsg_level);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, head->cmsg_type);
    lua_rawseti(L, -2, 2);
    lua_pushlstring(L, (const char *)CMSG_DATA(head),
                    head->cmsg_len - CMSG_LEN(0));
    lua_rawseti(L, -2, 3);
    lua_rawseti(L, -2, ++n);
  }
}

static int try_recvmsg(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  const Socket *s = self;
  lua_settop(L, RECEIVE_FLAGS);
  size_t size = (size_t)lua_tointeger(L, SIZE);
  size_t control = (size_t)lua_tointeger(L, CONTROL_SIZE);
  struct iovec part = {lua_newuserdatauv(L, size, 0), size};
  Address from;
  memset(&from, 0, sizeof from);
  struct msghdr message = {.msg_name = &from.storage,
                           .msg_namelen = sizeof from.storage,
                           .msg_iov = &part,
                           .msg_iovlen = 1};
  if (control > 0) {
    message.msg_control = lua_newuserdatauv(L, control, 0);
    message.msg_controllen = control;
  }
  int flags = (int)lua_tointeger(L, RECEIVE_FLAGS) | MSG_CMSG_CLOEXEC;
  ssize_t count;
  do {
    count = recvmsg(s->fd, &message, flags);
  } while (count < 0 && errno == EINTR);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    return WOULD_BLOCK;
  }
  if (count < 0) return oserror_raise(L, errno, "recvmsg", NULL);
  from.length = message.msg_namelen;
  if (count == 0 && s->type == SOCK_STREAM) {
    lua_pushnil(L);
  } else {
    lua_pushlstring(L, part.iov_base, (size_t)count);
  }
  push_control(L, &message);
  lua_pushinteger(L, message.msg_flags & ~MSG_CMSG_CLOEXEC);
  address_push(L, &from);
  return 4;
}

static int finish_recvmsg(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "socket:recvmsg",
                           .start = socket_start_reading,
                           .abort = socket_stop_reading,
                           .finish = finish_recvmsg};
  return socket_retry(L, t, self, code, try_recvmsg, &again);
}

// socket:recvmsg(max_bytes [, max_ancillary [, flags]]) -> data, ancillary,
// flags, address of the sender. The data is nil at the end of a stream.
int message_receive(lua_State *L) {
  static const Op op = {.name = "socket:recvmsg",
                        .attempt = try_recvmsg,
                        .start = socket_start_reading,
                        .abort = socket_stop_reading,
                        .finish = finish_recvmsg};
  class_check(L, SELF, &socket_class);
  lua_Integer size = luaL_checkinteger(L, SIZE);
  luaL_argcheck(L, size > 0 && size <= INT_MAX, SIZE, "out of range");
  lua_Integer control = luaL_optinteger(L, CONTROL_SIZE, 0);
  luaL_argcheck(L, control >= 0 && control <= MAX_ANCILLARY, CONTROL_SIZE,
                "out of range");
  luaL_optinteger(L, RECEIVE_FLAGS, 0);
  lua_settop(L, RECEIVE_FLAGS);
  return await(L, &op, socket_check(L, SELF));
}
