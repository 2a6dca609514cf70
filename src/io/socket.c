// SPDX-License-Identifier: MIT
// socket.c: trio.socket: making sockets and their methods that never wait
// (Trio: trio.socket). Descriptors are non-blocking and close on exec.
#define _GNU_SOURCE  // SO_PROTOCOL
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bind/error.h"
#include "address.h"
#include "io.h"
#include "oserror.h"

static void close_resource(lua_State *L, Resource *r) {
  Socket *s = CONTAINER_OF(r, Socket, resource);
  watch_rest(L, s->fd);
  close(s->fd);
  s->fd = -1;
}

void socket_close(lua_State *L, Socket *s) {
  if (s->fd < 0) return;
  resource_done(&s->resource);
  close_resource(L, &s->resource);
}

static const char *kind_of(int type) {
  return type == SOCK_STREAM  ? "a stream socket"
         : type == SOCK_DGRAM ? "a datagram socket"
                              : "a socket";
}

Socket *socket_new(lua_State *L) {
  Socket *s = class_new(L, &socket_class, sizeof(Socket), SOCKET_USER_VALUES);
  s->fd = -1;
  return s;
}

void socket_adopt(lua_State *L, Socket *s, int fd, int family, int type,
                  int proto) {
  s->fd = fd;
  s->family = family;
  s->type = type;
  s->proto = proto;
  resource_open(L, &s->resource, kind_of(type), close_resource);
  watch_rest(L, fd);  // of an earlier descriptor with this number
}

static Socket *self(lua_State *L) { return class_check(L, 1, &socket_class); }

Socket *socket_check(lua_State *L, int idx) {
  Socket *s = class_check(L, idx, &socket_class);
  if (s->fd < 0) {
    error_raise(L, ERROR_CLOSED_RESOURCE, "this socket is closed");
  }
  return s;
}

// ---- methods

// socket:_bind(address): bind to a numeric address, without a checkpoint.
static int l_bind(lua_State *L) {
  Socket *s = socket_check(L, 1);
  Address address;
  address_check(L, 2, s->family, &address);
  if (bind(s->fd, (struct sockaddr *)&address.storage, address.length) != 0) {
    int number = errno;
    address_push_text(L, &address);
    return oserror_raise(L, number, "bind", lua_tostring(L, -1));
  }
  return 0;
}

// socket:_problem(address) -> nil where it can be used as it is, false where a
// name must be looked up, else what is wrong with it.
static int l_problem(lua_State *L) {
  const Socket *s = socket_check(L, 1);
  Address address;
  const char *problem = address_read(L, 2, s->family, &address);
  if (problem == address_needs_lookup) {
    lua_pushboolean(L, 0);
  } else {
    lua_pushstring(L, problem);
  }
  return 1;
}

// socket:listen([backlog=128])
static int l_listen(lua_State *L) {
  Socket *s = socket_check(L, 1);
  lua_Integer backlog = luaL_optinteger(L, 2, 128);
  luaL_argcheck(L, backlog >= 0 && backlog <= INT_MAX, 2, "out of range");
  if (listen(s->fd, (int)backlog) != 0) {
    return oserror_raise(L, errno, "listen", NULL);
  }
  return 0;
}

// socket:shutdown(how): trio.socket.SHUT_RD, SHUT_WR or SHUT_RDWR.
static int l_shutdown(lua_State *L) {
  Socket *s = socket_check(L, 1);
  int how = (int)luaL_checkinteger(L, 2);
  if (shutdown(s->fd, how) != 0) {
    return oserror_raise(L, errno, "shutdown", NULL);
  }
  if (how == SHUT_WR || how == SHUT_RDWR) s->shut_write = true;
  return 0;
}

// socket:close(): no checkpoint. Who waits gets ClosedResourceError.
static int l_close(lua_State *L) {
  socket_close(L, self(L));
  return 0;
}

