// SPDX-License-Identifier: MIT
// watch.c: see watch.h; also trio.lowlevel.wait_readable, wait_writable and
// notify_closing (Trio: the same names).
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <uv.h>

#include "../base/mem.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "io.h"
#include "oserror.h"

struct Watch {
  uv_poll_t poll;
  struct WatchTable *table;
  int fd;
  int armed;  // UV_READABLE | UV_WRITABLE that libuv watches for
  Task *waiting[2];
  bool lasting;  // keep it armed between waits
};

// Watches of a state's loop, by descriptor. An object in the registry.
typedef struct WatchTable {
  ClassHead head;
  State *state;
  Watch **watches;
  int size;
} WatchTable;

static const char table_key = 0;
static const Class table_class;

static WatchTable *table_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  WatchTable *table = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return table;
}

static Watch *find(const WatchTable *table, int fd) {
  return fd >= 0 && fd < table->size ? table->watches[fd] : NULL;
}

static void on_closed(uv_handle_t *handle) {
  mem_free(CONTAINER_OF(handle, Watch, poll));
}

static void drop(Watch *w) {  // not found any more, freed once closed
  w->table->watches[w->fd] = NULL;
  uv_close((uv_handle_t *)&w->poll, on_closed);
}

static void on_event(uv_poll_t *poll, int status, int events);

static int event_of(WatchSide side) {
  return side == WATCH_READ ? UV_READABLE : UV_WRITABLE;
}

static void arm(Watch *w, int events) {
  if (events == w->armed) return;
  w->armed = events;
  if (events == 0) {
    uv_poll_stop(&w->poll);
  } else {
    uv_poll_start(&w->poll, events, on_event);
  }
}

static void wake(Watch *w, WatchSide side, int code) {
  Task *t = w->waiting[side];
  if (t == NULL) return;
  watch_cancel(w, side);
  task_wake(t, code);
}

// No Lua here. An error event wakes both sides: the system call that follows
// tells what it is.
static void on_event(uv_poll_t *poll, int status, int events) {
  Watch *w = CONTAINER_OF(poll, Watch, poll);
  if (status < 0) {
    w->armed = 0;
    events = UV_READABLE | UV_WRITABLE;
  }
  int keep = w->armed & ~UV_WRITABLE;
  if ((events & UV_READABLE) && (w->waiting[WATCH_READ] == NULL || !w->lasting))
    keep &= ~UV_READABLE;
  if (events & UV_READABLE) wake(w, WATCH_READ, WAKE_OK);
  if (events & UV_WRITABLE) wake(w, WATCH_WRITE, WAKE_OK);
  if (w->waiting[WATCH_WRITE] != NULL) keep |= UV_WRITABLE;
  if (w->waiting[WATCH_READ] != NULL) keep |= UV_READABLE;
  arm(w, keep);
}

static void grow(lua_State *L, WatchTable *table, int fd) {
  int size = table->size == 0 ? 64 : table->size;
  while (size <= fd) size *= 2;
  Watch **more = mem_realloc(table->watches, sizeof(Watch *) * (size_t)size);
  if (more == NULL) luaL_error(L, "not enough memory");
  if (table->watches == NULL) table->state->kept++;
  for (int i = table->size; i < size; i++) more[i] = NULL;
  table->watches = more;
  table->size = size;
}

Watch *watch_get(lua_State *L, int fd, const char *what) {
  WatchTable *table = table_of(L);
  Watch *w = find(table, fd);
  if (w != NULL) {
    w->lasting = true;
    return w;
  }
  if (fd < 0) oserror_raise(L, EBADF, what, NULL);
  if (fd >= table->size) grow(L, table, fd);
  w = mem_alloc(sizeof(Watch));
  if (w == NULL) luaL_error(L, "not enough memory");
  int result = uv_poll_init(poll_loop(table->state->poll), &w->poll, fd);
  if (result != 0) {
    mem_free(w);
    oserror_raise(L, -result, what, NULL);
  }
  w->table = table;
  w->fd = fd;
  w->lasting = true;
  table->watches[fd] = w;
  return w;
}

bool watch_is_busy(lua_State *L, int fd, WatchSide side) {
  const Watch *w = find(table_of(L), fd);
  return w != NULL && w->waiting[side] != NULL;
}

void watch_check(lua_State *L, int fd, WatchSide side) {
  if (!watch_is_busy(L, fd, side)) return;
  error_raise(L, ERROR_BUSY_RESOURCE, "another task is already %s this",
              side == WATCH_READ ? "reading from" : "writing to");
}

