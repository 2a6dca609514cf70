// SPDX-License-Identifier: MIT
// file_read.c: file:read and file:lines, with the formats of Lua's own.
//
// The formats are read from the bytes read ahead, with a cursor. If those do
// not suffice, nothing is taken, a job reads more, and all formats are read
// anew. So a read that fails or is cancelled leaves the file where it was.
// What each format takes is what Lua's io library takes, to the byte.
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>

#include "../bind/error.h"
#include "file.h"

typedef struct Cursor {
  FileBody *file;
  size_t at;   // from the front of `in`
  bool lacks;  // the bytes read ahead do not suffice; file->need says why
} Cursor;

static size_t available(const Cursor *c) {
  return bytes_length(&c->file->in) - c->at;
}

static const char *here(const Cursor *c) {
  return bytes_front(&c->file->in) + c->at;
}

// Nothing can be said before there is more.
static bool ask(Cursor *c, FileNeed need, size_t size) {
  c->lacks = true;
  c->file->need = need;
  c->file->need_from = c->at;
  c->file->need_size = size;
  return false;
}

static void take(lua_State *L, Cursor *c, size_t length) {
  lua_pushlstring(L, length == 0 ? "" : here(c), length);
  c->at += length;
}

// ---- formats: push what was read; false: there was nothing, or not enough

static bool read_line(lua_State *L, Cursor *c, bool keep) {
  size_t length = available(c);
  const char *end = length == 0 ? NULL : memchr(here(c), '\n', length);
  if (end == NULL) {
    if (!c->file->at_end) return ask(c, NEED_LINE, 0);
    if (length > 0) take(L, c, length);
    return length > 0;
  }
  take(L, c, (size_t)(end - here(c)) + (keep ? 1 : 0));
  if (!keep) c->at++;
  return true;
}

static bool read_count(lua_State *L, Cursor *c, size_t count) {
  size_t wanted = count > 0 ? count : 1;  // 0 only asks if this is the end
  if (available(c) < wanted && !c->file->at_end) {
    return ask(c, NEED_BYTES, wanted);
  }
  size_t length = available(c) < count ? available(c) : count;
  if (available(c) == 0) return false;
  take(L, c, length);
  return true;
}

static bool read_all(lua_State *L, Cursor *c) {
  if (!c->file->at_end) return ask(c, NEED_ALL, 0);
  take(L, c, available(c));
  return true;
}

// Numbers: the longest prefix that could be a numeral, up to a limit.

enum { NUMERAL = 200 };

typedef struct Numeral {
  Cursor *cursor;
  int length;
  char text[NUMERAL + 1];
} Numeral;

static int peek(Cursor *c) {
  if (available(c) > 0) return (unsigned char)*here(c);
  if (!c->file->at_end) ask(c, NEED_BYTES, 1);
  return -1;
}

// Add the next byte; false if the numeral is too long, which makes it void.
static bool add(Numeral *n) {
  if (n->length >= NUMERAL) {
    n->text[0] = '\0';
    return false;
  }
  n->text[n->length++] = *here(n->cursor);
  n->cursor->at++;
  return true;
}

static bool add_one_of(Numeral *n, const char *set) {
  int byte = peek(n->cursor);
  if (byte <= 0 || strchr(set, byte) == NULL) return false;
  return add(n);
}

static int add_digits(Numeral *n, bool hex) {
  int count = 0;
  for (;;) {
    int byte = peek(n->cursor);
    if (byte < 0 || !(hex ? isxdigit(byte) : isdigit(byte)) || !add(n)) {
      return count;
    }
    count++;
  }
}

static void scan_numeral(Numeral *n) {
  char points[3] = {localeconv()->decimal_point[0], '.', '\0'};
  int count = 0;
  bool hex = false;
  while (isspace(peek(n->cursor))) n->cursor->at++;
  add_one_of(n, "-+");
  if (add_one_of(n, "0")) {
    if (add_one_of(n, "xX")) {
      hex = true;
    } else {
      count = 1;
    }
  }
  count += add_digits(n, hex);
  if (add_one_of(n, points)) count += add_digits(n, hex);
  if (count > 0 && add_one_of(n, hex ? "pP" : "eE")) {
    add_one_of(n, "-+");
    add_digits(n, false);
  }
}

static bool read_number(lua_State *L, Cursor *c) {
  Numeral n = {.cursor = c, .length = 0};
  scan_numeral(&n);
  if (c->lacks) return false;
  if (n.length < NUMERAL || n.text[0] != '\0') n.text[n.length] = '\0';
  return lua_stringtonumber(L, n.text) != 0;
}

