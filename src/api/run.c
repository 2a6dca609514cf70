// SPDX-License-Identifier: MIT
// run.c: trio.run: options, the root task with its three nurseries, the result
// (Trio: run, Runner.init).
//
//   root task: token nursery { token task
//                system nursery { system tasks
//                  main nursery { main task } } }
//
// When main has ended, the system nursery is cancelled; when that is closed,
// the token nursery.
#include "run.h"

#include <math.h>
#include <string.h>

#include "../base/mem.h"
#include "../bind/await.h"
#include "../bind/error.h"
#include "../bind/group.h"
#include "../bind/interrupt.h"
#include "../bind/resource.h"
#include "../bind/spawn.h"
#include "../bind/with.h"
#include "api.h"
#include "clock.h"
#include "instrument.h"
#include "nursery.h"
#include "token.h"

static const char failure_key = 0, guard_key = 0, instrument_key = 0;

// In the registry during a run: its finalizer tells that the state closes.
typedef struct Guard {
  ClassHead head;
  Runner *runner;  // NULL after the run
} Guard;

static const Class guard_class;

static Runner *running(void) { return runner_running; }

static void shut_down(lua_State *L, Nursery *n, const char *reason) {
  CancelReason *r = scope_reason(L, CANCEL_SHUTDOWN, reason);
  cancel_request(n->status, r);
  cancel_reason_set(&r, NULL);
}

// Call `body(nursery, main, ...)` in a new nursery; main, ... are the whole
// stack.
static int in_nursery(lua_State *L, Nursery **place, lua_CFunction body) {
  static const WithOps ops = {.leave = nursery_leave};
  if (place != NULL) {
    lua_pushboolean(L, true);
    spawn_anchor(L, place, -1);
    lua_pop(L, 1);
  }
  Nursery *n = nursery_push(L, task_require(L), true);
  if (place != NULL) {
    *place = n;
    spawn_anchor(L, place, -1);  // to the end of the run; the key is there
  }
  lua_insert(L, 1);
  lua_pushcfunction(L, body);
  lua_insert(L, 2);
  lua_pushvalue(L, 1);
  lua_insert(L, 3);
  return with(L, &ops);
}

// (main nursery, main, ...): start the two tasks.
static int start_main(lua_State *L) {
  Runner *R = running();
  Nursery *n = class_check(L, 1, &nursery_class);
  R->main = nursery_spawn(L, n, lua_gettop(L) - 2, 0, false);
  lua_settop(L, 0);
  lua_pushliteral(L, "<TrioToken.run_sync_soon task>");
  lua_pushcfunction(L, token_main);
  nursery_spawn(L, R->token_nursery, 0, 1, true);
  return 0;
}

static int main_nursery(lua_State *L) {
  return in_nursery(L, NULL, start_main);
}

static int main_closed(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  UNUSED(context);
  shut_down(L, running()->system_nursery,
            "main task done, shutting down system tasks");
  return 0;
}

// (system nursery, main, ...)
static int system_body(lua_State *L) {
  lua_pushcfunction(L, main_nursery);
  lua_replace(L, 1);
  lua_callk(L, lua_gettop(L) - 1, 0, 0, main_closed);
  return main_closed(L, LUA_OK, 0);
}

static int system_nursery(lua_State *L) {
  return in_nursery(L, &running()->system_nursery, system_body);
}

static int system_closed(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  UNUSED(context);
  shut_down(L, running()->token_nursery,
            "main task done, shutting down run_sync_soon callbacks");
  return 0;
}

// (token nursery, main, ...)
static int token_body(lua_State *L) {
  lua_pushcfunction(L, system_nursery);
  lua_replace(L, 1);
  lua_callk(L, lua_gettop(L) - 1, 0, 0, system_closed);
  return system_closed(L, LUA_OK, 0);
}

static int root_main(lua_State *L) {
  return in_nursery(L, &running()->token_nursery, token_body);
}

static const char *const known_options[] = {
    "clock",
    "instruments",
    "strict_exception_groups",
    "restrict_keyboard_interrupt_to_checkpoints",
    "seed",
    "on_deadlock",
    NULL};