void watch_begin(Watch *w, WatchSide side, Task *t) {
  w->waiting[side] = t;
  uv_ref((uv_handle_t *)&w->poll);
  arm(w, w->armed | event_of(side));
}

// A watch that nobody waits for is nothing that could still happen: it does
// not keep the loop alive.
void watch_cancel(Watch *w, WatchSide side) {
  w->waiting[side] = NULL;
  if (w->waiting[1 - side] == NULL) uv_unref((uv_handle_t *)&w->poll);
}

void watch_close(lua_State *L, int fd) {
  Watch *w = find(table_of(L), fd);
  if (w == NULL) return;
  wake(w, WATCH_READ, WAKE_CLOSED);
  wake(w, WATCH_WRITE, WAKE_CLOSED);
  drop(w);
}

// ---- trio.lowlevel

static AbortResult stop_reading(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  watch_cancel(self, WATCH_READ);
  return ABORT_DONE;
}

static AbortResult stop_writing(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  watch_cancel(self, WATCH_WRITE);
  return ABORT_DONE;
}

static void start_reading(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  watch_begin(self, WATCH_READ, t);
}

static void start_writing(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  watch_begin(self, WATCH_WRITE, t);
}

// The descriptor at index 1: a number, or an object with a method fileno.
static int check_fd(lua_State *L) {
  if (lua_type(L, 1) == LUA_TNUMBER) return (int)luaL_checkinteger(L, 1);
  if (luaL_getmetafield(L, 1, "__index") != LUA_TNIL) {
    lua_getfield(L, 1, "fileno");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_isinteger(L, -1)) return (int)lua_tointeger(L, -1);
  }
  return luaL_typeerror(L, 1, "file descriptor");
}

static int wait_for(lua_State *L, WatchSide side, const Op *op) {
  int fd = check_fd(L);
  await_check(L, op->name);
  // A number that was closed and used again since leaves a stale watch.
  if (fd >= 0 && fcntl(fd, F_GETFD) < 0) {
    int number = errno;
    watch_close(L, fd);
    return oserror_raise(L, number, op->name, NULL);
  }
  watch_check(L, fd, side);
  Watch *w = watch_get(L, fd, op->name);
  w->lasting = false;
  lua_settop(L, 1);
  return await(L, op, w);
}

// trio.lowlevel.wait_readable(fd): wait until reading would not block. Raises
// BusyResourceError, ClosedResourceError (see notify_closing), OSError.
static int l_wait_readable(lua_State *L) {
  static const Op op = {.name = "trio.lowlevel.wait_readable",
                        .start = start_reading,
                        .abort = stop_reading};
  return wait_for(L, WATCH_READ, &op);
}

// trio.lowlevel.wait_writable(fd): wait until writing would not block.
static int l_wait_writable(lua_State *L) {
  static const Op op = {.name = "trio.lowlevel.wait_writable",
                        .start = start_writing,
                        .abort = stop_writing};
  return wait_for(L, WATCH_WRITE, &op);
}

// trio.lowlevel.notify_closing(fd): wake who waits for the descriptor with
// ClosedResourceError; call it right before closing it.
static int l_notify_closing(lua_State *L) {
  int fd = check_fd(L);
  runner_require(L);
  watch_close(L, fd);
  return 0;
}

static int table_gc(lua_State *L) {
  WatchTable *table = lua_touserdata(L, 1);
  for (int fd = 0; fd < table->size; fd++) {
    Watch *w = table->watches[fd];
    if (w == NULL) continue;
    if (table->state->poll != NULL) {
      drop(w);
    } else {
      mem_free(w);  // the loop went first and has closed the handle
    }
  }
  mem_free(table->watches);
  table->watches = NULL;
  table->size = 0;
  return 0;
}

static const luaL_Reg table_meta[] = {{"__gc", table_gc}, {NULL, NULL}};
static const Class table_class = {"trio.watches", NULL, NULL, table_meta};

void watch_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"wait_readable", l_wait_readable},
                                       {"wait_writable", l_wait_writable},
                                       {"notify_closing", l_notify_closing},
                                       {NULL, NULL}};
  class_register(L, &table_class);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key) == LUA_TNIL) {
    WatchTable *table = class_new(L, &table_class, sizeof(WatchTable), 0);
    table->state = state_of(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
  }
  lua_pop(L, 1);
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
