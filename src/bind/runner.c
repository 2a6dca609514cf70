// SPDX-License-Identifier: MIT
// runner.c: see runner.h. The loop, and the end of a task's step.
#include "runner.h"

#include <lauxlib.h>

#include "../base/mem.h"
#include "../core/cancel.h"
#include "../core/lot.h"
#include "alarm.h"
#include "explain.h"
#include "interrupt.h"
#include "pcall.h"
#include "peek.h"
#include "slow.h"
#include "spawn.h"

// Passes with ready tasks between two looks at libuv; each costs a system call.
enum { POLL_EVERY = 64 };

static const double MAX_WAIT = 24 * 60 * 60;

static const char state_key = 0, crash_key = 0;

_Thread_local Runner *runner_running;
atomic_uint runner_signals;

static int state_gc(lua_State *L) {
  State *state = lua_touserdata(L, 1);
  peek_forget(state);
  slow_forget(state);
  if (state->poll != NULL) poll_free(state->poll);
  state->buffer = NULL;
  state->poll = NULL;
  return 0;
}

static const luaL_Reg state_meta[] = {{"__gc", state_gc}, {NULL, NULL}};
static const Class state_class = {"trio.state", NULL, NULL, state_meta};

void state_open(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key) == LUA_TNIL) {
    class_register(L, &state_class);
    State *state = class_new(L, &state_class, sizeof(State), 0);
    state->registry = lua_topointer(L, LUA_REGISTRYINDEX);
    list_init(&state->resources);
    list_init(&state->served);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  }
  lua_pop(L, 1);
}

State *state_of(lua_State *L) {
  const Runner *R = runner_running;
  if (R != NULL && R->state->registry == lua_topointer(L, LUA_REGISTRYINDEX)) {
    return R->state;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  State *state = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return state;
}

// The collector runs whenever memory has doubled. A small program that moves
// much data would be marked after every few dozen messages; so the buffer is
// larger than what is used of it. Nobody touches the rest, which therefore
// takes addresses only.
enum { BALLAST = 4 << 20 };
static const char buffer_key = 0;

char *state_buffer(lua_State *L) {
  State *state = state_of(L);
  if (state->buffer != NULL) return state->buffer;
  state->buffer = lua_newuserdatauv(L, STATE_BUFFER + BALLAST, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &buffer_key);
  return state->buffer;
}

Runner *runner_maybe(lua_State *L) {
  Runner *R = runner_running;
  if (R != NULL) {
    const Task *t = R->sched.current;
    if (t != NULL && t->top == L) return R;
    if (R->state->registry == lua_topointer(L, LUA_REGISTRYINDEX)) return R;
  }
  return state_of(L)->runner;
}

Runner *runner_require(lua_State *L) {
  Runner *R = runner_maybe(L);
  if (R == NULL) explain_outside(L, "trio.run");
  return R;
}

Task *task_maybe(lua_State *L) {
  Runner *R = runner_running;
  if (R == NULL) return NULL;
  Task *t = R->sched.current;
  if (t != NULL && t->top == L) return t;
  return R->state->registry == lua_topointer(L, LUA_REGISTRYINDEX) ? t : NULL;
}

// Ten times may a task keep a Cancelled for itself before it leaves the scope
// from which the cancellation comes.
bool swallow_allowed(lua_State *L) {
  enum { LIMIT = 10 };
  Task *t = task_maybe(L);
  if (t == NULL || t->cancel == NULL || !t->cancel->effective) return true;
  uint64_t origin = cancel_origin(t->cancel)->serial;
  if (t->swallowed_in != origin) {
    t->swallowed_in = origin;
    t->swallowed = 0;
  }
  if (t->swallowed >= LIMIT) return false;
  t->swallowed++;
  return true;
}

Task *task_require(lua_State *L) {
  Task *t = task_maybe(L);
  if (t == NULL) explain_outside(L, "a task; start one with trio.run");
  return t;
}

bool state_make_poll(State *state) {
  if (state->poll != NULL) return poll_renew(state->poll);
  state->poll = poll_new();
  state->kept += state->poll != NULL;
  return state->poll != NULL;
}

void runner_init(lua_State *L, Runner *R) {
  State *state = state_of(L);
  if (!state_make_poll(state)) luaL_error(L, "the event loop can't be made");
  R->L = L;
  R->state = state;
  R->serial = ++state->runs;
  R->autojump = INFINITY;
  queue_init(&R->pool);
  real_clock_init(&R->real_clock);
  sched_init(&R->sched, &R->real_clock.base);
  spawn_begin(L, R);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &crash_key);
  state->runner = R;
}