static uint64_t mixed(uint64_t seed) {
  // splitmix64: neighbouring seeds give unrelated schedules, and never 0.
  uint64_t z = seed + UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  z ^= z >> 31;
  return z == 0 ? 1 : z;
}

// Defaults come from the interpreter's command line.
static void read_schedule(lua_State *L, Runner *R, int opts) {
  const State *state = R->state;
  R->shuffling = state->has_seed;
  R->random = mixed(state->seed);
  R->raise_deadlock = state->raise_deadlock;
  if (opts == 0) return;
  if (lua_getfield(L, opts, "seed") != LUA_TNIL) {
    R->shuffling = true;
    R->random = mixed((uint64_t)lua_tointeger(L, -1));
  }
  if (lua_getfield(L, opts, "on_deadlock") != LUA_TNIL) {
    R->raise_deadlock = strcmp(lua_tostring(L, -1), "raise") == 0;
  }
  lua_pop(L, 2);
}

static bool is_instruments(lua_State *L) {
  if (!lua_istable(L, -1)) return false;
  bool good = true;
  lua_Integer count = luaL_len(L, -1);
  for (lua_Integer i = 1; good && i <= count; i++) {
    lua_geti(L, -1, i);
    good = lua_istable(L, -1) || lua_isuserdata(L, -1);
    lua_pop(L, 1);
  }
  return good;
}

static bool is_seed(lua_State *L) {
  int is_integer;
  lua_tointegerx(L, -1, &is_integer);
  return is_integer && lua_type(L, -1) == LUA_TNUMBER;
}

static bool is_on_deadlock(lua_State *L) {
  if (lua_type(L, -1) != LUA_TSTRING) return false;
  const char *what = lua_tostring(L, -1);
  return strcmp(what, "raise") == 0 || strcmp(what, "wait") == 0;
}

static void check_option(lua_State *L, int opts, const char *name,
                         bool (*is_good)(lua_State *L), const char *message) {
  if (lua_getfield(L, opts, name) != LUA_TNIL && !is_good(L)) {
    luaL_argerror(L, opts, message);
  }
  lua_pop(L, 1);
}

// Values and errors of the options are checked before anything is set up.
void run_check_options(lua_State *L, int opts) {
  opts_check(L, opts, known_options);
  group_strict_option(L, opts, true);
  opts_boolean(L, opts, "restrict_keyboard_interrupt_to_checkpoints", false);
  if (lua_getfield(L, opts, "clock") != LUA_TNIL) clock_check(L, opts);
  lua_pop(L, 1);
  check_option(L, opts, "instruments", is_instruments,
               "option 'instruments' must be an array of instruments");
  check_option(L, opts, "seed", is_seed, "option 'seed' must be an integer");
  check_option(L, opts, "on_deadlock", is_on_deadlock,
               "option 'on_deadlock' must be 'wait' or 'raise'");
}

static void read_options(lua_State *L, Runner *R, int opts) {
  R->strict_groups = true;
  read_schedule(L, R, opts);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &instrument_key) != LUA_TNIL) {
    lua_pushvalue(L, -1);
    instrument_add(L, R);
  }
  lua_pop(L, 1);
  if (opts == 0) return;
  R->strict_groups = opts_boolean(L, opts, "strict_exception_groups", true);
  R->restrict_interrupt = opts_boolean(
      L, opts, "restrict_keyboard_interrupt_to_checkpoints", false);
  if (lua_getfield(L, opts, "clock") != LUA_TNIL) clock_use(L, R);
  lua_pop(L, 1);
  if (lua_getfield(L, opts, "instruments") != LUA_TNIL) {
    lua_Integer count = luaL_len(L, -1);
    for (lua_Integer i = 1; i <= count; i++) {
      lua_geti(L, -1, i);
      instrument_add(L, R);
    }
  }
  lua_pop(L, 1);
}

static void wrap_internal(lua_State *L, const char *message) {
  if (error_is(L, -1, ERROR_INTERNAL)) return;
  error_push(L, ERROR_INTERNAL, "%s", message);
  lua_insert(L, -2);
  lua_setfield(L, -2, "cause");
}

