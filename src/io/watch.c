// SPDX-License-Identifier: MIT
// watch.c: see watch.h; also trio.lowlevel.wait_readable, wait_writable and
// notify_closing (Trio: the same names).
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "../base/mem.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "io.h"
#include "oserror.h"
#include "socket.h"

struct Watch {
  uv_poll_t poll;
  struct WatchTable *table;
  int fd;     // the number it is found by
  int copy;   // a duplicate that is watched in its place, or -1
  int armed;  // UV_READABLE | UV_WRITABLE that libuv watches for
  Task *waiting[2];
  bool readable;  // it became so while nobody waited
  bool resting;   // its socket is closed: for the next one with this number
};

// More would be memory that a busy hour has left behind.
enum { MAX_RESTING = 1000 };

// Watches of a state's loop, by descriptor. An object in the registry.
typedef struct WatchTable {
  ClassHead head;
  State *state;
  Watch **watches;
  int size;
} WatchTable;

static const char table_key = 0;
static const Class table_class;

static WatchTable *table_of(lua_State *L) { return state_of(L)->watches; }

static Watch *find(const WatchTable *table, int fd) {
  return fd >= 0 && fd < table->size ? table->watches[fd] : NULL;
}

static void on_closed(uv_handle_t *handle) {
  mem_free(CONTAINER_OF(handle, Watch, poll));
}

static void set_resting(Watch *w, bool resting) {
  if (w->resting == resting) return;
  w->resting = resting;
  w->table->state->kept += resting ? 1 : -1;
  w->table->state->resting += resting ? 1 : -1;
}

static void drop(Watch *w) {  // not found any more, freed once closed
  set_resting(w, false);
  w->table->watches[w->fd] = NULL;
  uv_close((uv_handle_t *)&w->poll, on_closed);
  if (w->copy >= 0) close(w->copy);
}