void runner_lose(lua_State *L, Runner *R) {
  if (runner_running == R) runner_running = NULL;
  R->L = L;
  R->crashed = true;
  R->sched.current = NULL;
  R->sched.on_ready = NULL;
  R->sched.on_change = NULL;
  R->on_wakeup = NULL;
}

// After a crash tasks are left in the middle of waits: undo these, because
// locks and streams may live longer than the run.
static void discard_tasks(Runner *R) {
  for (int slot = 1; slot <= R->slots; slot++) {
    Task *t = spawn_at(R->L, slot);
    if (t == NULL) continue;
    if (t->state == TASK_PARKED) t->abort(t, t->self, WAKE_DISCARDED);
    Link *link;
    while ((link = list_first(&t->breaks)) != NULL) {
      LotBreaker *breaker = CONTAINER_OF(link, LotBreaker, task_link);
      breaker->broke = breaker->lot->broken = true;
      list_remove(link);
    }
    t->state = TASK_DONE;
    cancel_reason_set(&t->cancel_reason, NULL);
  }
}

// Tasks that are left when the loop stopped early (after a crash): their
// memory goes with the anchors.
void runner_deinit(Runner *R) {
  if (R->crashed) discard_tasks(R);
  R->state->runner = NULL;
  spawn_end(R);
  cancel_reason_set(&R->raised, NULL);
  cancel_reason_set(&R->failure, NULL);
  sched_deinit(&R->sched);
  mem_free(R->shuffle);
  R->shuffle = NULL;
}

void runner_crash(Runner *R) {
  if (R->crashed) {
    lua_pop(R->L, 1);
    return;
  }
  R->crashed = true;
  lua_rawsetp(R->L, LUA_REGISTRYINDEX, &crash_key);
}

void runner_push_crash(Runner *R) {
  lua_rawgetp(R->L, LUA_REGISTRYINDEX, &crash_key);
}

static void task_exited(Runner *R, Task *t) {
  t->state = TASK_DONE;
  R->live--;
  heap_unreserve(&R->sched.timers);
  if (!list_is_empty(&t->nurseries)) R->abandon(t);
  if (!list_is_empty(&t->breaks)) t->remembered = lot_task_ends(t);
  cancel_attach(t, NULL);
  cancel_reason_set(&t->cancel_reason, NULL);
  if (t == R->main) R->main_done = true;
  if (t == R->main || t == R->root) t->pinned = true;
  spawn_empty(t);
  if (t->on_exit != NULL) t->on_exit(t);
  cancel_reason_set(&R->failure, NULL);
  if (R->on_exit != NULL) R->on_exit(R, t);
}

// A task yielded although it does not wait: a raw coroutine.yield. The error
// is raised in it, at that place: a return hook fires while the yield returns.
static void reject_yield(lua_State *L, lua_Debug *ar) {
  UNUSED(ar);
  lua_State *main = runner_running->L;
  lua_sethook(L, lua_gethook(main), lua_gethookmask(main),
              lua_gethookcount(main));
  luaL_error(L,
             "coroutine.yield called in a task outside of any coroutine of "
             "the program's own; only trio's async functions can suspend a "
             "task");
}

static void yielded(Task *t, int results) {
  lua_pop(t->co, results);
  t->values = 0;
  t->waiting = t->co;
  lua_sethook(t->co, reject_yield, LUA_MASKRET, 0);
  task_ready(t);
}

#ifdef TRIO_GC_STRESS
// Collect everything before each step; in a long run, before some of them.
static void stress(Runner *R) {
  enum { EACH = 300, THEN_EVERY = 16 };
  static _Thread_local uint64_t serial, steps;
  if (serial != R->serial) steps = 0;
  serial = R->serial;
  if (++steps < EACH || steps % THEN_EVERY == 0) lua_gc(R->L, LUA_GCCOLLECT);
}
#endif

