// SPDX-License-Identifier: MIT
// signal.c: trio.open_signal_receiver (Trio: the same name).
//
// Signals belong to the process. For each one there is a chain of Receivers,
// the innermost first; the first one installs our handler and the last one
// puts back what was there before. The handler only stamps the innermost
// Receiver and wakes the loop: what is set here is safe in any thread and at
// any instruction. Only one Lua state at a time has receivers.
// SIGCHLD is libuv's: it comes through a uv_signal_t, or processes would hang.
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <uv.h>

#include "../base/mem.h"
#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "../bind/resource.h"
#include "../bind/with.h"
#include "io.h"
#include "oserror.h"
#include "signal_names.h"

// In C memory, because of the handles.
typedef struct Receiver {
  uv_async_t async;
  uv_signal_t child;  // where SIGCHLD is received
  int handles;        // that libuv is not done with
  bool boxed;
  bool installed[SIGNAL_LIMIT];
  atomic_ulong stamp[SIGNAL_LIMIT];      // when it came, 0: it didn't
  struct Receiver *outer[SIGNAL_LIMIT];  // next in the chain
  Task *waiting;
} Receiver;

typedef struct ReceiverBox {
  ClassHead head;
  Resource resource;
  Receiver *receiver;
  bool closed;
} ReceiverBox;

static const Class receiver_class;

static Receiver *_Atomic innermost[SIGNAL_LIMIT];
static struct sigaction before[SIGNAL_LIMIT];  // what we replaced
static atomic_ulong clock_of_stamps;
static const State *_Atomic owner;  // whose receivers these are
static int open_count;              // of the owner

// ---- in the signal handler

static void stamp(Receiver *r, int number) {
  unsigned long none = 0;
  unsigned long now = atomic_fetch_add(&clock_of_stamps, 1) + 1;
  atomic_compare_exchange_strong(&r->stamp[number], &none, now);
  uv_async_send(&r->async);
}

static void on_signal(int number) {
  int saved = errno;
  Receiver *r = atomic_load(&innermost[number]);
  if (r != NULL) stamp(r, number);
  errno = saved;
}

// ---- in the loop

// The signal that came first, or 0.
static int oldest(Receiver *r) {
  int found = 0;
  unsigned long first = 0;
  for (int n = 1; n < SIGNAL_LIMIT; n++) {
    unsigned long at = atomic_load(&r->stamp[n]);
    if (at == 0 || (found != 0 && at > first)) continue;
    found = n;
    first = at;
  }
  return found;
}

static void on_async(uv_async_t *async) {
  Receiver *r = CONTAINER_OF(async, Receiver, async);
  Task *t = r->waiting;
  if (t == NULL || oldest(r) == 0) return;
  r->waiting = NULL;
  uv_unref((uv_handle_t *)async);
  task_wake(t, WAKE_OK);
}

static void on_child(uv_signal_t *handle, int number) {
  UNUSED(handle);
  Receiver *r = atomic_load(&innermost[number]);
  if (r != NULL) stamp(r, number);
}

// ---- taking signals over

static int install(Receiver *r, int number) {
  struct sigaction ours;
  memset(&ours, 0, sizeof ours);
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  sigfillset(&ours.sa_mask);
  if (r->installed[number]) return 0;
  r->outer[number] = atomic_load(&innermost[number]);
  if (r->outer[number] == NULL) {
    if (sigaction(number, NULL, &before[number]) != 0) return errno;
  }
  atomic_store(&innermost[number], r);
  int result = 0;
  if (number == SIGCHLD) {
    result = -uv_signal_start(&r->child, on_child, number);
  } else if (r->outer[number] == NULL) {
    result = sigaction(number, &ours, NULL) == 0 ? 0 : errno;
  }
  r->installed[number] = result == 0;
  if (result != 0) atomic_store(&innermost[number], r->outer[number]);
  return result;
}

// A receiver can be left before one that was opened in it, in coroutines.
static void unlink_receiver(Receiver *r, int number) {
  Receiver *first = atomic_load(&innermost[number]);
  if (first == r) {
    atomic_store(&innermost[number], r->outer[number]);
    return;
  }
  while (first->outer[number] != r) first = first->outer[number];
  first->outer[number] = r->outer[number];
}

