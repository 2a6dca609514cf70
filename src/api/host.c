// SPDX-License-Identifier: MIT
// host.c: the functions of include/trio.h, on top of what the library itself
// uses. Guest runs are in io/guest.c.
#include <lauxlib.h>
#include <string.h>

#include "../bind/await.h"
#include "../bind/poll.h"
#include "run.h"
#include "token.h"
#include "token_c.h"
#include "trio.h"

// (options or nil, main, ...) -> results
static int run_main(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pop(L, 1);
  if (lua_isnil(L, 1)) lua_remove(L, 1);
  lua_pushcfunction(L, run_lua);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

int trio_run(lua_State *L, int nargs, int nresults, int options) {
  int base = lua_gettop(L) - nargs;
  if (options != 0) options = lua_absindex(L, options);
  if (!lua_checkstack(L, 3)) {
    lua_settop(L, base - 1);
    lua_pushliteral(L, "stack overflow");
    return LUA_ERRRUN;
  }
  lua_pushcfunction(L, run_main);
  lua_insert(L, base);
  if (options == 0) {
    lua_pushnil(L);
  } else {
    lua_pushvalue(L, options);
  }
  lua_insert(L, base + 1);
  return lua_pcall(L, nargs + 2, nresults, 0);
}

struct uv_loop_s *trio_loop(lua_State *L) {
  State *state = state_of(L);
  if (state == NULL || !state_make_poll(state)) return NULL;
  return poll_loop(state->poll);
}

trio_token *trio_current_token(lua_State *L) {
  Runner *R = runner_maybe(L);
  if (R == NULL || R->token == NULL) return NULL;
  return (trio_token *)token_share(R);
}

void trio_token_release(trio_token *token) {
  token_release((TokenQueue *)token);
}

int trio_token_run_sync_soon(trio_token *token,
                             void (*fn)(lua_State *L, void *data), void *data) {
  return token_call_soon((TokenQueue *)token, fn, data);
}

// ---- async functions: the host's op stands in task->host_op

static const trio_op *op_of(const Task *t) { return t->host_op; }

static int try_host(lua_State *L, Task *t, void *self) {
  int results = op_of(t)->attempt(L, self);
  return results == TRIO_WOULD_BLOCK ? WOULD_BLOCK : results;
}

static void start_host(lua_State *L, Task *t, void *self) {
  op_of(t)->start(L, (trio_task *)t, self);
}

static AbortResult abort_host(Task *t, void *self, int code) {
  UNUSED(code);
  trio_abort result = op_of(t)->abort((trio_task *)t, self);
  return result == TRIO_ABORT_DONE ? ABORT_DONE : ABORT_PENDING;
}

static int finish_host(lua_State *L, Task *t, void *self, int code) {
  const trio_op *op = op_of(t);
  if (op->finish != NULL) return op->finish(L, self, code);
  if (code < 0) return await_raise(L, t, code);
  return t->values;
}

int trio_await(lua_State *L, const trio_op *op, void *self) {
  static const Op with_attempt = {.name = "a C function of the host",
                                  .attempt = try_host,
                                  .start = start_host,
                                  .abort = abort_host,
                                  .finish = finish_host};
  static const Op without = {.name = "a C function of the host",
                             .start = start_host,
                             .abort = abort_host,
                             .finish = finish_host};
  Task *t = await_check(L, op->name);
  t->host_op = op;
  return await(L, op->attempt != NULL ? &with_attempt : &without, self);
}

void trio_wake(trio_task *task, int code) { task_wake((Task *)task, code); }

int trio_move(trio_task *task, lua_State *from, int count) {
  Task *t = (Task *)task;
  if (!lua_checkstack(t->waiting, count + 1)) return 0;
  lua_xmove(from, t->waiting, count);
  t->values = count;
  return 1;
}

int trio_raise(lua_State *L, int code) {
  return await_raise(L, task_require(L), code);
}