static inline __attribute__((always_inline)) void step(Runner *R, Task *t) {
  slow_count(2);
  R->sched.current = t;
  t->state = TASK_RUNNING;
  if (R->on_step != NULL) R->on_step(R, t, true);
#ifdef TRIO_GC_STRESS
  stress(R);
#endif
  int results, status;
  do {
    int values = t->waiting == t->co ? t->values : 0;
    t->hopping = false;
    t->depth = 0;
    status = lua_resume(t->co, R->L, values, &results);
  } while (status == LUA_YIELD && t->hopping);
  bool ended = status != LUA_YIELD;
  if (ended) {
    if (status != LUA_OK) t->failed = t->died = true;
    task_exited(R, t);
  } else if (t->state == TASK_RUNNING) {
    yielded(t, results);
  }
  if (R->on_step != NULL) R->on_step(R, t, false);
  if (ended && !t->pinned) spawn_release(t);
  R->sched.current = NULL;
}

// xorshift64*: the schedule's own generator, so that a seed decides it alone.
static uint64_t next_random(Runner *R) {
  uint64_t x = R->random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  R->random = x;
  return x * UINT64_C(2685821657736338717);
}

static void shuffle_batch(Runner *R) {
  int count = 0;
  Item *item;
  while ((item = queue_shift(&R->sched.batch)) != NULL) {
    R->shuffle[count++] = CONTAINER_OF(item, Task, run_item);
  }
  for (int i = count - 1; i > 0; i--) {
    int j = (int)(next_random(R) % (uint64_t)(i + 1));
    Task *other = R->shuffle[j];
    R->shuffle[j] = R->shuffle[i];
    R->shuffle[i] = other;
  }
  for (int i = 0; i < count; i++) {
    queue_push(&R->sched.batch, &R->shuffle[i]->run_item);
  }
}

// A yield leaves the processor's prediction of returns in disorder. So what
// resumes tasks doesn't return after each batch: it is a part of the loop.
static inline __attribute__((always_inline)) void run_batch(Runner *R) {
  Sched *s = &R->sched;
  sched_begin_batch(s);
  if (R->shuffling) shuffle_batch(R);
  slow_count(1);
  Item *item;
  while ((item = queue_shift(&s->batch)) != NULL) {
    // With many tasks each step starts with cache misses: get the next one's
    // memory on its way.
    const Item *next = item->next;
    if (next != NULL) {
      __builtin_prefetch(CONTAINER_OF(next, Task, run_item)->co);
      __builtin_prefetch(next->next);
    }
    step(R, CONTAINER_OF(item, Task, run_item));
    if (R->crashed) break;
  }
  slow_count(1);
}

// Nothing ran for as long as the shortest cushion: wake the tasks that waited
// for that, all of the same cushion (Trio: wait_all_tasks_blocked).
static void wake_idlers(Sched *s, double cushion) {
  Link *link;
  while ((link = list_first(&s->idlers)) != NULL) {
    Task *t = CONTAINER_OF(link, Task, wait_link);
    if (t->cushion != cushion) return;
    list_remove(link);
    task_wake(t, WAKE_OK);
  }
}

static void autojump(Runner *R) {
  double jump = sched_next_deadline(&R->sched) - sched_now(&R->sched);
  if (jump > 0 && jump != INFINITY) mock_clock_jump(R->mock, jump);
}

// Every task is blocked; if nothing can wake one any more, say so in main. The
// run ends at once where main can't be told: it is over, or its wait does not
// let go.
static void check_deadlock(Runner *R) {
  const int *fds = R->state->waiting_fds;
  if (!R->raise_deadlock || R->threads > 0 || fds[0] + fds[1] > 0) return;
  if (poll_has_sources(R->state->poll)) return;
  explain_note_deadlock(R);
  if (R->main != NULL && !R->main_done) task_abort(R->main, WAKE_DEADLOCK);
  if (R->on_wakeup != NULL) R->on_wakeup(R);
  if (R->sched.ready_count > 0 || R->crashed) return;
  explain_push_deadlock(R->L);
  runner_crash(R);
}