// What the run owns, besides what the program can still see of it.
static void release(Runner *R) {
  interrupt_end(R);
  instrument_end(R);
  clock_end(R);
  runner_deinit(R);
  token_deinit(R);
  lua_State *L = R->L;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &guard_key);
  Guard *guard = lua_touserdata(L, -1);
  if (guard != NULL) guard->runner = NULL;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
  lua_pop(L, 1);
}

// os.exit(code, true) in a task, or a host that closes the state of a guest
// run. What was made later has been finalized, and the rest comes after this.
static int guard_gc(lua_State *L) {
  const Guard *guard = lua_touserdata(L, 1);
  Runner *R = guard->runner;
  if (R == NULL) return 0;
  runner_lose(L, R);
  token_end(R);
  release(R);
  if (R->on_lost != NULL) R->on_lost(R);
  return 0;
}

static const luaL_Reg guard_meta[] = {{"__gc", guard_gc}, {NULL, NULL}};
static const Class guard_class = {"trio.run", NULL, NULL, guard_meta};

static void set_guard(lua_State *L, Runner *R) {
  Guard *guard = class_new(L, &guard_class, sizeof(Guard), 0);
  guard->runner = R;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &guard_key);
}

// (runner, opts or nil, main, ...): set everything up. Under a protected call.
static int set_up(lua_State *L) {
  Runner *R = lua_touserdata(L, 1);
  set_guard(L, R);
  read_options(L, R, lua_isnil(L, 2) ? 0 : 2);
  token_begin(L, R);
  if (R->takes_interrupt) interrupt_begin(R);
  if (R->on_run != NULL) R->on_run(R, true);
  clock_start(L, R);
  lua_pushcfunction(L, root_main);
  lua_replace(L, 2);
  lua_pushliteral(L, "<init>");
  lua_replace(L, 1);
  R->root = spawn_new(L, R, lua_gettop(L) - 2, 1, true);
  R->root->base = cancel_open(&R->sched, NULL, INFINITY, false);
  if (R->root->base == NULL) luaL_error(L, "not enough memory");
  cancel_attach(R->root, R->root->base);
  if (R->on_spawn != NULL) R->on_spawn(R, R->root);
  task_ready(R->root);
  return 0;
}

void run_begin(lua_State *L, Runner *R, int opts, int count) {
  runner_init(L, R);
  R->keep = nursery_keep;
  R->child_exit = nursery_child_exit;
  R->abandon = nursery_abandon_all;
  R->parent_of = nursery_parent_of;
  int base = lua_gettop(L) - count;  // main, then its arguments
  lua_pushcfunction(L, set_up);
  lua_insert(L, base);
  lua_pushlightuserdata(L, R);
  lua_insert(L, base + 1);
  if (opts == 0) {
    lua_pushnil(L);
  } else {
    lua_pushvalue(L, opts);
  }
  lua_insert(L, base + 2);
  if (lua_pcall(L, count + 3, 0, 0) == LUA_OK) return;
  lua_insert(L, 1);
  lua_settop(L, 1);
  run_close(R);
  lua_error(L);
}

void run_close(Runner *R) {
  token_end(R);
  if (R->on_run != NULL) R->on_run(R, false);
  resource_close_all(R->L);
  release(R);
}

// The error on top leaves the run: keep its traceback for reports.
static void remember_failure(lua_State *L, Task *t) {
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, 1);
  with_push_traceback(L, t, -2);
  lua_rawseti(L, -2, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &failure_key);
}

// (runner) -> true, results... or false, error. Under a protected call.
static int take_outcome(lua_State *L) {
  Runner *R = lua_touserdata(L, 1);
  bool ok = false;
  if (R->crashed) {
    runner_push_crash(R);
    if (!error_is(L, -1, ERROR_DEADLOCK)) {
      wrap_internal(L, "the scheduler failed");
    }
  } else if (R->root->failed) {
    lua_xmove(R->root->co, L, 1);
    remember_failure(L, R->root);
    wrap_internal(L, "a system task crashed");
  } else if (R->main->failed) {
    lua_xmove(R->main->co, L, 1);
    remember_failure(L, R->main);
  } else {
    int count = lua_gettop(R->main->co);
    luaL_checkstack(L, count + 2, "too many results");
    lua_pushboolean(L, true);
    lua_replace(L, 1);
    lua_xmove(R->main->co, L, count);
    ok = true;
  }
  if (ok) return lua_gettop(L);
  lua_pushboolean(L, false);
  lua_replace(L, 1);
  return 2;
}

