// SPDX-License-Identifier: MIT
// stream.c: byte streams over a descriptor: SocketStream on a trio.socket, and
// FdStream on any other descriptor (Trio: the same names).
//
// One sender and one receiver at a time. Errors of the system become
// BrokenResourceError with the OSError as cause. A cancelled send_all leaves
// an unknown part sent; a cancelled receive_some has taken nothing.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../bind/error.h"
#include "io.h"
#include "oserror.h"
#include "socket.h"

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

enum { SELF = 1, DATA = 2, MAX = 2 };

static const Class socket_stream_class, fd_stream_class;

static Stream *check(lua_State *L) {
  Stream *s = class_test(L, SELF, &fd_stream_class);
  return s != NULL ? s : class_check(L, SELF, &socket_stream_class);
}

static int fd_of(const Stream *s) {
  return s->socket != NULL ? s->socket->fd : s->fd;
}

static int check_open(lua_State *L, const Stream *s) {
  int fd = fd_of(s);
  if (fd < 0) {
    error_raise(L, ERROR_CLOSED_RESOURCE,
                "this stream was closed by its own side");
  }
  return fd;
}

static bool would_block(int number) {
  return number == EAGAIN || number == EWOULDBLOCK;
}

// ---- receiving

static void start_reading(lua_State *L, Task *t, void *self) {
  Stream *s = self;
  int fd = check_open(L, s);
  watch_check(L, fd, WATCH_READ);
  s->reading = watch_get(L, fd, "read");
  watch_begin(s->reading, WATCH_READ, t);
}

static AbortResult stop_reading(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  watch_cancel(((Stream *)self)->reading, WATCH_READ);
  return ABORT_DONE;
}

static ssize_t read_some(const Stream *s, int fd, char *buffer, size_t size) {
  ssize_t count;
  do {
    count =
        s->socket != NULL ? recv(fd, buffer, size, 0) : read(fd, buffer, size);
  } while (count < 0 && errno == EINTR);
  return count;
}

static int try_receive(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  Stream *s = self;
  int fd = check_open(L, s);
  if (s->drained && !watch_take_readable(L, fd)) return WOULD_BLOCK;
  size_t size = (size_t)lua_tointeger(L, MAX);
  if (size > STATE_BUFFER) size = STATE_BUFFER;
  char *buffer = state_buffer(L);
  ssize_t count = read_some(s, fd, buffer, size);
  if (count < 0) {
    if (would_block(errno)) return WOULD_BLOCK;
    return oserror_raise_broken(L, errno, "read");
  }
  if (count == 0) {
    lua_pushnil(L);
    return 1;
  }
  // A short read emptied it: the next one would only be told so.
  s->drained = s->can_drain && (size_t)count < size;
  lua_pushlstring(L, buffer, (size_t)count);
  return 1;
}

static int finish_receive(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "Stream:receive_some",
                           .start = start_reading,
                           .abort = stop_reading,
                           .finish = finish_receive};
  if (code < 0) return await_raise(L, t, code);
  ((Stream *)self)->drained = false;
  int results = try_receive(L, t, self);
  return results != WOULD_BLOCK ? results : await(L, &again, self);
}

static int receive(lua_State *L, Stream *s) {
  static const Op op = {.name = "Stream:receive_some",
                        .attempt = try_receive,
                        .start = start_reading,
                        .abort = stop_reading,
                        .finish = finish_receive};
  return await(L, &op, s);
}

// stream:receive_some([max_bytes]) -> string, or nil at the end
static int l_receive_some(lua_State *L) {
  Stream *s = check(L);
  lua_settop(L, MAX);
  if (lua_isnil(L, MAX)) {
    lua_pushinteger(L, STATE_BUFFER);
    lua_replace(L, MAX);
  } else {
    luaL_argcheck(L, luaL_checkinteger(L, MAX) > 0, MAX, "must be positive");
  }
  return receive(L, s);
}

// for chunk in stream do
static int stream_call(lua_State *L) {
  Stream *s = check(L);
  lua_settop(L, SELF);
  lua_pushinteger(L, STATE_BUFFER);
  return receive(L, s);
}

// ---- sending

static void check_sending(lua_State *L, const Stream *s, int fd) {
  if (s->sending) {
    error_raise(L, ERROR_BUSY_RESOURCE,
                "another task is already sending through this stream");
  }
  watch_check(L, fd, WATCH_WRITE);
}

static void start_writing(lua_State *L, Task *t, void *self) {
  Stream *s = self;
  int fd = check_open(L, s);
  watch_check(L, fd, WATCH_WRITE);
  s->writing = watch_get(L, fd, "write");
  watch_begin(s->writing, WATCH_WRITE, t);
}