// The watch of a foreign descriptor lasts as long as somebody waits: its copy
// would keep the file open.
static void drop_if_idle(Watch *w) {
  if (w->copy < 0 || w->waiting[WATCH_READ] || w->waiting[WATCH_WRITE]) return;
  drop(w);
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

// A watch that nobody waits for is nothing that could still happen: it does
// not keep the loop alive.
static void forget(Watch *w, WatchSide side) {
  w->waiting[side] = NULL;
  w->table->state->waiting_fds[side]--;
  if (w->waiting[1 - side] == NULL) uv_unref((uv_handle_t *)&w->poll);
}

static void wake(Watch *w, WatchSide side, int code) {
  Task *t = w->waiting[side];
  if (t == NULL) return;
  forget(w, side);
  task_wake(t, code);
}

// No Lua here. An error event wakes both sides: the system call that follows
// tells what it is. Who was woken mostly comes back, so its side stays armed;
// it is disarmed if the event comes again and nobody has come back.
static void on_event(uv_poll_t *poll, int status, int events) {
  Watch *w = CONTAINER_OF(poll, Watch, poll);
  if (status < 0) {
    w->armed = 0;  // by libuv
    events = UV_READABLE | UV_WRITABLE;
  }
  int keep = w->armed;
  if ((events & UV_READABLE) && w->waiting[WATCH_READ] == NULL) {
    if (w->readable) keep &= ~UV_READABLE;
    w->readable = true;
  }
  if ((events & UV_WRITABLE) && w->waiting[WATCH_WRITE] == NULL) {
    keep &= ~UV_WRITABLE;
  }
  if (events & UV_READABLE) wake(w, WATCH_READ, WAKE_OK);
  if (events & UV_WRITABLE) wake(w, WATCH_WRITE, WAKE_OK);
  arm(w, keep);
  drop_if_idle(w);
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

static Watch *new_watch(lua_State *L, WatchTable *table, int fd, int copy,
                        const char *what) {
  int watched = copy >= 0 ? copy : fd;
  int flags = copy >= 0 ? fcntl(copy, F_GETFL) : O_NONBLOCK;
  int number = ENOMEM;
  Watch *w = mem_alloc(sizeof(Watch));
  if (w != NULL) {
    number = -uv_poll_init(poll_loop(table->state->poll), &w->poll, watched);
    // libuv makes it non-blocking; one of somebody else shall stay as it is.
    if (!(flags & O_NONBLOCK)) fcntl(watched, F_SETFL, flags);
  }
  if (number != 0) {
    mem_free(w);
    if (copy >= 0) close(copy);
    oserror_raise(L, number, what, NULL);
  }
  w->table = table;
  w->fd = fd;
  w->copy = copy;
  table->watches[fd] = w;
  return w;
}

Watch *watch_get(lua_State *L, int fd, const char *what) {
  WatchTable *table = table_of(L);
  Watch *w = find(table, fd);
  if (w == NULL) {
    if (fd < 0) oserror_raise(L, EBADF, what, NULL);
    if (fd >= table->size) grow(L, table, fd);
    w = new_watch(L, table, fd, -1, what);
  }
  set_resting(w, false);
  return w;
}

static bool is_same_file(int a, int b) {
  struct stat one, two;
  return fstat(a, &one) == 0 && fstat(b, &two) == 0 &&
         one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

// A watch for a descriptor that somebody else may close without a word. libuv
// aborts the process when such a thing vanishes, so it gets a duplicate.
static Watch *get_foreign(lua_State *L, int fd, const char *what) {
  WatchTable *table = table_of(L);
  Watch *w = find(table, fd);
  if (w != NULL &&
      (w->resting || (w->copy >= 0 && !is_same_file(fd, w->copy)))) {
    watch_close(L, fd);  // the number was used again meanwhile
    w = NULL;
  }
  if (w != NULL) return w;
  if (fd >= table->size) grow(L, table, fd);
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) oserror_raise(L, errno, what, NULL);
  return new_watch(L, table, fd, copy, what);
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

bool watch_take_readable(lua_State *L, int fd) {
  Watch *w = find(table_of(L), fd);
  if (w == NULL || !w->readable) return false;
  w->readable = false;
  return true;
}

void watch_begin(Watch *w, WatchSide side, Task *t) {
  if (side == WATCH_READ) w->readable = false;
  w->waiting[side] = t;
  w->table->state->waiting_fds[side]++;
  uv_ref((uv_handle_t *)&w->poll);
  arm(w, w->armed | event_of(side));
}

void watch_cancel(Watch *w, WatchSide side) {
  forget(w, side);
  drop_if_idle(w);
}

void watch_close(lua_State *L, int fd) {
  Watch *w = find(table_of(L), fd);
  if (w == NULL) return;
  wake(w, WATCH_READ, WAKE_CLOSED);
  wake(w, WATCH_WRITE, WAKE_CLOSED);
  drop(w);
}

void watch_rest(lua_State *L, int fd) {
  WatchTable *table = table_of(L);
  Watch *w = find(table, fd);
  if (w == NULL || w->resting) return;
  if (w->copy >= 0 || table->state->resting >= MAX_RESTING) {
    watch_close(L, fd);
    return;
  }
  wake(w, WATCH_READ, WAKE_CLOSED);
  wake(w, WATCH_WRITE, WAKE_CLOSED);
  arm(w, 0);
  w->readable = false;
  set_resting(w, true);
}

void watch_forget_all(lua_State *L) {
  WatchTable *table = table_of(L);
  for (int fd = 0; fd < table->size; fd++) {
    if (table->watches[fd] != NULL) watch_close(L, fd);
  }
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
  int is_integer = 0;
  lua_Integer fd = lua_tointegerx(L, 1, &is_integer);
  if (lua_type(L, 1) != LUA_TNUMBER) {
    is_integer = 0;
    if (luaL_getmetafield(L, 1, "__index") != LUA_TNIL &&
        lua_getfield(L, 1, "fileno") != LUA_TNIL) {
      lua_pushvalue(L, 1);
      lua_call(L, 1, 1);
      fd = lua_tointegerx(L, -1, &is_integer);
    }
  }
  if (!is_integer) luaL_typeerror(L, 1, "file descriptor");
  return fd < -1 || fd > INT_MAX ? -1 : (int)fd;
}

static int wait_for(lua_State *L, WatchSide side, const Op *op) {
  int fd = check_fd(L);
  await_check(L, op->name);
  bool is_ours = class_test(L, 1, &socket_class) != NULL;
  if (fd < 0 && is_ours) {
    return error_raise(L, ERROR_CLOSED_RESOURCE, "this socket is closed");
  }
  if (fcntl(fd, F_GETFD) < 0) return oserror_raise(L, errno, op->name, NULL);
  Watch *w =
      is_ours ? watch_get(L, fd, op->name) : get_foreign(L, fd, op->name);
  watch_check(L, fd, side);
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
      continue;
    }
    if (w->copy >= 0) close(w->copy);
    mem_free(w);  // the loop went first and has closed the handle
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
    table->state->watches = table;
    lua_rawsetp(L, LUA_REGISTRYINDEX, &table_key);
  }
  lua_pop(L, 1);
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
