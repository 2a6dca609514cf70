// SPDX-License-Identifier: MIT
// runner.h: what one trio.run owns, and the current task of a thread.
//
// State: per Lua state, lives in the registry, owns the libuv loop.
// Runner: per trio.run, owns the scheduler. runner_loop resumes coroutines in
// batches and polls in between; it is one of the few protected boundaries, and
// nothing below it allocates between two resumes.
#ifndef TRIO_BIND_RUNNER_H
#define TRIO_BIND_RUNNER_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/clock.h"
#include "../core/task.h"
#include "class.h"
#include "poll.h"

typedef struct Runner Runner;

typedef struct State {
  ClassHead head;
  const void *registry;  // identifies the Lua state
  Poll *poll;            // made by the first run
  Runner *runner;        // the run of this state, or NULL
  char *buffer;          // for reads, STATE_BUFFER bytes, made by the first
  int kept;              // C blocks that stay for later runs
  List resources;        // open ones (bind/resource.c)
  int waiting_fds[2];    // tasks that wait to read and to write (io/watch.c)
  void *watches;         // the watches of its loop (io/watch.c)
  int resting;           // those that stay for later sockets
  List served;           // requests of threads (io/thread_request.c)
  uint64_t runs;         // serial number of the latest run
  bool installed;        // trio.install was called
  bool default_sigint;   // the host's SIGINT handler counts as the default
  bool has_seed;         // defaults for every run of the program
  uint64_t seed;
  bool raise_deadlock;
  bool warnings;   // are on, from the start of the program
  bool is_worker;  // belongs to a thread of io/worker.c
} State;

struct Instruments;
struct TokenQueue;
struct Interrupt;

// One wait for something to happen, and what its end means.
typedef struct Wait {
  double timeout;     // seconds, 0: don't wait
  bool wakes_idlers;  // after all of it, tasks in wait_all_tasks_blocked
  double cushion;     // ... with this cushion are woken
  bool jumps;         // after all of it, the mock clock jumps
} Wait;

struct Runner {
  Sched sched;
  State *state;
  lua_State *L;     // where trio.run was called: the "from" of every resume
  uint64_t serial;  // tells scopes of an earlier run apart
  RealClock real_clock;
  Task *root, *main;
  bool main_done;
  int live;          // tasks that have not ended
  int threads;       // at work for the run: one of them may wake a task
  int peak;          // the largest `live` so far
  lua_State *shelf;  // never runs: its stack has what spawning needs (spawn.c)
  int slots;         // anchors ever used in this run
  int free_slot;     // first unused anchor, 0: none
  Queue pool;        // ended tasks to be used again, by run_item (spawn.c)
  int pooled;        // length of `pool`
  int room;          // how many tasks `shuffle` can hold
  bool strict_groups;
  bool raise_deadlock;
  bool takes_interrupt;       // SIGINT is taken over for the run
  volatile bool interrupted;  // Ctrl+C waits to be raised in the main task
  bool restrict_interrupt;    // ... and only at checkpoints
  bool shuffling;
  uint64_t random;   // state of the schedule's generator
  Task **shuffle;    // scratch space of a batch, room for every task
  int idle_passes;   // batches since the last poll
  double polled_at;  // coarse time of the last poll
  Wait wait;         // the present one
  double autojump;   // threshold of the mock clock, INFINITY otherwise
  MockClock *mock;   // the clock, if it is one of ours
  bool crashed;      // internal error: the value is in the registry
  unsigned signals;  // how many of runner_signals it has looked at
  // Why the nursery of the task that ends is cancelled; NULL between ends.
  struct CancelReason *failure;
  struct CancelReason *raised;  // of the latest Cancelled (await.c), or NULL
  struct Nursery *system_nursery;
  struct Nursery *token_nursery;
  struct TokenQueue *token;         // api/token.c
  struct Instruments *instruments;  // api/instrument.c, NULL without
  struct Interrupt *interrupt;      // bind/interrupt.c
  // Wakes the token task if calls are queued (api/token.c).
  void (*on_wakeup)(Runner *R);
  Clock *foreign_clock;  // wrapper of a clock written in Lua, owned
  // The Lua state was closed in the middle of the run (io/guest.c).
  void (*on_lost)(Runner *R);
  // A task ends with the Cancelled on top of L: keep it for its nursery and
  // pop it, or return false (api/nursery.c). [v]
  bool (*keep)(lua_State *L, Task *t);
  // A nursery's task has ended: what Task.on_exit calls, at first or in the end
  // (api/nursery.c).
  void (*child_exit)(Task *t);
  // Forget the nurseries that an ended task left open (api/nursery.c).
  void (*abandon)(Task *t);
  // The task that opened this one's nursery, or NULL (api/nursery.c).
  Task *(*parent_of)(const Task *t);
  // Hooks of the instruments; NULL without. They never raise.
  void (*on_run)(Runner *R, bool before);
  void (*on_spawn)(Runner *R, Task *t);
  void (*on_step)(Runner *R, Task *t, bool before);
  void (*on_exit)(Runner *R, Task *t);
  void (*on_io)(Runner *R, double timeout, bool before);
  // Told about resources that are collected while open (api/leftover.c); NULL
  // unless the run is watched.
  void (*on_leak)(lua_State *L, const char *text);
};