static void start_sending(lua_State *L, Task *t, void *self) {
  Stream *s = self;
  s->sending = false;  // if it raises
  start_writing(L, t, self);
  s->sending = true;
}

static AbortResult stop_writing(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  Stream *s = self;
  watch_cancel(s->writing, WATCH_WRITE);
  s->sending = false;
  return ABORT_DONE;
}

// A pipe that nobody reads would kill the process, unless it has seen to that.
static ssize_t write_quietly(int fd, const char *data, size_t size) {
  sigset_t pipe_signal, old, pending;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  sigpending(&pending);
  bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &pipe_signal, &old);
  ssize_t count = write(fd, data, size);
  int number = errno;
  if (count < 0 && number == EPIPE && !was_pending) {
    const struct timespec at_once = {0, 0};
    sigtimedwait(&pipe_signal, NULL, &at_once);
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  errno = number;
  return count;
}

static ssize_t write_some(const Stream *s, int fd, const char *data,
                          size_t size) {
  ssize_t count;
  do {
    count = s->socket != NULL ? send(fd, data, size, MSG_NOSIGNAL)
                              : write_quietly(fd, data, size);
  } while (count < 0 && errno == EINTR);
  return count;
}

// Send what is left; all of it, or until it would block.
static int push_out(lua_State *L, Stream *s) {
  int fd = check_open(L, s);
  size_t length;
  const char *data = lua_tolstring(L, DATA, &length);
  while (s->sent < length) {
    ssize_t count = write_some(s, fd, data + s->sent, length - s->sent);
    if (count < 0) {
      if (would_block(errno)) return WOULD_BLOCK;
      s->sending = false;
      return oserror_raise_broken(L, errno, "write");
    }
    s->sent += (size_t)count;
  }
  s->sending = false;
  return 0;
}

static int try_send(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  Stream *s = self;
  int fd = check_open(L, s);
  check_sending(L, s, fd);
  if (s->socket != NULL && s->socket->shut_write) {
    return error_raise(L, ERROR_CLOSED_RESOURCE,
                       "send_eof was called on this stream");
  }
  s->sent = 0;
  return push_out(L, s);
}

static int finish_send(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "Stream:send_all",
                           .start = start_sending,
                           .abort = stop_writing,
                           .finish = finish_send};
  Stream *s = self;
  if (code < 0) {
    s->sending = false;
    return await_raise(L, t, code);
  }
  int results = push_out(L, s);
  return results != WOULD_BLOCK ? results : await(L, &again, self);
}

// The parts of the array at DATA as one string.
static void join_parts(lua_State *L) {
  lua_Integer count = luaL_len(L, DATA);
  luaL_Buffer joined;
  luaL_buffinit(L, &joined);
  for (lua_Integer n = 1; n <= count; n++) {
    if (lua_geti(L, DATA, n) != LUA_TSTRING) {
      luaL_argerror(L, DATA, "an array of strings expected");
    }
    luaL_addvalue(&joined);
  }
  luaL_pushresult(&joined);
  lua_replace(L, DATA);
}

// stream:send_all(data): send the whole string, or all strings of an array
static int l_send_all(lua_State *L) {
  static const Op op = {.name = "Stream:send_all",
                        .attempt = try_send,
                        .start = start_sending,
                        .abort = stop_writing,
                        .finish = finish_send};
  Stream *s = check(L);
  lua_settop(L, DATA);
  if (lua_istable(L, DATA)) join_parts(L);
  luaL_checktype(L, DATA, LUA_TSTRING);
  return await(L, &op, s);
}

static int finish_wait(lua_State *L, Task *t, void *self, int code) {
  UNUSED(self);
  if (code < 0) return await_raise(L, t, code);
  return 0;
}

static int try_wait(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  check_sending(L, self, check_open(L, self));
  return WOULD_BLOCK;
}

// stream:wait_send_all_might_not_block()
static int l_wait_send(lua_State *L) {
  static const Op op = {.name = "Stream:wait_send_all_might_not_block",
                        .attempt = try_wait,
                        .start = start_writing,
                        .abort = stop_writing,
                        .finish = finish_wait};
  Stream *s = check(L);
  lua_settop(L, SELF);
  return await(L, &op, s);
}

static int try_eof(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  Stream *s = self;
  int fd = check_open(L, s);
  check_sending(L, s, fd);
  if (s->socket->shut_write) return 0;
  if (shutdown(fd, SHUT_WR) != 0 && errno != ENOTCONN) {
    return oserror_raise_broken(L, errno, "shutdown");
  }
  s->socket->shut_write = true;
  return 0;
}

