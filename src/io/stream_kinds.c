// SPDX-License-Identifier: MIT
// stream_kinds.c: the two classes of streams in C, SocketStream and FdStream,
// and how they are made. What they do is in stream.c.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "io.h"
#include "oserror.h"
#include "stream.h"

enum { SELF = 1 };

static int fd_stream_gc(lua_State *L) {
  Stream *s = lua_touserdata(L, SELF);
  resource_collected(L, &s->resource);
  return 0;
}

static int l_fileno(lua_State *L) {
  lua_pushinteger(L, stream_fd(stream_check(L)));
  return 1;
}

static int get_socket(lua_State *L) {
  stream_check(L);
  lua_getiuservalue(L, SELF, 1);
  return 1;
}

// stream:setsockopt(...), getsockopt(...): the socket's own methods
static int call_socket(lua_State *L, lua_CFunction method) {
  class_check(L, SELF, &socket_stream_class);
  lua_getiuservalue(L, SELF, 1);
  lua_replace(L, SELF);
  return method(L);
}

static int l_setsockopt(lua_State *L) {
  return call_socket(L, socket_setsockopt);
}

static int l_getsockopt(lua_State *L) {
  return call_socket(L, socket_getsockopt);
}

static int stream_tostring(lua_State *L) {
  const Stream *s = stream_check(L);
  int fd = stream_fd(s);
  const char *name = s->head.class_of->name;
  if (fd < 0) {
    lua_pushfstring(L, "<%s %p closed>", name, (const void *)s);
  } else {
    lua_pushfstring(L, "<%s %p fd %d>", name, (const void *)s, fd);
  }
  return 1;
}

static const luaL_Reg socket_stream_methods[] = {
    {"receive_some", stream_receive_some},
    {"send_all", stream_send_all},
    {"wait_send_all_might_not_block", stream_wait_send},
    {"send_eof", stream_send_eof},
    {"close", stream_close},
    {"aclose", stream_aclose},
    {"setsockopt", l_setsockopt},
    {"getsockopt", l_getsockopt},
    {NULL, NULL}};
static const ClassField socket_stream_fields[] = {{"socket", get_socket, NULL},
                                                  {NULL, NULL, NULL}};
static const luaL_Reg socket_stream_meta[] = {{"__call", stream_next},
                                              {"__close", stream_close},
                                              {"__tostring", stream_tostring},
                                              {NULL, NULL}};
const Class socket_stream_class = {"trio.SocketStream", socket_stream_methods,
                                   socket_stream_fields, socket_stream_meta};

static const luaL_Reg fd_stream_methods[] = {
    {"receive_some", stream_receive_some},
    {"send_all", stream_send_all},
    {"wait_send_all_might_not_block", stream_wait_send},
    {"close", stream_close},
    {"aclose", stream_aclose},
    {"fileno", l_fileno},
    {NULL, NULL}};
static const luaL_Reg fd_stream_meta[] = {{"__call", stream_next},
                                          {"__close", stream_close},
                                          {"__gc", fd_stream_gc},
                                          {"__tostring", stream_tostring},
                                          {NULL, NULL}};
const Class fd_stream_class = {"trio.lowlevel.FdStream", fd_stream_methods,
                               NULL, fd_stream_meta};

Stream *stream_new(lua_State *L, int socket) {
  Stream *s = class_new(L, &socket_stream_class, sizeof(Stream), 1);
  lua_pushvalue(L, socket);
  lua_setiuservalue(L, -2, 1);
  s->socket = lua_touserdata(L, socket);
  s->fd = -1;
  s->can_drain = true;
  return s;
}

enum { LOW = 16384 };

void stream_tune(const Socket *socket) {
  int on = 1, low = LOW;
  if (socket->fd < 0 || socket->family == AF_UNIX) return;
  setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(socket->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
}

static int option_of(const Socket *socket, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  getsockopt(socket->fd, IPPROTO_TCP, option, &value, &length);
  return value;
}

bool stream_is_tuned(const Socket *socket) {
  return option_of(socket, TCP_NODELAY) != 0 &&
         option_of(socket, TCP_NOTSENT_LOWAT) == LOW;
}

// trio._socket_stream(socket) -> a stream over a connected stream socket, or
// nil for anything but a stream socket of this library.
static int l_socket_stream(lua_State *L) {
  const Socket *socket = class_test(L, 1, &socket_class);
  if (socket == NULL || socket->type != SOCK_STREAM) return 0;
  stream_new(L, 1);
  stream_tune(socket);
  return 1;
}

// trio._is_socket_stream(value) -> is it a SocketStream written in C?
static int l_is_socket_stream(lua_State *L) {
  lua_pushboolean(L, class_test(L, 1, &socket_stream_class) != NULL);
  return 1;
}

// trio.lowlevel.FdStream(fd): a stream that owns the descriptor, which becomes
// non-blocking while it does. Raises OSError.
static int l_fd_stream(lua_State *L) {
  if (!lua_isinteger(L, 1)) return luaL_typeerror(L, 1, "integer");
  int fd = (int)lua_tointeger(L, 1);
  Stream *s = class_new(L, &fd_stream_class, sizeof(Stream), 0);
  s->fd = -1;
  int flags = fcntl(fd, F_GETFL);
  struct stat status;
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
      fstat(fd, &status) != 0) {
    return oserror_raise(L, errno, "FdStream", NULL);
  }
  s->fd = fd;
  s->old_flags = flags;
  // A file can't be waited for, but reading it never has to wait.
  s->can_drain = S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode);
  resource_open(L, &s->resource, "an FdStream", stream_close_fd);
  resource_origin(L, &s->resource, 1);
  watch_close(L, fd);
  return 1;
}

void stream_open(lua_State *L) {
  class_register(L, &socket_stream_class);
  class_register(L, &fd_stream_class);
  lua_pushcfunction(L, l_socket_stream);
  lua_setfield(L, -2, "_socket_stream");
  lua_pushcfunction(L, l_is_socket_stream);
  lua_setfield(L, -2, "_is_socket_stream");
  lua_getfield(L, -1, "lowlevel");
  lua_pushcfunction(L, l_fd_stream);
  lua_setfield(L, -2, "FdStream");
  lua_pop(L, 1);
  descriptors_open(L);
}
