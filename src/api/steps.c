// SPDX-License-Identifier: MIT
// steps.c: trio.lowlevel.start_guest_run for hosts written in Lua: a run that
// goes on only while the host calls its step function, which never blocks
// (Trio: start_guest_run; its C form is in io/guest.c).
#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "../bind/class.h"
#include "../bind/interrupt.h"
#include "../bind/poll.h"
#include "api.h"
#include "run.h"
#include "token.h"

typedef struct Steps {
  ClassHead head;
  Runner runner;
  lua_State *L;  // a thread of its own: user value 1
  double since;  // when the present wait began
  bool live;
  bool poked;  // the host changed something since the last step
} Steps;

static const Class steps_class;

// On the run's own thread: (steps, options or nil, main, ...). Protected.
static int begin(lua_State *L) {
  Steps *s = lua_touserdata(L, 1);
  lua_remove(L, 1);
  int options = lua_isnil(L, 1) ? 0 : 1;
  if (options == 0) lua_remove(L, 1);
  luaL_checkstack(L, 50, NULL);
  run_begin(L, &s->runner, options, lua_gettop(L) - options - 1);
  return 0;
}

static void poke(Sched *sched) {
  Runner *R = CONTAINER_OF(sched, Runner, sched);
  CONTAINER_OF(R, Steps, runner)->poked = true;
}

// The scheduler never waits longer than a day, which means for ever.
static void push_wait(lua_State *L, double seconds) {
  lua_pushnumber(L, seconds > 23 * 60 * 60 ? INFINITY : seconds);
}

// One pass; pushes what `step` returns.
static int advance(lua_State *L, Steps *s) {
  Runner *R = &s->runner;
  double waited = clock_monotonic() - s->since;
  s->live = runner_tick(R, waited >= R->wait.timeout);
  s->since = clock_monotonic();
  s->poked = false;
  if (s->live) {
    push_wait(L, R->wait.timeout);
    return 1;
  }
  lua_settop(s->L, 0);
  int count = run_finish(s->L, R);
  luaL_checkstack(L, count + 1, "too many results");
  lua_pushnil(L);
  lua_xmove(s->L, L, count);
  return count + 1;
}

// step() -> seconds within which it wants to be called again (math.huge: when
// I/O or host code has something for it), or nil, true, main's results... or
// nil, false, error at the end.
static int l_step(lua_State *L) {
  Steps *s = lua_touserdata(L, lua_upvalueindex(1));
  if (!s->live) return luaL_error(L, "this guest run is over");
  if (runner_running != NULL) {
    return luaL_error(L, "a guest run can't be stepped from a task");
  }
  lua_settop(L, 0);
  poll_wait(s->runner.state->poll, 0);
  double left = s->runner.wait.timeout - (clock_monotonic() - s->since);
  bool called =
      token_is_pending(&s->runner) || interrupt_is_pending(&s->runner);
  if (left > 0 && !s->poked && !called && s->runner.sched.ready_count == 0) {
    push_wait(L, left);
    return 1;
  }
  return advance(L, s);
}

static int steps_gc(lua_State *L) {
  Steps *s = lua_touserdata(L, 1);
  if (!s->live) return 0;
  s->live = false;
  lua_warning(L, "trio: a guest run was abandoned before it had finished", 0);
  s->runner.crashed = true;
  run_close(&s->runner);
  return 0;
}

static const luaL_Reg steps_meta[] = {{"__gc", steps_gc}, {NULL, NULL}};
static const Class steps_class = {"trio.guest", NULL, NULL, steps_meta};

// trio.lowlevel.start_guest_run([opts,] main, ...) -> step. Prepares a run
// (tokens, current_time and spawn_system_task work from now on) of which no
// code of main has run yet. Options as trio.run's.
static int l_start_guest_run(lua_State *L) {
  int options = opts_is(L, 1) ? 1 : 0;
  if (options != 0) run_check_options(L, 1);
  arg_callable(L, options + 1);
  if (runner_maybe(L) != NULL) {
    return luaL_error(L, "a guest run can't be started inside a trio.run");
  }
  Steps *s = class_new(L, &steps_class, sizeof(Steps), 1);
  lua_insert(L, 1);
  s->L = lua_newthread(L);
  lua_setiuservalue(L, 1, 1);
  luaL_checkstack(s->L, lua_gettop(L) + 4, "too many arguments");
  lua_pushcfunction(s->L, begin);
  lua_pushlightuserdata(s->L, s);
  if (options == 0) lua_pushnil(s->L);
  int count = lua_gettop(L) - 1;
  lua_xmove(L, s->L, count);
  if (lua_pcall(s->L, count + 1 + (options == 0), 0, 0) != LUA_OK) {
    lua_xmove(s->L, L, 1);
    return lua_error(L);
  }
  s->live = true;
  s->runner.sched.on_change = poke;
  interrupt_begin(&s->runner);
  s->since = clock_monotonic();
  advance(L, s);  // the root task makes room for main, which runs afterwards
  lua_settop(L, 1);
  lua_pushcclosure(L, l_step, 1);
  return 1;
}

void steps_open(lua_State *L) {
  class_register(L, &steps_class);
  lua_getfield(L, -1, "lowlevel");
  lua_pushcfunction(L, l_start_guest_run);
  lua_setfield(L, -2, "start_guest_run");
  lua_pop(L, 1);
}
