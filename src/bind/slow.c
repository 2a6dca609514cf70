// SPDX-License-Identifier: MIT
// slow.c: see slow.h. One Lua state of the process is watched: the
// interpreter's.
#include "slow.h"

#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "spawn.h"

enum { SIGNAL = SIGVTALRM };

_Thread_local _Atomic uint64_t slow_steps;

static const char function_key = 0;
static State *volatile state;  // NULL: nothing is watched
static pthread_t watched;
static const _Atomic uint64_t *watched_steps;
static double limit;
static volatile sig_atomic_t wanted;

// The hook, in the task that holds the loop.
static void report(lua_State *L, lua_Debug *ar) {
  UNUSED(ar);
  lua_State *outer = runner_running != NULL ? runner_running->L : L;
  lua_sethook(L, lua_gethook(outer), lua_gethookmask(outer),
              lua_gethookcount(outer));
  Task *t = task_maybe(L);
  if (!wanted || t == NULL || !lua_checkstack(L, 10)) return;
  wanted = 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &function_key);
  task_push_repr(L, t);
  luaL_traceback(L, L, NULL, 0);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static void on_signal(int number) {
  UNUSED(number);
  const State *s = state;
  Runner *R = s == NULL ? NULL : s->runner;
  Task *t = R == NULL ? NULL : R->sched.current;
  if (t == NULL || lua_gethook(t->top) != NULL) return;
  wanted = 1;
  lua_sethook(t->top, report, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

static void *watch(void *arg) {
  UNUSED(arg);
  uint64_t seen = 0, reported = 0;
  double since = clock_monotonic();
  double pause = limit / 4;
  struct timespec nap = {(time_t)pause,
                         (long)((pause - (double)(time_t)pause) * 1e9)};
  for (;;) {
    nanosleep(&nap, NULL);
    uint64_t step = atomic_load_explicit(watched_steps, memory_order_relaxed);
    double now = clock_monotonic();
    if (step != seen) {
      seen = step;
      since = now;
    } else if (step % 2 == 1 && step != reported && now - since >= limit) {
      reported = step;
      pthread_kill(watched, SIGNAL);
    }
  }
  return NULL;
}

// trio._watch_steps(seconds, function): call function(task's text, traceback)
// when a task holds the loop longer, in the middle of it. For the interpreter,
// once.
static int l_watch_steps(lua_State *L) {
  limit = arg_number(L, 1);
  luaL_argcheck(L, limit > 0, 1, "must be positive");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &function_key);
  state = state_of(L);
  watched = pthread_self();
  watched_steps = &slow_steps;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigset_t all, old;
  sigfillset(&all);
  pthread_t thread;
  // The watcher takes no signals: they belong to the main thread.
  pthread_sigmask(SIG_SETMASK, &all, &old);
  bool failed = sigaction(SIGNAL, &action, NULL) != 0 ||
                pthread_create(&thread, NULL, watch, NULL) != 0;
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (failed) return luaL_error(L, "steps can't be watched");
  pthread_detach(thread);
  return 0;
}

void slow_forget(const State *closed) {
  if (state == closed) state = NULL;
}

void slow_open(lua_State *L) {
  lua_pushcfunction(L, l_watch_steps);
  lua_setfield(L, -2, "_watch_steps");
}