static void restore(Receiver *r, int number) {
  if (!r->installed[number]) return;
  r->installed[number] = false;
  unlink_receiver(r, number);
  bool last = atomic_load(&innermost[number]) == NULL;
  if (number != SIGCHLD) {
    if (last) sigaction(number, &before[number], NULL);
    return;
  }
  uv_signal_stop(&r->child);
  struct sigaction now;
  if (last && sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
    sigaction(number, &before[number], NULL);
  }
}

// ---- the life of a Receiver

static void free_if_unused(Receiver *r) {
  if (!r->boxed && r->handles == 0) mem_free(r);
}

static void on_async_closed(uv_handle_t *handle) {
  Receiver *r = CONTAINER_OF(handle, Receiver, async);
  r->handles--;
  free_if_unused(r);
}

static void on_child_closed(uv_handle_t *handle) {
  Receiver *r = CONTAINER_OF(handle, Receiver, child);
  r->handles--;
  free_if_unused(r);
}

// Give the signals back, and raise again those that nobody read.
static void close_receiver(lua_State *L, Resource *resource) {
  UNUSED(L);
  ReceiverBox *box = CONTAINER_OF(resource, ReceiverBox, resource);
  Receiver *r = box->receiver;
  box->closed = true;
  for (int n = 1; n < SIGNAL_LIMIT; n++) restore(r, n);
  if (--open_count == 0) atomic_store(&owner, NULL);
  Task *t = r->waiting;
  r->waiting = NULL;
  if (t != NULL) task_wake(t, WAKE_OK);
  uv_close((uv_handle_t *)&r->async, on_async_closed);
  uv_close((uv_handle_t *)&r->child, on_child_closed);
  int number;
  while ((number = oldest(r)) != 0) {
    atomic_store(&r->stamp[number], 0);
    raise(number);
  }
}

static int receiver_gc(lua_State *L) {
  ReceiverBox *box = lua_touserdata(L, 1);
  resource_collected(L, &box->resource);
  Receiver *r = box->receiver;
  if (r == NULL) return 0;
  box->receiver = NULL;
  r->boxed = false;
  free_if_unused(r);
  return 0;
}

static void start(lua_State *L, Runner *R, ReceiverBox *box) {
  const State *none = NULL;
  if (!atomic_compare_exchange_strong(&owner, &none, R->state) &&
      none != R->state) {
    luaL_error(L, "another thread receives signals already");
  }
  Receiver *r = mem_alloc(sizeof(Receiver));
  if (r == NULL) {
    if (open_count == 0) atomic_store(&owner, NULL);
    luaL_error(L, "not enough memory");
  }
  box->receiver = r;
  r->boxed = true;
  uv_loop_t *loop = poll_loop(R->state->poll);
  uv_async_init(loop, &r->async, on_async);
  uv_signal_init(loop, &r->child);
  uv_unref((uv_handle_t *)&r->async);
  uv_unref((uv_handle_t *)&r->child);
  r->handles = 2;
  open_count++;
  resource_open(L, &box->resource, "a signal receiver", close_receiver);
  resource_origin(L, &box->resource, 1);
}

// ---- reading

static ReceiverBox *check(lua_State *L) {
  return class_check(L, 1, &receiver_class);
}

static int try_next(lua_State *L, Task *t, void *self) {
  UNUSED(t);
  ReceiverBox *box = self;
  if (box->closed) {
    return luaL_error(L, "the body of open_signal_receiver has ended");
  }
  Receiver *r = box->receiver;
  if (r->waiting != NULL) {
    return error_raise(L, ERROR_BUSY_RESOURCE,
                       "only one task can iterate a signal receiver at a time");
  }
  int number = oldest(r);
  if (number == 0) return WOULD_BLOCK;
  atomic_store(&r->stamp[number], 0);
  lua_pushstring(L, signal_name(number));
  return 1;
}

static void start_next(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  Receiver *r = ((ReceiverBox *)self)->receiver;
  r->waiting = t;
  uv_ref((uv_handle_t *)&r->async);
}

static AbortResult stop_next(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  Receiver *r = ((ReceiverBox *)self)->receiver;
  r->waiting = NULL;
  uv_unref((uv_handle_t *)&r->async);
  return ABORT_DONE;
}

