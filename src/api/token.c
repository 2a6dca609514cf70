// SPDX-License-Identifier: MIT
// token.c: see token.h. Calls made from Lua wait in two tables in the
// registry, FIFO: {first, last, [i] = {n=, fn, ...}}, one of them for
// idempotent calls, which are not queued twice. Calls made from C, by any
// thread, wait in a list behind a mutex.
#include "token.h"

#include <lauxlib.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../base/mem.h"
#include "../bind/await.h"
#include "../bind/error.h"
#include "../bind/spawn.h"
#include "api.h"
#include "nursery.h"
#include "token_c.h"

static const char calls_key = 0, idempotent_key = 0, token_key = 0;

// Shared by the run and every TrioToken handed to C: counted references.
struct TokenQueue {
  atomic_int references;
  const void *registry;   // identifies the Lua state of the run
  pthread_mutex_t mutex;  // guards what follows
  TokenCall *first, **last;
  atomic_int foreign;  // calls in the list
  bool done;           // refuses calls
  Runner *runner;      // NULL once the run is over
  Task *waiting;       // the token task, while parked (only its own thread)
  int calls[2];        // Lua calls queued: ordinary, idempotent
  int first_call[2];
};

typedef struct TokenObject {
  ClassHead head;
  TokenQueue *queue;
} TokenObject;

static const Class token_class;

static const void *table_key(int kind) {
  return kind == 0 ? (const void *)&calls_key : (const void *)&idempotent_key;
}

static void release(TokenQueue *q) {
  if (atomic_fetch_sub(&q->references, 1) > 1) return;
  pthread_mutex_destroy(&q->mutex);
  mem_free(q);
}

static int token_gc(lua_State *L) {
  TokenObject *token = lua_touserdata(L, 1);
  if (token->queue != NULL) release(token->queue);
  token->queue = NULL;
  return 0;
}

static void wake(TokenQueue *q) {
  Task *t = q->waiting;
  if (t == NULL) return;
  q->waiting = NULL;
  task_wake(t, WAKE_OK);
}

// Between batches, on the run's own thread.
static void look_at_queue(Runner *R) {
  if (token_size(R) > 0) wake(R->token);
}

void token_begin(lua_State *L, Runner *R) {
  TokenObject *token = class_new(L, &token_class, sizeof(TokenObject), 0);
  TokenQueue *q = mem_alloc(sizeof(TokenQueue));
  if (q == NULL) luaL_error(L, "not enough memory");
  if (pthread_mutex_init(&q->mutex, NULL) != 0) {
    mem_free(q);
    luaL_error(L, "not enough memory");
  }
  atomic_init(&q->references, 1);
  token->queue = q;
  q->last = &q->first;
  q->registry = lua_topointer(L, LUA_REGISTRYINDEX);
  q->runner = R;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &token_key);
  for (int kind = 0; kind < 2; kind++) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, table_key(kind));
    q->first_call[kind] = 1;
  }
  atomic_fetch_add(&q->references, 1);
  R->token = q;
  R->on_wakeup = look_at_queue;
}

// Calls that a crashed run will never make.
static void drop_calls(TokenCall *call) {
  while (call != NULL) {
    const TokenCall c = *call;
    if (c.owned) mem_free(call);
    if (c.dropped != NULL) c.dropped(c.data);
    call = c.next;
  }
}

void token_end(Runner *R) {
  TokenQueue *q = R->token;
  if (q == NULL) return;
  pthread_mutex_lock(&q->mutex);
  q->done = true;
  q->runner = NULL;
  TokenCall *left = q->first;
  q->first = NULL;
  q->last = &q->first;
  pthread_mutex_unlock(&q->mutex);
  drop_calls(left);
  lua_pushnil(R->L);
  lua_rawsetp(R->L, LUA_REGISTRYINDEX, &token_key);
}

void token_deinit(Runner *R) {
  if (R->token != NULL) release(R->token);
  R->token = NULL;
}

bool token_is_pending(const Runner *R) { return R->token->foreign > 0; }

int token_size(const Runner *R) {
  const TokenQueue *q = R->token;
  return q->calls[0] + q->calls[1] + q->foreign;
}

// ---- queueing