// While tasks are ready, is it too early for another look at libuv?
static bool may_skip_poll(Runner *R) {
  Sched *s = &R->sched;
  int passes = ++R->idle_passes;
  if (R->on_io != NULL || passes >= POLL_EVERY) return false;
  // Has time passed? Where some passes were quick, the next few will be.
  bool looks = passes % 8 == 0 || (passes & (passes - 1)) == 0;
  if (looks && clock_coarse() != R->polled_at) return false;
  const HeapNode *first = heap_first(&s->timers);
  if (first == NULL) return true;
  if (s->clock == &R->real_clock.base && passes % 8 != 0) return true;
  return sched_now(s) < first->key;
}

// How long the pass may wait, and what it means if nothing happens meanwhile.
static void prepare_wait(Runner *R) {
  Sched *s = &R->sched;
  Wait *w = &R->wait;
  *w = (Wait){.timeout = 0};
  if (s->ready_count == 0) {
    double deadline = sched_next_deadline(s);
    w->timeout = deadline == INFINITY
                     ? INFINITY
                     : s->clock->sleep_time(s->clock, deadline);
    if (w->timeout == INFINITY && list_is_empty(&s->idlers)) {
      check_deadlock(R);
      if (s->ready_count > 0 || R->crashed) w->timeout = 0;
    }
    if (!(w->timeout > 0)) w->timeout = 0;
    if (w->timeout > 0) spawn_trim_pool(R);
  }
  if (w->timeout > MAX_WAIT) w->timeout = MAX_WAIT;
  Link *link = list_first(&s->idlers);
  if (link != NULL) {
    double cushion = CONTAINER_OF(link, Task, wait_link)->cushion;
    if (cushion < w->timeout) {
      w->wakes_idlers = true;
      w->timeout = w->cushion = cushion;
    }
  } else if (R->mock != NULL && R->autojump < w->timeout) {
    w->jumps = true;
    w->timeout = R->autojump;
  }
}

// The wait is over; `whole`: all of its time passed.
static void settle_wait(Runner *R, bool whole) {
  Sched *s = &R->sched;
  const Wait w = R->wait;
  if (R->on_wakeup != NULL) R->on_wakeup(R);
  R->idle_passes = 0;
  R->polled_at = clock_coarse();
  bool expired = sched_expire(s, sched_now(s));
  if (expired || s->ready_count > 0 || !whole) return;
  if (w.wakes_idlers) wake_idlers(s, w.cushion);
  if (w.jumps) autojump(R);
}

// What the run waits for has changed in a callback of libuv. Timers call back
// before libuv blocks: it must not block then.
static void end_wait(Sched *s) {
  poll_stop(CONTAINER_OF(s, Runner, sched)->state->poll);
}

static void look_outside(Runner *R) {
  if (R->on_wakeup != NULL) R->on_wakeup(R);
  if (R->sched.ready_count > 0 && may_skip_poll(R)) return;
  prepare_wait(R);
  if (R->on_io != NULL) R->on_io(R, R->wait.timeout, true);
  R->sched.on_change = end_wait;
  bool whole = poll_wait(R->state->poll, R->wait.timeout);
  R->sched.on_change = NULL;
  if (R->on_io != NULL) R->on_io(R, R->wait.timeout, false);
  settle_wait(R, whole);
}

static inline __attribute__((always_inline)) void work(Runner *R) {
  unsigned signals =
      atomic_load_explicit(&runner_signals, memory_order_acquire);
  if (signals != R->signals) {
    R->signals = signals;
    interrupt_check(R);
    peek_check(R);
    alarm_check(R);
  }
  if (!R->crashed) run_batch(R);
}

static bool goes_on(const Runner *R) { return R->live > 0 && !R->crashed; }

void runner_loop(Runner *R) {
  Runner *outer = runner_running;
  runner_running = R;
  do {
    look_outside(R);
    work(R);
  } while (goes_on(R));
  runner_running = outer;
}

bool runner_tick(Runner *R, bool whole) {
  Runner *outer = runner_running;
  runner_running = R;
  if (R->on_io != NULL) R->on_io(R, R->wait.timeout, false);
  settle_wait(R, whole);
  work(R);
  if (goes_on(R)) {
    prepare_wait(R);
    if (R->on_io != NULL) R->on_io(R, R->wait.timeout, true);
  }
  runner_running = outer;
  return goes_on(R);
}
