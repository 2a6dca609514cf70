// SPDX-License-Identifier: MIT
// alarm.c: see alarm.h. As for Ctrl+C, the signal handler only sets a flag,
// wakes the poll and arms a debug hook on the running coroutine. The loop gets
// some time to see the flag first: only a task that goes on without waiting
// meets the hook. The timer repeats itself until somebody has seen the flag,
// because the signal may come between the loop's look at it and a task's step.
#include "alarm.h"

#include <lauxlib.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

// Instructions that a task may still run.
enum { PATIENCE = 2000000 };

// Microseconds from one signal to the next.
enum { REPEAT = 100000 };

static const double LONGEST = 1e8;

static const char function_key = 0;

static State *volatile owner;  // the state whose alarm is set
static volatile sig_atomic_t rang;
static pthread_t thread;  // the one that set it
static struct sigaction previous;

// The hook that ours stands in for.
static struct {
  lua_Hook hook;
  int mask, count;
} replaced;

static void set_timer(double seconds, int repeat) {
  struct itimerval timer;
  memset(&timer, 0, sizeof timer);
  timer.it_value.tv_sec = (time_t)seconds;
  timer.it_value.tv_usec = (suseconds_t)(fmod(seconds, 1) * 1e6);
  timer.it_interval.tv_usec = repeat;
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void stop(void) {
  if (owner == NULL) return;
  set_timer(0, 0);
  owner = NULL;
  rang = 0;
  sigaction(SIGALRM, &previous, NULL);
}

// Push the function after the alarm was stopped: it may set it again.
static void push_function(lua_State *L, bool busy) {
  stop();
  lua_rawgetp(L, LUA_REGISTRYINDEX, &function_key);
  lua_pushboolean(L, busy);
}

static void on_hog(lua_State *L, lua_Debug *ar) {
  UNUSED(ar);
  lua_sethook(L, replaced.hook, replaced.mask, replaced.count);
  if (!rang || !lua_checkstack(L, 10)) return;
  push_function(L, true);
  lua_call(L, 1, 0);
}

static void on_signal(int number) {
  State *state = owner;
  if (state == NULL) return;
  if (!pthread_equal(pthread_self(), thread)) {
    pthread_kill(thread, number);
    return;
  }
  rang = 1;
  atomic_fetch_add(&runner_signals, 1);
  Runner *R = state->runner;
  if (R == NULL) return;
  poll_wake(state->poll);
  Task *t = R->sched.current;
  if (t == NULL || lua_gethook(t->top) == on_hog) return;
  replaced.hook = lua_gethook(t->top);
  replaced.mask = lua_gethookmask(t->top);
  replaced.count = lua_gethookcount(t->top);
  lua_sethook(t->top, on_hog, LUA_MASKCOUNT, PATIENCE);
}

void alarm_check(Runner *R) {
  if (!rang || owner != R->state || R->crashed) return;
  lua_State *L = R->L;
  if (!lua_checkstack(L, 10)) return;
  push_function(L, false);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) runner_crash(R);
}

// trio.testing._alarm([seconds, fn]): call fn(busy) when so many real seconds
// have passed. `busy`: it interrupts a task that doesn't wait, and its error is
// raised there; else it is called outside of tasks, and its error ends the run.
// Replaces the alarm that was set before; without arguments there is none.
static int l_alarm(lua_State *L) {
  State *state = state_of(L);
  if (owner != NULL && owner != state) {
    return luaL_error(L, "another Lua state has set an alarm");
  }
  stop();
  if (lua_isnoneornil(L, 1)) return 0;
  double seconds = luaL_checknumber(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_argcheck(L, seconds > 0, 1, "must be positive");
  if (seconds > LONGEST) return 0;
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &function_key);
  struct sigaction ours;
  memset(&ours, 0, sizeof ours);
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  thread = pthread_self();
  if (sigaction(SIGALRM, &ours, &previous) != 0) return 0;
  owner = state;
  set_timer(seconds < 1e-6 ? 1e-6 : seconds, REPEAT);
  return 0;
}

// The state is closed with an alarm set: nobody may be called any more.
static int alarm_gc(lua_State *L) {
  if (owner == state_of(L)) stop();
  return 0;
}

void alarm_open(lua_State *L) {
  static const char guard_key = 0;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_key) == LUA_TNIL) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, alarm_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
  }
  lua_pop(L, 1);
  lua_pushcfunction(L, l_alarm);
  lua_setfield(L, -2, "_alarm");
}