// socket:detach() -> the descriptor, which now belongs to the caller.
static int l_detach(lua_State *L) {
  Socket *s = socket_check(L, 1);
  watch_close(L, s->fd);
  resource_done(&s->resource);
  lua_pushinteger(L, s->fd);
  s->fd = -1;
  return 1;
}

// socket:dup() -> another socket object for the same connection.
static int l_dup(lua_State *L) {
  const Socket *s = socket_check(L, 1);
  Socket *copy = socket_new(L);
  int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return oserror_raise(L, errno, "dup", NULL);
  socket_adopt(L, copy, fd, s->family, s->type, s->proto);
  resource_origin(L, &copy->resource, 1);
  return 1;
}

typedef int (*NameCall)(int fd, struct sockaddr *address, socklen_t *length);

static int push_name(lua_State *L, NameCall call, const char *what) {
  const Socket *s = socket_check(L, 1);
  Address address;
  memset(&address, 0, sizeof address);
  address.length = sizeof address.storage;
  if (call(s->fd, (struct sockaddr *)&address.storage, &address.length) != 0) {
    return oserror_raise(L, errno, what, NULL);
  }
  address_push(L, &address);
  return 1;
}

// socket:getsockname() -> address
static int l_getsockname(lua_State *L) {
  return push_name(L, getsockname, "getsockname");
}

// socket:getpeername() -> address
static int l_getpeername(lua_State *L) {
  return push_name(L, getpeername, "getpeername");
}

// socket:getsockopt(level, option [, size]) -> number, or a string of `size`
int socket_getsockopt(lua_State *L) {
  const Socket *s = socket_check(L, 1);
  int level = (int)luaL_checkinteger(L, 2);
  int option = (int)luaL_checkinteger(L, 3);
  lua_Integer size = luaL_optinteger(L, 4, 0);
  luaL_argcheck(L, size >= 0 && size <= 4096, 4, "out of range");
  union {
    int number;
    char bytes[4096];
  } value = {0};
  socklen_t length = size == 0 ? sizeof value.number : (socklen_t)size;
  if (getsockopt(s->fd, level, option, &value, &length) != 0) {
    return oserror_raise(L, errno, "getsockopt", NULL);
  }
  if (size == 0) {
    lua_pushinteger(L, value.number);
  } else {
    lua_pushlstring(L, value.bytes, length);
  }
  return 1;
}

// socket:setsockopt(level, option, value): a number, boolean or string
int socket_setsockopt(lua_State *L) {
  Socket *s = socket_check(L, 1);
  int level = (int)luaL_checkinteger(L, 2);
  int option = (int)luaL_checkinteger(L, 3);
  int result;
  s->tuned = false;
  if (lua_type(L, 4) == LUA_TSTRING) {
    size_t length;
    const char *bytes = lua_tolstring(L, 4, &length);
    result = setsockopt(s->fd, level, option, bytes, (socklen_t)length);
  } else {
    int number = lua_isboolean(L, 4) ? lua_toboolean(L, 4)
                                     : (int)luaL_checkinteger(L, 4);
    result = setsockopt(s->fd, level, option, &number, sizeof number);
  }
  if (result != 0) return oserror_raise(L, errno, "setsockopt", NULL);
  return 0;
}

// socket:fileno() -> the descriptor, -1 once closed
static int l_fileno(lua_State *L) {
  lua_pushinteger(L, self(L)->fd);
  return 1;
}

// socket:is_readable() -> would a read return at once?
static int l_is_readable(lua_State *L) {
  const Socket *s = socket_check(L, 1);
  struct pollfd p = {s->fd, POLLIN, 0};
  lua_pushboolean(L, poll(&p, 1, 0) > 0);
  return 1;
}

static int get_family(lua_State *L) {
  lua_pushinteger(L, self(L)->family);
  return 1;
}

static int get_type(lua_State *L) {
  lua_pushinteger(L, self(L)->type);
  return 1;
}

static int get_proto(lua_State *L) {
  lua_pushinteger(L, self(L)->proto);
  return 1;
}

