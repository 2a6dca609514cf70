// SPDX-License-Identifier: MIT
// stream.c: byte streams over a descriptor: SocketStream on a trio.socket, and
// FdStream on any other descriptor (Trio: the same names).
//
// One sender and one receiver at a time. Errors of the system become
// BrokenResourceError with the OSError as cause. A cancelled send_all leaves
// an unknown part sent; a cancelled receive_some has taken nothing.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bind/error.h"
#include "oserror.h"
#include "stream.h"

enum { SELF = 1, DATA = 2, MAX = 2 };

Stream *stream_check(lua_State *L) {
  Stream *s = class_test(L, SELF, &socket_stream_class);
  if (s == NULL) s = class_test(L, SELF, &fd_stream_class);
  return s != NULL ? s : class_check(L, SELF, &socket_stream_class);
}

int stream_fd(const Stream *s) {
  return s->socket != NULL ? s->socket->fd : s->fd;
}

static int check_open(lua_State *L, const Stream *s) {
  int fd = stream_fd(s);
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
int stream_receive_some(lua_State *L) {
  Stream *s = stream_check(L);
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
int stream_next(lua_State *L) {
  Stream *s = stream_check(L);
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

// stream:send_all(data): send the whole string, or all strings of an array
int stream_send_all(lua_State *L) {
  static const Op op = {.name = "Stream:send_all",
                        .attempt = try_send,
                        .start = start_sending,
                        .abort = stop_writing,
                        .finish = finish_send};
  Stream *s = stream_check(L);
  lua_settop(L, DATA);
  if (lua_istable(L, DATA)) socket_join_parts(L, DATA);
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
int stream_wait_send(lua_State *L) {
  static const Op op = {.name = "Stream:wait_send_all_might_not_block",
                        .attempt = try_wait,
                        .start = start_writing,
                        .abort = stop_writing,
                        .finish = finish_wait};
  Stream *s = stream_check(L);
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
int stream_send_eof(lua_State *L) {
  static const Op op = {.name = "SocketStream:send_eof", .attempt = try_eof};
  Stream *s = class_check(L, SELF, &socket_stream_class);
  lua_settop(L, SELF);
  return await(L, &op, s);
}

// ---- closing

void stream_close_fd(lua_State *L, Resource *r) {
  Stream *s = CONTAINER_OF(r, Stream, resource);
  watch_close(L, s->fd);
  fcntl(s->fd, F_SETFL, s->old_flags);
  close(s->fd);
  s->fd = -1;
}

static void close_now(lua_State *L, Stream *s) {
  if (s->socket != NULL) {
    socket_close(L, s->socket);
  } else if (s->fd >= 0) {
    resource_done(&s->resource);
    stream_close_fd(L, &s->resource);
  }
}

// stream:close(): close it now; who waits gets ClosedResourceError
int stream_close(lua_State *L) {
  close_now(L, stream_check(L));
  return 0;
}

// stream:aclose(): close, then a checkpoint
int stream_aclose(lua_State *L) {
  Stream *s = stream_check(L);
  await_check(L, "Stream:aclose");
  close_now(L, s);
  return await_checkpoint(L, "Stream:aclose");
}
