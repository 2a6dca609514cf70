// SPDX-License-Identifier: MIT
// listener.c: trio.SocketListener over a socket of this library: accepts
// connections as streams (lua/trio/socket_listener.lua has the one for the
// sockets of a program's factory).
#define _GNU_SOURCE  // accept4
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "../bind/error.h"
#include "io.h"
#include "oserror.h"
#include "socket.h"
#include "stream.h"

typedef struct Listener {
  ClassHead head;
  Socket *socket;  // user value VALUE_SOCKET
  Watch *watch;    // while a task waits
  bool serves;     // for trio.serve_listeners
  bool asked;      // whether connections inherit the socket's options
} Listener;

// User values. The spare is a stream for the next connection, made before it
// is accepted: so none is lost for lack of memory.
enum { VALUE_SOCKET = 1, VALUE_SPARE = 2 };
enum { SELF = 1 };

static const Class listener_class;

static Listener *self(lua_State *L) {
  return class_check(L, SELF, &listener_class);
}

static void check_open(lua_State *L, const Listener *l) {
  if (l->socket->fd >= 0) return;
  error_raise(L, ERROR_CLOSED_RESOURCE, "this listener is closed");
}

static void start_waiting(lua_State *L, Task *t, void *object) {
  Listener *l = object;
  watch_check(L, l->socket->fd, WATCH_READ);
  l->watch = watch_get(L, l->socket->fd, "accept");
  watch_begin(l->watch, WATCH_READ, t);
}

static AbortResult stop_waiting(Task *t, void *object, int code) {
  UNUSED(t);
  UNUSED(code);
  watch_cancel(((Listener *)object)->watch, WATCH_READ);
  return ABORT_DONE;
}

static Stream *push_spare(lua_State *L) {
  if (lua_getiuservalue(L, SELF, VALUE_SPARE) == LUA_TUSERDATA) {
    return lua_touserdata(L, -1);
  }
  lua_pop(L, 1);
  socket_new(L);
  Stream *spare = stream_new(L, lua_gettop(L));
  lua_remove(L, -2);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, SELF, VALUE_SPARE);
  return spare;
}

// Does the error concern only the connection that was to be accepted? Then
// somebody else's is waited for.
static bool is_harmless(int number) {
  static const int harmless[] = {
      EAGAIN,          EWOULDBLOCK, EINTR,       EPERM,     ECONNABORTED,
      EPROTO,          ENETDOWN,    ENOPROTOOPT, EHOSTDOWN, ENONET,
      EHOSTUNREACH,    EOPNOTSUPP,  ENETUNREACH, ENOSR,     ESOCKTNOSUPPORT,
      EPROTONOSUPPORT, ETIMEDOUT,   ECONNRESET};
  for (int i = 0; i < COUNT_OF(harmless); i++) {
    if (number == harmless[i]) return true;
  }
  return false;
}

// Mostly a connection has the options of the listening socket, which has been
// tuned for that: two system calls less. Whether it does is asked once, and
// forgotten when the program sets options of the listening socket.
static void tune(Listener *l, const Socket *connection) {
  if (l->socket->tuned) return;
  if (!l->asked) l->socket->tuned = stream_is_tuned(connection);
  l->asked = true;
  if (!l->socket->tuned) stream_tune(connection);
}

static int try_accept(lua_State *L, Task *t, void *object) {
  UNUSED(t);
  Listener *l = object;
  const Socket *from = l->socket;
  lua_settop(L, SELF);
  Stream *connection = push_spare(L);
  check_open(L, l);  // last: a finalizer may have closed it
  int fd = accept4(from->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (is_harmless(errno)) return WOULD_BLOCK;
    return oserror_raise(L, errno, "accept", NULL);
  }
  socket_adopt(L, connection->socket, fd, from->family, from->type,
               from->proto);
  lua_pushnil(L);
  lua_setiuservalue(L, SELF, VALUE_SPARE);
  // A server's connections are known by the line that made the listener.
  Resource *r = &connection->socket->resource;
  if (l->serves || !resource_line(L, r, 1)) {
    memcpy(r->where, from->resource.where, sizeof r->where);
  }
  tune(l, connection->socket);
  return 1;
}

static int finish_accept(lua_State *L, Task *t, void *object, int code) {
  static const Op again = {.name = "SocketListener:accept",
                           .start = start_waiting,
                           .abort = stop_waiting,
                           .finish = finish_accept};
  if (code < 0) return await_raise(L, t, code);
  int results = try_accept(L, t, object);
  return results != WOULD_BLOCK ? results : await(L, &again, object);
}

// listener:accept() -> a stream
static int l_accept(lua_State *L) {
  static const Op op = {.name = "SocketListener:accept",
                        .attempt = try_accept,
                        .start = start_waiting,
                        .abort = stop_waiting,
                        .finish = finish_accept};
  Listener *l = self(L);
  lua_settop(L, SELF);
  check_open(L, l);
  return await(L, &op, l);
}

static int l_close(lua_State *L) {
  socket_close(L, self(L)->socket);
  return 0;
}

static int l_aclose(lua_State *L) {
  Listener *l = self(L);
  await_check(L, "SocketListener:aclose");
  socket_close(L, l->socket);
  return await_checkpoint(L, "SocketListener:aclose");
}

static int get_socket(lua_State *L) {
  self(L);
  lua_getiuservalue(L, SELF, VALUE_SOCKET);
  return 1;
}

static int listener_tostring(lua_State *L) {
  const Listener *l = self(L);
  get_socket(L);
  lua_pushfstring(L, "<trio.SocketListener %p of %s>", (const void *)l,
                  luaL_tolstring(L, -1, NULL));
  return 1;
}

static const luaL_Reg methods[] = {{"accept", l_accept},
                                   {"close", l_close},
                                   {"aclose", l_aclose},
                                   {NULL, NULL}};
static const ClassField fields[] = {{"socket", get_socket, NULL},
                                    {NULL, NULL, NULL}};
static const luaL_Reg meta[] = {
    {"__close", l_close}, {"__tostring", listener_tostring}, {NULL, NULL}};
static const Class listener_class = {"trio.SocketListener", methods, fields,
                                     meta};

// trio._socket_listener(socket) -> a listener, or nil for anything but a
// socket of this library.
static int l_socket_listener(lua_State *L) {
  Socket *socket = class_test(L, 1, &socket_class);
  if (socket == NULL) return 0;
  Listener *l = class_new(L, &listener_class, sizeof(Listener), 2);
  l->socket = socket;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, VALUE_SOCKET);
  stream_tune(socket);
  return 1;
}

// trio._serves(value): if it is such a listener, it is used by a server.
static int l_serves(lua_State *L) {
  Listener *l = class_test(L, 1, &listener_class);
  if (l != NULL) l->serves = true;
  return 0;
}

void listener_open(lua_State *L) {
  class_register(L, &listener_class);
  lua_pushcfunction(L, l_socket_listener);
  lua_setfield(L, -2, "_socket_listener");
  lua_pushcfunction(L, l_serves);
  lua_setfield(L, -2, "_serves");
}