// The runner whose tick is executing in this OS thread, or NULL.
extern _Thread_local Runner *runner_running
    __attribute__((tls_model("initial-exec")));

// How many signals came to the process that a loop must look at between steps.
// For their handlers, which raise it after they have noted what happened.
extern atomic_uint runner_signals;

// The task that may wait in L: L is its innermost known coroutine. NULL
// outside of tasks and in coroutines that nobody made known. [-0, +0, -]
static inline Task *task_of(lua_State *L) {
  Runner *R = runner_running;
  if (R == NULL || R->sched.current == NULL) return NULL;
  return R->sched.current->top == L ? R->sched.current : NULL;
}

static inline Runner *runner_of_task(const Task *t) {
  return CONTAINER_OF(t->sched, Runner, sched);
}

// The task that is running in this state, also when the calling coroutine
// can't wait; or an error "must be called from inside a task". [-0, +0, v]
Task *task_require(lua_State *L);
// The same, or NULL. [-0, +0, -]
Task *task_maybe(lua_State *L);

enum { STATE_BUFFER = 65536 };

// The state's buffer for reading; its content lasts until the next use. [v]
char *state_buffer(lua_State *L);

// Make sure that the state has a loop; false if it can't be made.
bool state_make_poll(State *state);

// The State of L, made by luaopen. [-0, +0, -]
State *state_of(lua_State *L);
void state_open(lua_State *L);

// The run that L's state is in (also between ticks of a guest run), or NULL.
Runner *runner_maybe(lua_State *L);
// The same, or an error "must be called from inside trio.run". [-0, +0, v]
Runner *runner_require(lua_State *L);

// Prepare a zeroed Runner for its state; runs may follow one another.
void runner_init(lua_State *L, Runner *R);
void runner_deinit(Runner *R);
// For a finalizer, when the Lua state is closed in the middle of the run: no
// task runs any more, and no hook. runner_deinit must follow. [-0, +0, -]
void runner_lose(lua_State *L, Runner *R);
// Run ticks until no task lives.
void runner_loop(Runner *R);
// One pass of a guest run, on a loop that somebody else drives: settle the wait
// in R->wait (`whole`: all of its time passed), run a batch, prepare the next
// wait. Returns false once no task lives.
bool runner_tick(Runner *R, bool whole);

// Remember an internal error (the value on top of R->L) for the end of the
// run and stop the loop. [-1, +0, m]
void runner_crash(Runner *R);
// Push that value, nil if there is none. [-0, +1, -] on R->L
void runner_push_crash(Runner *R);

#endif
