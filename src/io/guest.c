// SPDX-License-Identifier: MIT
// guest.c: guest runs (include/trio.h, Trio: start_guest_run): a run whose
// passes are made by callbacks on a loop that the host drives.
//
// A check handle looks, after the host's loop has polled, whether there is
// something to do. While tasks are ready an idle handle keeps the loop from
// blocking; otherwise a timer stands for the wait's end. This is the one place
// where Lua runs below uv_run; nothing may raise out of these callbacks.
#include <lauxlib.h>
#include <math.h>
#include <uv.h>

#include "../api/run.h"
#include "../api/token.h"
#include "../base/mem.h"
#include "../bind/interrupt.h"
#include "process.h"
#include "trio.h"
#include "watch.h"

typedef struct Guest {
  Runner runner;
  lua_State *L;  // a thread of its own, anchored under the guest's address
  State *state;
  Poll *own_poll;  // the state's, put aside during the run; may be NULL
  uv_check_t check;
  uv_idle_t idle;
  uv_timer_t timer;
  int open;      // of the three handles
  double since;  // when the present wait began
  bool ticking;
  bool due;  // the timer has fired, or somebody poked
  trio_done_cb done;
  void *data;
} Guest;

static void on_closed(uv_handle_t *handle) {
  Guest *g = handle->data;
  if (--g->open == 0) mem_free(g);
}

// The run has ended, or could not start: give everything back.
static void dismantle(Guest *g) {
  watch_forget_all(g->L);
  process_forget_all(g->L);
  poll_free(g->state->poll);
  g->state->poll = g->own_poll;
  uv_close((uv_handle_t *)&g->check, on_closed);
  uv_close((uv_handle_t *)&g->idle, on_closed);
  uv_close((uv_handle_t *)&g->timer, on_closed);
}

// The host has closed the state: nobody is told.
static void on_lost(Runner *R) { dismantle((Guest *)R); }

static void on_idle(uv_idle_t *idle) { UNUSED(idle); }

// libuv runs timers before it polls: without the idle handle it would block
// then, and the check handle's turn would not come.
static void on_timer(uv_timer_t *timer) {
  Guest *g = timer->data;
  g->due = true;
  uv_idle_start(&g->idle, on_idle);
}

static void arm(Guest *g) {
  double timeout = g->runner.wait.timeout;
  g->since = clock_monotonic();
  g->due = timeout <= 0;
  if (g->due) {
    uv_idle_start(&g->idle, on_idle);
    return;
  }
  uv_idle_stop(&g->idle);
  if (timeout == INFINITY) {
    uv_timer_stop(&g->timer);
  } else {
    uv_update_time(g->timer.loop);
    uv_timer_start(&g->timer, on_timer, (uint64_t)ceil(timeout * 1000), 0);
  }
}

static void unanchor(lua_State *L, const Guest *g) {
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, g);
}

static void finish(Guest *g) {
  lua_State *L = g->L;
  lua_settop(L, 0);
  int count = run_finish(L, &g->runner);
  int status = lua_toboolean(L, -count) ? LUA_OK : LUA_ERRRUN;
  lua_remove(L, -count);
  trio_done_cb done = g->done;
  void *data = g->data;
  dismantle(g);
  done(L, status, count - 1, data);
  unanchor(L, g);
}

static void tick(Guest *g) {
  double elapsed = clock_monotonic() - g->since;
  g->ticking = true;
  bool alive = runner_tick(&g->runner, elapsed >= g->runner.wait.timeout);
  g->ticking = false;
  if (alive) {
    arm(g);
  } else {
    finish(g);
  }
}

static void on_check(uv_check_t *check) {
  Guest *g = check->data;
  if (g->ticking) return;
  const Runner *R = &g->runner;
  if (g->due || token_is_pending(R) || interrupt_is_pending(R)) tick(g);
}

// Something changed between two passes: host code set an event, moved a
// deadline...
static void poke(Sched *s) {
  Guest *g = (Guest *)CONTAINER_OF(s, Runner, sched);
  if (g->ticking) return;
  g->due = true;
  uv_idle_start(&g->idle, on_idle);
}

static void init_handles(Guest *g, uv_loop_t *loop) {
  uv_check_init(loop, &g->check);
  uv_idle_init(loop, &g->idle);
  uv_timer_init(loop, &g->timer);
  g->check.data = g->idle.data = g->timer.data = g;
  g->open = 3;
}

// On g->L: (guest, options or nil, main, ...). Under a protected call.
static int begin(lua_State *L) {
  Guest *g = lua_touserdata(L, 1);
  lua_remove(L, 1);
  int options = 0;
  if (lua_isnil(L, 1)) {
    lua_remove(L, 1);
  } else {
    run_check_options(L, 1);
    options = 1;
  }
  int main = options + 1;
  luaL_checktype(L, main, LUA_TFUNCTION);
  luaL_checkstack(L, 50, NULL);
  run_begin(L, &g->runner, options, lua_gettop(L) - main);
  return 0;
}

static Guest *new_guest(lua_State *L, uv_loop_t *loop) {
  Guest *g = mem_alloc(sizeof(Guest));
  if (g == NULL) return NULL;
  g->state = state_of(L);
  g->own_poll = g->state->poll;
  g->state->poll = poll_borrow(loop);
  if (g->state->poll == NULL) {
    g->state->poll = g->own_poll;
    mem_free(g);
    return NULL;
  }
  init_handles(g, loop);
  return g;
}

static int refuse(lua_State *L, int base, const char *why) {
  lua_settop(L, base - 1);
  lua_pushstring(L, why);
  return LUA_ERRRUN;
}

int trio_start_guest_run_with(lua_State *L, int nargs, int options,
                              uv_loop_t *host_loop, trio_done_cb done,
                              void *data) {
  int base = lua_gettop(L) - nargs;
  if (options != 0) options = lua_absindex(L, options);
  if (runner_maybe(L) != NULL) {
    return refuse(L, base, "this state is inside of a trio.run already");
  }
  Guest *g = new_guest(L, host_loop);
  if (g == NULL) return refuse(L, base, "not enough memory");
  g->done = done;
  g->data = data;
  g->L = lua_newthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, g);
  watch_forget_all(L);
  process_forget_all(L);
  lua_pushcfunction(g->L, begin);
  lua_pushlightuserdata(g->L, g);
  if (options == 0) {
    lua_pushnil(g->L);
  } else {
    lua_pushvalue(L, options);
    lua_xmove(L, g->L, 1);
  }
  luaL_checkstack(g->L, nargs + 2, NULL);
  lua_xmove(L, g->L, nargs + 1);
  if (lua_pcall(g->L, nargs + 3, 0, 0) != LUA_OK) {
    lua_xmove(g->L, L, 1);
    dismantle(g);
    unanchor(L, g);
    return LUA_ERRRUN;
  }
  g->runner.sched.on_change = poke;
  g->runner.on_lost = on_lost;
  interrupt_begin(&g->runner);
  uv_check_start(&g->check, on_check);
  tick(g);  // the root task opens the system nursery; main is ready after it
  return LUA_OK;
}

int trio_start_guest_run(lua_State *L, uv_loop_t *host_loop, trio_done_cb done,
                         void *data) {
  return trio_start_guest_run_with(L, 0, 0, host_loop, done, data);
}
