// SPDX-License-Identifier: MIT
// interrupt.c: see interrupt.h. The signal handler only sets a flag, wakes the
// poll and arms a debug hook on the running coroutine (as lua.c does: setting
// a hook is safe there). The hook raises in the main task. In another task it
// first lets the loop get to main by itself; only a task that hogs the thread
// gets the error in main's place.
#include "interrupt.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>

#include "error.h"

// Instructions that a task other than main may still run.
enum { PATIENCE = 2000000 };

static Runner *volatile owner;           // the run that took SIGINT
static volatile sig_atomic_t signalled;  // signals not yet seen by the run
static struct sigaction previous;

static void disarm(lua_State *L) { lua_sethook(L, NULL, 0, 0); }

static void on_hog(lua_State *L, lua_Debug *ar) {
  UNUSED(ar);
  disarm(L);
  if (!signalled) return;
  signalled = 0;
  error_raise(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
}

static void on_instruction(lua_State *L, lua_Debug *ar) {
  UNUSED(ar);
  disarm(L);
  Runner *R = runner_running;
  if (!signalled || R == NULL || R->restrict_interrupt) return;
  Task *t = R->sched.current;
  if (t == NULL || t->system) return;
  if (t != R->main) {
    lua_sethook(L, on_hog, LUA_MASKCOUNT, PATIENCE);
    return;
  }
  signalled = 0;
  error_raise(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
}

static void on_signal(int number) {
  Runner *R = owner;
  if (R == NULL) return;
  if (signalled) signal(number, SIG_DFL);  // nobody looks: let the next kill
  signalled = 1;
  Task *t = R->sched.current;
  if (t != NULL) {
    lua_sethook(t->top, on_instruction,
                LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
  }
  poll_wake(R->state->poll);
}

void interrupt_begin(Runner *R) {
  struct sigaction now;
  if (owner != NULL || sigaction(SIGINT, NULL, &now) != 0) return;
  if (now.sa_handler != SIG_DFL && !R->state->default_sigint) return;
  struct sigaction ours;
  memset(&ours, 0, sizeof ours);
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  signalled = 0;
  owner = R;
  if (sigaction(SIGINT, &ours, &previous) != 0) owner = NULL;
}

void interrupt_end(Runner *R) {
  if (owner != R) return;
  struct sigaction now;
  if (sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == on_signal) {
    sigaction(SIGINT, &previous, NULL);
  }
  if (signalled) R->interrupted = true;
  owner = NULL;
}

void interrupt_check(Runner *R) {
  if (!signalled || owner != R) return;
  signalled = 0;
  R->interrupted = true;
  if (R->main != NULL && !R->main_done) task_abort(R->main, WAKE_INTERRUPTED);
}
