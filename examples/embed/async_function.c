// SPDX-License-Identifier: MIT
// A C program with a Lua state of its own and a C function that suspends a
// task: eventfd.wait(fd) waits until another thread writes to an eventfd. The
// script waits for it with a timeout around, like for anything else.
//
//   cc async_function.c $(pkg-config --cflags --libs trio-lua libuv) -pthread
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <trio.h>
#include <unistd.h>
#include <uv.h>

// One wait. In C memory, because a libuv handle must outlive its Lua owner.
typedef struct Waiter {
  uv_poll_t poll;
  trio_task *task;
} Waiter;

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static void stop(Waiter *w) { uv_close((uv_handle_t *)&w->poll, on_closed); }

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)status;
  (void)events;
  Waiter *w = poll->data;
  trio_wake(w->task, TRIO_WAKE_OK);
  stop(w);
}

// self is a box on the stack of the waiting function, so it lives as long as
// the wait does. The descriptor stands at index 1.
static void start(lua_State *L, trio_task *task, void *self) {
  Waiter *w = calloc(1, sizeof *w);
  if (w == NULL) luaL_error(L, "not enough memory");
  w->task = task;
  int fd = (int)lua_tointeger(L, 1);
  if (uv_poll_init(trio_loop(L), &w->poll, fd) != 0) {
    free(w);
    luaL_error(L, "this descriptor can't be watched");
  }
  w->poll.data = w;
  uv_poll_start(&w->poll, UV_READABLE, on_readable);
  *(Waiter **)self = w;
}

static trio_abort abort_wait(trio_task *task, void *self) {
  (void)task;
  stop(*(Waiter **)self);
  return TRIO_ABORT_DONE;
}

static const trio_op wait_op = {"eventfd.wait", NULL, start, abort_wait, NULL};

static int l_wait(lua_State *L) {
  luaL_checkinteger(L, 1);
  lua_settop(L, 1);
  return trio_await(L, &wait_op, lua_newuserdatauv(L, sizeof(Waiter *), 0));
}

static pthread_t thread;

static void *write_later(void *arg) {
  usleep(50000);
  uint64_t one = 1;
  if (write(*(int *)arg, &one, sizeof one) < 0) perror("write");
  return NULL;
}

static int l_start_thread(lua_State *L) {
  static int fd;
  fd = (int)luaL_checkinteger(L, 1);
  pthread_create(&thread, NULL, write_later, &fd);
  return 0;
}

static const char script[] =
    "local trio, fd = require 'trio', ...\n"
    "local scope = trio.move_on_after(0.01, function() wait(fd) end)\n"
    "print('too early:', scope.cancelled_caught)\n"
    "start_thread(fd)\n"
    "trio.fail_after(5, function() wait(fd) end)\n"
    "print('the other thread has written')\n";

int main(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "trio", luaopen_trio, 0);
  lua_register(L, "wait", l_wait);
  lua_register(L, "start_thread", l_start_thread);
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int status = luaL_loadstring(L, script);
  lua_pushinteger(L, fd);
  if (status == LUA_OK) status = trio_run(L, 1, 0, 0);
  if (status != LUA_OK) fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
  if (thread != 0) pthread_join(thread, NULL);
  close(fd);
  lua_close(L);
  return status;
}