// stream:send_eof(): no more data will come; receiving still works
static int l_send_eof(lua_State *L) {
  static const Op op = {.name = "SocketStream:send_eof", .attempt = try_eof};
  Stream *s = class_check(L, SELF, &socket_stream_class);
  lua_settop(L, SELF);
  return await(L, &op, s);
}

// ---- closing

static void close_fd(lua_State *L, Resource *r) {
  Stream *s = CONTAINER_OF(r, Stream, resource);
  watch_close(L, s->fd);
  fcntl(s->fd, F_SETFL, s->old_flags);
  close(s->fd);
  s->fd = -1;
}

static void close_stream(lua_State *L, Stream *s) {
  if (s->socket != NULL) {
    socket_close(L, s->socket);
  } else if (s->fd >= 0) {
    resource_done(&s->resource);
    close_fd(L, &s->resource);
  }
}

// stream:close(): close it now; who waits gets ClosedResourceError
static int l_close(lua_State *L) {
  close_stream(L, check(L));
  return 0;
}

// stream:aclose(): close, then a checkpoint
static int l_aclose(lua_State *L) {
  Stream *s = check(L);
  await_check(L, "Stream:aclose");
  close_stream(L, s);
  return await_checkpoint(L, "Stream:aclose");
}

static int fd_stream_gc(lua_State *L) {
  Stream *s = lua_touserdata(L, SELF);
  resource_collected(L, &s->resource);
  return 0;
}

static int l_fileno(lua_State *L) {
  lua_pushinteger(L, fd_of(check(L)));
  return 1;
}

static int get_socket(lua_State *L) {
  check(L);
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
  const Stream *s = check(L);
  int fd = fd_of(s);
  const char *name = s->head.class_of->name;
  if (fd < 0) {
    lua_pushfstring(L, "<%s %p closed>", name, (const void *)s);
  } else {
    lua_pushfstring(L, "<%s %p fd %d>", name, (const void *)s, fd);
  }
  return 1;
}

static const luaL_Reg socket_stream_methods[] = {
    {"receive_some", l_receive_some},
    {"send_all", l_send_all},
    {"wait_send_all_might_not_block", l_wait_send},
    {"send_eof", l_send_eof},
    {"close", l_close},
    {"aclose", l_aclose},
    {"setsockopt", l_setsockopt},
    {"getsockopt", l_getsockopt},
    {NULL, NULL}};
static const ClassField socket_stream_fields[] = {{"socket", get_socket, NULL},
                                                  {NULL, NULL, NULL}};
static const luaL_Reg socket_stream_meta[] = {{"__call", stream_call},
                                              {"__close", l_close},
                                              {"__tostring", stream_tostring},
                                              {NULL, NULL}};
static const Class socket_stream_class = {
    "trio.SocketStream", socket_stream_methods, socket_stream_fields,
    socket_stream_meta};

static const luaL_Reg fd_stream_methods[] = {
    {"receive_some", l_receive_some},
    {"send_all", l_send_all},
    {"wait_send_all_might_not_block", l_wait_send},
    {"close", l_close},
    {"aclose", l_aclose},
    {"fileno", l_fileno},
    {NULL, NULL}};
static const luaL_Reg fd_stream_meta[] = {{"__call", stream_call},
                                          {"__close", l_close},
                                          {"__gc", fd_stream_gc},
                                          {"__tostring", stream_tostring},
                                          {NULL, NULL}};
static const Class fd_stream_class = {"trio.lowlevel.FdStream",
                                      fd_stream_methods, NULL, fd_stream_meta};

// trio._socket_stream(socket) -> a stream over a connected stream socket, or
// nil for anything but a stream socket of this library.
static int l_socket_stream(lua_State *L) {
  Socket *socket = class_test(L, 1, &socket_class);
  if (socket == NULL || socket->type != SOCK_STREAM) return 0;
  Stream *s = class_new(L, &socket_stream_class, sizeof(Stream), 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  s->socket = socket;
  s->fd = -1;
  s->can_drain = true;
  int on = 1, low = 16384;
  if (socket->fd >= 0 && socket->family != AF_UNIX) {
    setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(socket->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
  }
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
  resource_open(L, &s->resource, "an FdStream", close_fd);
  resource_origin(L, &s->resource, 1);
  watch_close(L, fd);
  return 1;
}

void stream_open(lua_State *L) {
  class_register(L, &socket_stream_class);
  class_register(L, &fd_stream_class);
  lua_pushcfunction(L, l_socket_stream);
  lua_setfield(L, -2, "_socket_stream");
  lua_getfield(L, -1, "lowlevel");
  lua_pushcfunction(L, l_fd_stream);
  lua_setfield(L, -2, "FdStream");
  lua_pop(L, 1);
  descriptors_open(L);
}