// Another task may have taken the signal meanwhile.
static int finish_next(lua_State *L, Task *t, void *self, int code) {
  static const Op again = {.name = "SignalReceiver",
                           .start = start_next,
                           .abort = stop_next,
                           .finish = finish_next};
  if (code < 0) return await_raise(L, t, code);
  int results = try_next(L, t, self);
  return results != WOULD_BLOCK ? results : await(L, &again, self);
}

// for name in signals do
static int receiver_call(lua_State *L) {
  static const Op op = {.name = "SignalReceiver",
                        .attempt = try_next,
                        .start = start_next,
                        .abort = stop_next,
                        .finish = finish_next};
  ReceiverBox *box = check(L);
  lua_settop(L, 1);
  return await(L, &op, box);
}

static int receiver_tostring(lua_State *L) {
  ReceiverBox *box = check(L);
  if (box->closed) {
    lua_pushfstring(L, "<trio.SignalReceiver %p closed>", (void *)box);
    return 1;
  }
  int pending = 0;
  lua_pushfstring(L, "<trio.SignalReceiver %p", (void *)box);
  for (int n = 1; n < SIGNAL_LIMIT; n++) {
    if (!box->receiver->installed[n]) continue;
    lua_pushfstring(L, " %s", signal_name(n));
    lua_concat(L, 2);
    pending += atomic_load(&box->receiver->stamp[n]) != 0;
  }
  lua_pushfstring(L, ", %d pending>", pending);
  lua_concat(L, 2);
  return 1;
}

// ---- opening

static int leave(lua_State *L, void *self, int status) {
  ReceiverBox *box = self;
  if (resource_is_open(&box->resource)) {
    resource_done(&box->resource);
    close_receiver(L, &box->resource);
  }
  if (status != LUA_OK) return with_rethrow(L);
  return lua_gettop(L) - WITH_BODY + 1;
}

// The signal named by the element on top of the stack.
static int check_element(lua_State *L, lua_Integer place) {
  const char *problem;
  if (lua_type(L, -1) != LUA_TSTRING) {
    problem = lua_pushfstring(L, "signal %d: name expected, got %s", (int)place,
                              luaL_typename(L, -1));
    return luaL_argerror(L, 1, problem);
  }
  const char *name = lua_tostring(L, -1);
  int number = signal_number(name);
  if (number == 0) {
    problem = lua_pushfstring(L, "unknown signal '%s'", name);
    return luaL_argerror(L, 1, problem);
  }
  if (number == SIGKILL || number == SIGSTOP) {
    problem = lua_pushfstring(L, "%s can't be received", name);
    return luaL_argerror(L, 1, problem);
  }
  return number;
}

// Which signals the array at index 1 names.
static void check_signals(lua_State *L, bool wanted[SIGNAL_LIMIT]) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer count = luaL_len(L, 1);
  luaL_argcheck(L, count > 0, 1, "no signals were given");
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, 1, i);
    wanted[check_element(L, i)] = true;
    lua_pop(L, 1);
  }
}

// trio.open_signal_receiver(signals, body) -> body's results. Calls body with
// an iterator of names. Signals that it left unread are raised again at the
// end, for the handlers from before. No checkpoint.
static int l_open(lua_State *L) {
  static const WithOps ops = {.leave = leave};
  bool wanted[SIGNAL_LIMIT] = {false};
  check_signals(L, wanted);
  arg_callable(L, 2);
  lua_settop(L, 2);
  Runner *R = runner_require(L);
  task_require(L);
  ReceiverBox *box = class_new(L, &receiver_class, sizeof(ReceiverBox), 0);
  lua_replace(L, 1);
  start(L, R, box);
  for (int n = 1; n < SIGNAL_LIMIT; n++) {
    int result = wanted[n] ? install(box->receiver, n) : 0;
    if (result == 0) continue;
    resource_done(&box->resource);
    close_receiver(L, &box->resource);
    return oserror_raise(L, result, "sigaction", signal_name(n));
  }
  lua_pushvalue(L, 1);
  return with(L, &ops);
}

static const luaL_Reg receiver_meta[] = {{"__call", receiver_call},
                                         {"__gc", receiver_gc},
                                         {"__tostring", receiver_tostring},
                                         {NULL, NULL}};
static const Class receiver_class = {"trio.SignalReceiver", NULL, NULL,
                                     receiver_meta};

void signal_open(lua_State *L) {
  class_register(L, &receiver_class);
  lua_pushcfunction(L, l_open);
  lua_setfield(L, -2, "open_signal_receiver");
}