static int get_did_shutdown(lua_State *L) {
  lua_pushboolean(L, self(L)->shut_write);
  return 1;
}

static int socket_gc(lua_State *L) {
  resource_collected(L, &self(L)->resource);
  return 0;
}

// Append what the call says, if anything, to the text on top.
static void append_name(lua_State *L, const Socket *s, NameCall call,
                        const char *before) {
  Address address;
  memset(&address, 0, sizeof address);
  address.length = sizeof address.storage;
  if (call(s->fd, (struct sockaddr *)&address.storage, &address.length) != 0) {
    return;
  }
  address_push_text(L, &address);
  if (lua_isnil(L, -1) || lua_rawlen(L, -1) == 0) {
    lua_pop(L, 1);
    return;
  }
  lua_pushstring(L, before);
  lua_insert(L, -2);
  lua_concat(L, 3);
}

// "<trio.socket 0x5581... fd 7, 127.0.0.1:80 to 127.0.0.1:43210>"
static int socket_tostring(lua_State *L) {
  const Socket *s = self(L);
  if (s->fd < 0) {
    lua_pushfstring(L, "<trio.socket %p closed>", (const void *)s);
    return 1;
  }
  lua_pushfstring(L, "<trio.socket %p fd %d", (const void *)s, s->fd);
  append_name(L, s, getsockname, ", ");
  append_name(L, s, getpeername, " to ");
  lua_pushliteral(L, ">");
  lua_concat(L, 2);
  return 1;
}

static const luaL_Reg socket_methods[] = {
    {"_bind", l_bind},
    {"_problem", l_problem},
    {"listen", l_listen},
    {"shutdown", l_shutdown},
    {"close", l_close},
    {"detach", l_detach},
    {"dup", l_dup},
    {"getsockname", l_getsockname},
    {"getpeername", l_getpeername},
    {"getsockopt", socket_getsockopt},
    {"setsockopt", socket_setsockopt},
    {"fileno", l_fileno},
    {"is_readable", l_is_readable},
    {"accept", transfer_accept},
    {"_connect", transfer_connect},
    {"recv", transfer_recv},
    {"recvfrom", transfer_recvfrom},
    {"send", transfer_send},
    {"_sendto", transfer_sendto},
    {"_sendmsg", message_send},
    {"recvmsg", message_receive},
    {"wait_writable", transfer_wait_writable},
    {NULL, NULL}};
static const ClassField socket_fields[] = {
    {"family", get_family, NULL},
    {"type", get_type, NULL},
    {"proto", get_proto, NULL},
    {"did_shutdown_SHUT_WR", get_did_shutdown, NULL},
    {NULL, NULL, NULL}};
static const luaL_Reg socket_meta[] = {{"__gc", socket_gc},
                                       {"__close", l_close},
                                       {"__tostring", socket_tostring},
                                       {NULL, NULL}};
const Class socket_class = {"trio.socket", socket_methods, socket_fields,
                            socket_meta};

// ---- functions of trio.socket

static int option_of(int fd, int option, int fallback) {
  int value;
  socklen_t length = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, option, &value, &length) != 0) {
    return fallback;
  }
  return value;
}

// Give the descriptor to the object, with the family and type that it really
// has. It becomes non-blocking.
static void adopt_foreign(lua_State *L, Socket *s, int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  int proto = 0;
#ifdef SO_PROTOCOL
  proto = option_of(fd, SO_PROTOCOL, 0);
#endif
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t length = sizeof address;
  getsockname(fd, (struct sockaddr *)&address, &length);
  socket_adopt(L, s, fd, address.ss_family, option_of(fd, SO_TYPE, SOCK_STREAM),
               proto);
}

static int check_descriptor(lua_State *L, int idx, const char *what) {
  lua_Integer fd = luaL_checkinteger(L, idx);
  luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, idx, "out of range");
  if (option_of((int)fd, SO_TYPE, -1) < 0) {
    return oserror_raise(L, errno, what, NULL);
  }
  return (int)fd;
}