// Is the packed call at index `call` equal to one that waits in the table at
// index `table`?
static bool is_queued(lua_State *L, const TokenQueue *q, int table, int call) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, call);
  for (int i = 0; i < q->calls[1]; i++) {
    lua_rawgeti(L, table, q->first_call[1] + i);
    bool same = (lua_Integer)lua_rawlen(L, -1) == count;
    for (lua_Integer k = 1; same && k <= count; k++) {
      lua_rawgeti(L, -1, k);
      lua_rawgeti(L, call, k);
      same = lua_rawequal(L, -1, -2);
      lua_pop(L, 2);
    }
    lua_pop(L, 1);
    if (same) return true;
  }
  return false;
}

static bool is_home(lua_State *L, const TokenQueue *q) {
  return q->registry == lua_topointer(L, LUA_REGISTRYINDEX);
}

const char token_far_key = 0;

// The run belongs to another Lua state, in another thread.
static int call_from_afar(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &token_far_key);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 0);
  return 0;
}

// token:run_sync_soon([opts,] fn, ...): call fn(...) soon in the run's own
// system task; fn can't wait. Option idempotent. Raises RunFinishedError after
// the end. No checkpoint. Mirrors TrioToken.run_sync_soon.
static int l_run_sync_soon(lua_State *L) {
  static const char *const known[] = {"idempotent", NULL};
  TokenObject *token = class_check(L, 1, &token_class);
  int function = nursery_function(L, 2, known);
  int kind = function == 3 && opts_boolean(L, 2, "idempotent", false) ? 1 : 0;
  TokenQueue *q = token->queue;
  if (q != NULL && !is_home(L, q)) return call_from_afar(L);
  if (q == NULL || q->done) {
    return error_raise(L, ERROR_RUN_FINISHED, "the run is over");
  }
  int count = lua_gettop(L) - function + 1;
  lua_createtable(L, count, 1);
  lua_insert(L, function);
  for (int i = count; i > 0; i--) lua_rawseti(L, function, i);
  lua_pushinteger(L, count);
  lua_setfield(L, function, "n");
  lua_rawgetp(L, LUA_REGISTRYINDEX, table_key(kind));
  if (kind == 1 && is_queued(L, q, function + 1, function)) return 0;
  lua_pushvalue(L, function);
  lua_rawseti(L, function + 1, q->first_call[kind] + q->calls[kind]);
  q->calls[kind]++;
  Runner *R = q->runner;
  if (R->sched.on_change != NULL) R->sched.on_change(&R->sched);
  return 0;
}

TokenQueue *token_share(Runner *R) {
  atomic_fetch_add(&R->token->references, 1);
  return R->token;
}

void token_retain(TokenQueue *q) { atomic_fetch_add(&q->references, 1); }

void token_release(TokenQueue *q) { release(q); }

TokenQueue *token_at(lua_State *L, int idx) {
  const TokenObject *token = class_test(L, idx, &token_class);
  return token == NULL ? NULL : token->queue;
}

void token_push(lua_State *L, TokenQueue *q) {
  if (is_home(L, q)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &token_key);
    if (token_at(L, -1) == q) return;
    lua_pop(L, 1);
  }
  TokenObject *token = class_new(L, &token_class, sizeof(TokenObject), 0);
  token->queue = q;
  token_retain(q);
}

int token_call_soon(TokenQueue *q, void (*function)(lua_State *L, void *data),
                    void *data) {
  return token_call_soon_or(q, function, NULL, data);
}

int token_call_soon_or(TokenQueue *q,
                       void (*function)(lua_State *L, void *data),
                       void (*dropped)(void *data), void *data) {
  TokenCall *call = mem_alloc(sizeof(TokenCall));
  if (call == NULL) return TOKEN_NO_MEMORY;
  *call = (TokenCall){NULL, function, dropped, data, true};
  int status = token_queue(q, call);
  if (status != TOKEN_QUEUED) mem_free(call);
  return status;
}

int token_queue(TokenQueue *q, TokenCall *call) {
  pthread_mutex_lock(&q->mutex);
  if (q->done) {
    pthread_mutex_unlock(&q->mutex);
    return TOKEN_FINISHED;
  }
  call->next = NULL;
  *q->last = call;
  q->last = &call->next;
  q->foreign++;
  poll_wake(q->runner->state->poll);
  pthread_mutex_unlock(&q->mutex);
  return TOKEN_QUEUED;
}

// ---- the token task

// (error): raised again in a system task, which ends the run.
static int raise_it(lua_State *L) {
  lua_settop(L, 1);
  return lua_error(L);
}

// A call failed with the error on top: make a system task crash with it.
static void crash_with(lua_State *L, Runner *R) {
  lua_pushcfunction(L, raise_it);
  lua_insert(L, -2);
  Nursery *n = R->system_nursery->closed ? R->token_nursery : R->system_nursery;
  nursery_spawn(L, n, 1, 0, true);
}