// (outcome of main) -> false, KeyboardInterrupt: it came when main could no
// longer take it. Under a protected call.
static int replace_outcome(lua_State *L) {
  error_push(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
  if (!lua_toboolean(L, 1)) {
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "context");
  }
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

// Call the function on top in place of its arguments, the values from base on:
// it leaves an outcome there.
static void call_outcome(lua_State *L, int base) {
  lua_insert(L, base);
  int status = lua_pcall(L, lua_gettop(L) - base, LUA_MULTRET, 0);
  if (status == LUA_OK) return;
  lua_pushboolean(L, false);
  lua_insert(L, base);
}

int run_finish(lua_State *L, Runner *R) {
  int base = lua_gettop(L) + 1;
  lua_pushlightuserdata(L, R);
  lua_pushcfunction(L, take_outcome);
  call_outcome(L, base);
  run_close(R);
  if (R->interrupted && !R->crashed) {
    lua_pushcfunction(L, replace_outcome);
    call_outcome(L, base);
  }
  return lua_gettop(L) - base + 1;
}

// trio.run([opts,] main, ...) -> main's results; raises main's error as it
// is. Options: clock, instruments, strict_exception_groups,
// restrict_keyboard_interrupt_to_checkpoints, seed, on_deadlock. Not inside of
// another run of this state. Mirrors trio.run.
int run_lua(lua_State *L) {
  int main = 1;
  if (opts_is(L, 1)) {
    run_check_options(L, 1);
    main = 2;
  }
  arg_callable(L, main);
  if (runner_maybe(L) != NULL) {
    return luaL_error(L, "trio.run can't be called from inside a trio.run");
  }
  luaL_checkstack(L, 50, NULL);
  Runner *R = lua_newuserdatauv(L, sizeof(Runner), 0);
  memset(R, 0, sizeof(Runner));
  lua_insert(L, main);
  R->takes_interrupt = true;
  run_begin(L, R, main == 2 ? 1 : 0, lua_gettop(L) - main - 1);
  runner_loop(R);
  int results = run_finish(L, R);
  if (lua_toboolean(L, -results)) return results - 1;
  return lua_error(L);
}

// trio._traceback_of(error) -> where the error that last left a run was
// raised, or nil. For the interpreter's report.
static int l_traceback_of(lua_State *L) {
  lua_settop(L, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key) != LUA_TTABLE) return 0;
  lua_rawgeti(L, 2, 1);
  if (!lua_rawequal(L, 1, 3)) return 0;
  lua_rawgeti(L, 2, 2);
  return 1;
}

// trio._defaults{seed=, on_deadlock=, instrument=, catch_sigint=, warnings=}:
// what the interpreter's command line sets for every run.
static int l_defaults(lua_State *L) {
  State *state = state_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_getfield(L, 1, "seed") != LUA_TNIL) {
    state->has_seed = true;
    state->seed = (uint64_t)luaL_checkinteger(L, -1);
  }
  if (lua_getfield(L, 1, "on_deadlock") != LUA_TNIL) {
    state->raise_deadlock = strcmp(luaL_checkstring(L, -1), "raise") == 0;
  }
  if (lua_getfield(L, 1, "instrument") != LUA_TNIL) {
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &instrument_key);
  }
  if (lua_getfield(L, 1, "catch_sigint") != LUA_TNIL) {
    state->default_sigint = lua_toboolean(L, -1);
  }
  if (lua_getfield(L, 1, "warnings") != LUA_TNIL) {
    state->warnings = lua_toboolean(L, -1);
  }
  return 0;
}

void run_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"run", run_lua},
                                       {"_traceback_of", l_traceback_of},
                                       {"_defaults", l_defaults},
                                       {NULL, NULL}};
  class_register(L, &guard_class);
  luaL_setfuncs(L, functions, 0);
}
