// SPDX-License-Identifier: MIT
// file_write.c: file:write, flush, seek and setvbuf.
//
// A write first goes into the buffer `out`; a job writes that to the system
// when there is enough of it. So what a write was given is copied before it
// waits, and a write that is cancelled while it waits has handed over all.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "../bind/error.h"
#include "file.h"

// What was read ahead is forgotten; the position is that of the program.
static void drop_ahead(FileBody *f) {
  size_t length = bytes_length(&f->in);
  if (f->is_regular) f->offset -= (int64_t)length;
  bytes_drop(&f->in, length);
}

// ---- writing; the stack: file, values

static bool add_value(lua_State *L, FileBody *f, int idx) {
  char number[128];
  size_t length;
  const char *data = number;
  if (lua_type(L, idx) != LUA_TNUMBER) {
    data = lua_tolstring(L, idx, &length);
  } else if (lua_isinteger(L, idx)) {
    length = (size_t)snprintf(number, sizeof number, LUA_INTEGER_FMT,
                              (LUAI_UACINT)lua_tointeger(L, idx));
  } else {
    length = (size_t)snprintf(number, sizeof number, LUA_NUMBER_FMT,
                              (LUAI_UACNUMBER)lua_tonumber(L, idx));
  }
  return bytes_append(&f->out, data, length);
}

static bool must_go_out(const FileBody *f, size_t before) {
  size_t length = bytes_length(&f->out);
  switch (f->buffering) {
    case BUFFER_NO:
      return length > 0;
    case BUFFER_LINE:
      if (length > before &&
          memchr(bytes_front(&f->out) + before, '\n', length - before)) {
        return true;
      }
      break;
    case BUFFER_FULL:
      break;
  }
  return length >= f->limit;
}

static int try_write(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  FileBody *f = self;
  file_check_usable(L, f, O_WRONLY, "write");
  drop_ahead(f);
  size_t before = bytes_length(&f->out);
  for (int i = FILE_SELF + 1; i <= lua_gettop(L); i++) {
    if (add_value(L, f, i)) continue;
    f->out.end = f->out.start + before;  // all or nothing
    return luaL_error(L, "not enough memory");
  }
  if (must_go_out(f, before)) return WOULD_BLOCK;
  lua_pushvalue(L, FILE_SELF);
  return 1;
}

static void start_flush(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  file_submit(self, t, file_work_flush);
}

static int finish_write(lua_State *L, Task *t, void *self, int code) {
  UNUSED(code);
  FileBody *f = self;
  if (file_finish(L, f)) return file_interrupted(L, t, f);
  lua_pushvalue(L, FILE_SELF);
  return 1;
}

// file:write(strings or numbers...) -> file. Raises OSError,
// ClosedResourceError, BusyResourceError. Checkpoint.
int file_write(lua_State *L) {
  static const Op op = {.name = "file:write",
                        .attempt = try_write,
                        .start = start_flush,
                        .abort = file_abort,
                        .finish = finish_write};
  FileBody *f = file_check(L);
  for (int i = FILE_SELF + 1; i <= lua_gettop(L); i++) {
    if (lua_type(L, i) != LUA_TNUMBER) luaL_checkstring(L, i);
  }
  return await(L, &op, f);
}

static int try_flush(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  FileBody *f = self;
  file_check_usable(L, f, -1, "write");
  if (bytes_length(&f->out) > 0) return WOULD_BLOCK;
  lua_pushboolean(L, true);
  return 1;
}

static int finish_flush(lua_State *L, Task *t, void *self, int code) {
  UNUSED(code);
  FileBody *f = self;
  if (file_finish(L, f)) return file_interrupted(L, t, f);
  lua_pushboolean(L, true);
  return 1;
}

// file:flush() -> true: what was written is with the system. Raises OSError,
// ClosedResourceError, BusyResourceError. Checkpoint.
int file_flush(lua_State *L) {
  static const Op op = {.name = "file:flush",
                        .attempt = try_flush,
                        .start = start_flush,
                        .abort = file_abort,
                        .finish = finish_flush};
  FileBody *f = file_check(L);
  lua_settop(L, FILE_SELF);
  return await(L, &op, f);
}

// ---- seeking; the stack: file, whence, offset

enum { WHENCE = 2, OFFSET = 3 };

static int try_seek(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END};
  static const char *const names[] = {"set", "cur", "end", NULL};
  FileBody *f = self;
  file_check_usable(L, f, -1, "lseek");
  f->whence = whences[luaL_checkoption(L, WHENCE, "cur", names)];
  f->target = luaL_optinteger(L, OFFSET, 0);
  bool appends = (f->open_flags & O_APPEND) && bytes_length(&f->out) > 0;
  if (!f->is_regular || appends || f->whence != SEEK_CUR || f->target != 0) {
    return WOULD_BLOCK;
  }
  int64_t ahead = (int64_t)bytes_length(&f->in);
  int64_t behind = (int64_t)bytes_length(&f->out);
  lua_pushinteger(L, f->offset - ahead + behind);
  return 1;
}

static void start_seek(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  file_submit(self, t, file_work_seek);
}

static int finish_seek(lua_State *L, Task *t, void *self, int code) {
  UNUSED(code);
  FileBody *f = self;
  if (file_finish(L, f)) return file_interrupted(L, t, f);
  lua_pushinteger(L, f->target);
  return 1;
}

// file:seek([whence [, offset]]) -> position. Raises OSError,
// ClosedResourceError, BusyResourceError. Checkpoint.
int file_seek(lua_State *L) {
  static const Op op = {.name = "file:seek",
                        .attempt = try_seek,
                        .start = start_seek,
                        .abort = file_abort,
                        .finish = finish_seek};
  FileBody *f = file_check(L);
  lua_settop(L, OFFSET);
  luaL_optstring(L, WHENCE, NULL);
  luaL_optinteger(L, OFFSET, 0);
  return await(L, &op, f);
}

// ---- buffering; the stack: file, mode, size

static int try_setvbuf(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  static const FileBuffering modes[] = {BUFFER_NO, BUFFER_FULL, BUFFER_LINE};
  static const char *const names[] = {"no", "full", "line", NULL};
  FileBody *f = self;
  int mode = luaL_checkoption(L, 2, NULL, names);
  lua_Integer size = luaL_optinteger(L, 3, (lua_Integer)f->limit);
  luaL_argcheck(L, size >= 0, 3, "must not be negative");
  file_check_usable(L, f, -1, "setvbuf");
  f->buffering = modes[mode];
  f->limit = size > 0 ? (size_t)size : 1;
  lua_pushboolean(L, true);
  return 1;
}

// file:setvbuf(mode [, size]) -> true. Raises ClosedResourceError,
// BusyResourceError. Checkpoint.
int file_setvbuf(lua_State *L) {
  static const Op op = {.name = "file:setvbuf", .attempt = try_setvbuf};
  FileBody *f = file_check(L);
  lua_settop(L, 3);
  return await(L, &op, f);
}