static void run_lua_call(lua_State *L, Runner *R, int kind) {
  TokenQueue *q = R->token;
  lua_rawgetp(L, LUA_REGISTRYINDEX, table_key(kind));
  int table = lua_gettop(L);
  int at = q->first_call[kind]++;
  q->calls[kind]--;
  lua_rawgeti(L, table, at);
  lua_pushnil(L);
  lua_rawseti(L, table, at);
  lua_getfield(L, -1, "n");
  int count = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, count + 4, NULL);
  for (int i = 1; i <= count; i++) lua_rawgeti(L, table + 1, i);
  if (lua_pcall(L, count - 1, 0, 0) != LUA_OK) crash_with(L, R);
  lua_settop(L, table - 1);
}

static TokenCall *take_foreign(TokenQueue *q) {
  pthread_mutex_lock(&q->mutex);
  TokenCall *call = q->first;
  if (call != NULL) {
    q->first = call->next;
    if (q->first == NULL) q->last = &q->first;
    q->foreign--;
  }
  pthread_mutex_unlock(&q->mutex);
  return call;
}

// Under a protected call, which may fail before it begins: the call that is due
// must not be lost then.
static int call_foreign(lua_State *L) {
  TokenCall *call = take_foreign(runner_running->token);
  if (call == NULL) return 0;
  const TokenCall c = *call;
  if (c.owned) mem_free(call);
  c.function(L, c.data);
  return 0;
}

static int make_calls(lua_State *L) {
  Runner *R = runner_running;
  TokenQueue *q = R->token;
  for (int kind = 0; kind < 2; kind++) {
    for (int left = q->calls[kind]; left > 0; left--) run_lua_call(L, R, kind);
  }
  for (int left = q->foreign; left > 0; left--) {
    lua_pushcfunction(L, call_foreign);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) crash_with(L, R);
  }
  return 0;
}

// Run what is queued now, but not what that queues in turn. Without memory even
// for a crash the run ends at once: threads may wait for what is still queued.
static void run_calls(lua_State *L, Runner *R) {
  lua_pushcfunction(L, make_calls);
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return;
  lua_xmove(L, R->L, 1);
  runner_crash(R);
}

static void start_waiting(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  ((TokenQueue *)self)->waiting = t;
}

static AbortResult stop_waiting(Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  ((TokenQueue *)self)->waiting = NULL;
  return ABORT_DONE;
}

static int last_calls(lua_State *L, Runner *R) {
  TokenQueue *q = R->token;
  pthread_mutex_lock(&q->mutex);
  q->done = true;
  pthread_mutex_unlock(&q->mutex);
  run_calls(L, R);
  return 0;
}

static int go_on(lua_State *L, int status, lua_KContext context);

static int woken(lua_State *L, Task *t, void *self, int code) {
  UNUSED(self);
  if (code == WAKE_CANCELLED) return last_calls(L, runner_of_task(t));
  return go_on(L, LUA_OK, 0);
}

static int go_on(lua_State *L, int status, lua_KContext context) {
  static const Op op = {.name = "waiting for run_sync_soon",
                        .start = start_waiting,
                        .abort = stop_waiting,
                        .finish = woken};
  UNUSED(status);
  UNUSED(context);
  Task *t = task_of(L);
  Runner *R = runner_of_task(t);
  if (t->cancel->effective) return last_calls(L, R);
  run_calls(L, R);
  if (token_size(R) == 0) return await(L, &op, R->token);
  return await_turn_then(L, t, 0, go_on);
}

int token_main(lua_State *L) { return go_on(L, LUA_OK, 0); }

// trio.lowlevel.current_trio_token() -> the run's token, always the same.
static int l_current_trio_token(lua_State *L) {
  runner_require(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &token_key);
  return 1;
}

static const luaL_Reg token_methods[] = {{"run_sync_soon", l_run_sync_soon},
                                         {NULL, NULL}};
static const luaL_Reg token_meta[] = {{"__gc", token_gc}, {NULL, NULL}};
static const Class token_class = {"trio.TrioToken", token_methods, NULL,
                                  token_meta};

void token_open(lua_State *L) {
  class_register(L, &token_class);
  lua_getfield(L, -1, "lowlevel");
  lua_pushcfunction(L, l_current_trio_token);
  lua_setfield(L, -2, "current_trio_token");
  lua_pop(L, 1);
}