// trio.socket._socket([family [, type [, proto [, fd]]]]) -> socket. With fd
// the object owns that descriptor, and the rest is found out.
static int l_socket(lua_State *L) {
  int family = (int)luaL_optinteger(L, 1, AF_INET);
  int type = (int)luaL_optinteger(L, 2, SOCK_STREAM);
  int proto = (int)luaL_optinteger(L, 3, 0);
  if (!lua_isnoneornil(L, 4)) {
    int fd = check_descriptor(L, 4, "socket");
    Socket *owner = socket_new(L);
    adopt_foreign(L, owner, fd);
    resource_origin(L, &owner->resource, 1);
    return 1;
  }
  Socket *s = socket_new(L);
  int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
  if (fd < 0) return oserror_raise(L, errno, "socket", NULL);
  socket_adopt(L, s, fd, family, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), proto);
  resource_origin(L, &s->resource, 1);
  return 1;
}

// trio.socket.socketpair([family [, type [, proto]]]) -> socket, socket
static int l_socketpair(lua_State *L) {
  int family = (int)luaL_optinteger(L, 1, AF_UNIX);
  int type = (int)luaL_optinteger(L, 2, SOCK_STREAM);
  int proto = (int)luaL_optinteger(L, 3, 0);
  Socket *left = socket_new(L);
  Socket *right = socket_new(L);
  int fds[2];
  if (socketpair(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto, fds) !=
      0) {
    return oserror_raise(L, errno, "socketpair", NULL);
  }
  type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  socket_adopt(L, left, fds[0], family, type, proto);
  socket_adopt(L, right, fds[1], family, type, proto);
  resource_origin(L, &left->resource, 1);
  resource_origin(L, &right->resource, 1);
  return 2;
}

// trio.socket.fromfd(fd) -> a socket for a duplicate of the descriptor
static int l_fromfd(lua_State *L) {
  int fd = check_descriptor(L, 1, "fromfd");
  Socket *s = socket_new(L);
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return oserror_raise(L, errno, "fromfd", NULL);
  adopt_foreign(L, s, copy);
  resource_origin(L, &s->resource, 1);
  return 1;
}

// trio.socket._set_origin(socket): warnings name the code that now runs as its
// creator.
static int l_set_origin(lua_State *L) {
  resource_origin(L, &self(L)->resource, 1);
  return 0;
}

// trio.socket._is_socket(value) -> is it a socket object of this library?
static int l_is_socket(lua_State *L) {
  lua_pushboolean(L, class_test(L, 1, &socket_class) != NULL);
  return 1;
}

// trio.socket._path_problem(path) -> what is wrong with it as an address of a
// Unix socket, or nil.
static int l_path_problem(lua_State *L) {
  Address address;
  lua_pushstring(L, address_read(L, 1, AF_UNIX, &address));
  return 1;
}

// trio.socket._is_socket_file(path) -> is it the file of a Unix socket?
static int l_is_socket_file(lua_State *L) {
  struct stat status;
  lua_pushboolean(L, stat(luaL_checkstring(L, 1), &status) == 0 &&
                         S_ISSOCK(status.st_mode));
  return 1;
}

// trio.socket._errno_name(number) -> "EMFILE"
static int l_errno_name(lua_State *L) {
  oserror_push_name(L, (int)luaL_checkinteger(L, 1));
  return 1;
}

void socket_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"_socket", l_socket},
                                       {"_is_socket", l_is_socket},
                                       {"_errno_name", l_errno_name},
                                       {"_path_problem", l_path_problem},
                                       {"_is_socket_file", l_is_socket_file},
                                       {"_set_origin", l_set_origin},
                                       {"socketpair", l_socketpair},
                                       {"fromfd", l_fromfd},
                                       {NULL, NULL}};
  class_register(L, &socket_class);
  lua_getfield(L, -1, "socket");
  class_push_members(L, &socket_class);
  lua_setfield(L, -2, "_methods");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