static bool read_format(lua_State *L, Cursor *c, int format) {
  if (lua_type(L, format) == LUA_TNUMBER) {
    return read_count(L, c, (size_t)lua_tointeger(L, format));
  }
  const char *name = lua_tostring(L, format);
  switch (name[0] == '*' ? name[1] : name[0]) {
    case 'n':
      return read_number(L, c);
    case 'l':
      return read_line(L, c, false);
    case 'L':
      return read_line(L, c, true);
    default:
      return read_all(L, c);
  }
}

// ---- the operation; the stack: file, formats

static int read_formats(lua_State *L, FileBody *f, int formats) {
  Cursor c = {f, 0, false};
  luaL_checkstack(L, formats, "too many formats");
  int top = lua_gettop(L);
  for (int i = 1; i <= formats; i++) {
    if (read_format(L, &c, FILE_SELF + i)) continue;
    if (c.lacks) {
      lua_settop(L, top);
      return WOULD_BLOCK;
    }
    luaL_pushfail(L);
    break;
  }
  bytes_drop(&f->in, c.at);
  return lua_gettop(L) - top;
}

// How many formats stand on the stack; results may follow.
static int count_formats(lua_State *L) {
  return (int)lua_tointeger(L, lua_gettop(L));
}

static int try_read(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  FileBody *f = self;
  file_check_usable(L, f, O_RDONLY, "read");
  f->at_end = false;
  if (bytes_length(&f->out) > 0) {  // must be written first
    f->need = NEED_BYTES;
    f->need_from = f->need_size = 0;
    return WOULD_BLOCK;
  }
  return read_formats(L, f, count_formats(L));
}

static void start_read(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  file_submit(self, t, file_work_fill);
}

static int finish_read(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "file:read",
                           .start = start_read,
                           .abort = file_abort,
                           .finish = finish_read};
  UNUSED(code);
  FileBody *f = self;
  bool early = file_finish(L, f);
  int results = early && bytes_length(&f->out) > 0
                    ? WOULD_BLOCK
                    : read_formats(L, f, count_formats(L));
  if (results != WOULD_BLOCK) return results;
  if (early) return file_interrupted(L, t, f);
  return await(L, &again, f);
}

static int await_read(lua_State *L, FileBody *f, const char *name) {
  static const Op op = {.name = "file:read",
                        .attempt = try_read,
                        .start = start_read,
                        .abort = file_abort,
                        .finish = finish_read};
  await_check(L, name);
  lua_pushinteger(L, lua_gettop(L) - FILE_SELF);
  return await(L, &op, f);
}

// Check the formats from index 2 on; none stands for "l".
static void check_formats(lua_State *L) {
  if (lua_gettop(L) == FILE_SELF) lua_pushliteral(L, "l");
  for (int i = FILE_SELF + 1; i <= lua_gettop(L); i++) {
    if (lua_type(L, i) == LUA_TNUMBER) {
      lua_Integer count = luaL_checkinteger(L, i);
      luaL_argcheck(L, count >= 0, i, "must not be negative");
      continue;
    }
    const char *name = luaL_checkstring(L, i);
    if (name[0] == '*') name++;
    if (name[0] == '\0' || strchr("nlLa", name[0]) == NULL) {
      luaL_argerror(L, i, "invalid format");
    }
  }
}

// file:read(formats...) -> what was read, nil where there was nothing. Raises
// OSError, ClosedResourceError, BusyResourceError. Checkpoint.
int file_read(lua_State *L) {
  FileBody *f = file_check(L);
  check_formats(L);
  return await_read(L, f, "file:read");
}

// The iterator. Upvalues: how many values, the file, formats.
static int next_line(lua_State *L) {
  int count = (int)lua_tointeger(L, lua_upvalueindex(1));
  lua_settop(L, 0);
  luaL_checkstack(L, count, "too many formats");
  for (int i = 1; i <= count; i++) lua_pushvalue(L, lua_upvalueindex(1 + i));
  return await_read(L, file_check(L), "file:lines");
}

enum { MOST_FORMATS = 250 };

// file:lines(formats...) -> iterator: each step is a read. Raises
// ClosedResourceError. No checkpoint; each step is one.
int file_lines(lua_State *L) {
  FileBody *f = file_check(L);
  check_formats(L);
  int count = lua_gettop(L);
  luaL_argcheck(L, count <= MOST_FORMATS, MOST_FORMATS + 1,
                "too many arguments");
  if (f->fd < 0 || f->closing) {
    error_raise(L, ERROR_CLOSED_RESOURCE, "this file was closed: %s", f->path);
  }
  lua_pushinteger(L, count);
  lua_insert(L, 1);
  lua_pushcclosure(L, next_line, count + 1);
  return 1;
}
