// SPDX-License-Identifier: MIT
// interrupt.c: see interrupt.h. The signal handler only sets a flag, wakes the
// poll and arms a debug hook on the running coroutine (as lua.c does: setting
// a hook is safe there). The hook raises in the main task. In another task it
// first lets the loop get to main by itself; only a task that hogs the thread
// gets the error in main's place. Protected code (interrupt_mark.c) gets no
// error: there it is kept for what comes first, a checkpoint of main or its
// first instruction that isn't protected.
#include "interrupt.h"

#include <lauxlib.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "error.h"
#include "interrupt_mark.h"

// Instructions that a task other than main may still run.
enum { PATIENCE = 2000000 };

// How often to look whether main is still protected.
enum { LOOK_AGAIN = 1000 };

enum { EVERYTHING = LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT };

static Runner *_Atomic owner;            // the run that took SIGINT
static pthread_t owner_thread;           // in which it runs
static volatile sig_atomic_t signalled;  // the loop has not seen it yet
static struct sigaction previous;

static void disarm(lua_State *L) { lua_sethook(L, NULL, 0, 0); }

static void on_hog(lua_State *L, lua_Debug *ar) {
  UNUSED(ar);
  disarm(L);
  Runner *R = runner_running;
  if (R == NULL || !R->interrupted || !signalled) return;
  const Task *t = R->sched.current;
  if (t == NULL || interrupt_is_protected(t)) {
    lua_sethook(L, on_hog, LUA_MASKCOUNT, PATIENCE);
    return;
  }
  R->interrupted = false;
  error_raise(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
}

static void on_instruction(lua_State *L, lua_Debug *ar) {
  UNUSED(ar);
  disarm(L);
  Runner *R = runner_running;
  if (R == NULL || R->restrict_interrupt || !R->interrupted) return;
  const Task *t = R->sched.current;
  if (t == NULL || t->system) return;
  if (t != R->main) {
    lua_sethook(L, on_hog, LUA_MASKCOUNT, PATIENCE);
    return;
  }
  signalled = 0;
  if (interrupt_is_protected(t)) {
    lua_sethook(L, on_instruction, LUA_MASKCOUNT, LOOK_AGAIN);
    return;
  }
  R->interrupted = false;
  error_raise(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
}

void interrupt_recheck(lua_State *L) {
  const Runner *R = runner_running;
  if (R == NULL || !R->interrupted || R->restrict_interrupt) return;
  if (R->sched.current != R->main) return;
  // Not at the return from the mark, which is still on the stack then.
  lua_sethook(L, on_instruction, LUA_MASKCOUNT, 1);
}

static void on_signal(int number) {
  Runner *R = owner;
  if (R == NULL) return;
  if (!pthread_equal(pthread_self(), owner_thread)) {
    pthread_kill(owner_thread, number);
    return;
  }
  // Nobody looks: let the next one kill.
  if (signalled && R->interrupted) signal(number, SIG_DFL);
  signalled = 1;
  atomic_fetch_add(&runner_signals, 1);
  R->interrupted = true;
  Task *t = R->sched.current;
  if (t != NULL) {
    lua_sethook(t->top, on_instruction, EVERYTHING, 1);
  }
  poll_wake(R->state->poll);
}

void interrupt_begin(Runner *R) {
  struct sigaction now;
  if (R->state->is_worker) return;  // signals are for the main thread
  if (sigaction(SIGINT, NULL, &now) != 0) return;
  if (now.sa_handler != SIG_DFL && !R->state->default_sigint) return;
  struct sigaction ours;
  memset(&ours, 0, sizeof ours);
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  Runner *nobody = NULL;
  if (!atomic_compare_exchange_strong(&owner, &nobody, R)) return;
  owner_thread = pthread_self();
  signalled = 0;
  if (sigaction(SIGINT, &ours, &previous) != 0) owner = NULL;
}

void interrupt_end(Runner *R) {
  if (owner != R) return;
  struct sigaction now;
  if (sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == on_signal) {
    sigaction(SIGINT, &previous, NULL);
  }
  owner = NULL;
}

bool interrupt_is_pending(const Runner *R) { return owner == R && signalled; }

void interrupt_check(Runner *R) {
  if (owner != R || !signalled) return;
  signalled = 0;
  if (!R->interrupted || R->main == NULL || R->main_done) return;
  task_abort(R->main, WAKE_INTERRUPTED);
}
