// SPDX-License-Identifier: MIT
// limiter.c: trio.CapacityLimiter: tokens, each held by a borrower (Trio:
// CapacityLimiter). A borrower is any value; the current task by default. The
// borrower of a waiting task stands at index 2 of its frame.
#include <math.h>

#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "../bind/spawn.h"
#include "api.h"
#include "guard.h"

typedef struct Limiter {
  ClassHead head;
  Lot lot;
  double total;  // a whole number or INFINITY
  int borrowed;
} Limiter;

// User value: the set of those who hold a token.
enum { LIMITER_BORROWERS = 1, LIMITER_VALUES = 1 };
enum { SELF = 1, BORROWER = 2 };

static const Class limiter_class;

static Limiter *self(lua_State *L) {
  return class_check(L, SELF, &limiter_class);
}

// Does the value at BORROWER hold a token?
static bool holds(lua_State *L) {
  lua_getiuservalue(L, SELF, LIMITER_BORROWERS);
  lua_pushvalue(L, BORROWER);
  lua_rawget(L, -2);
  bool found = !lua_isnil(L, -1);
  lua_pop(L, 2);
  return found;
}

// Note that the value on top holds a token, if it is new there. Two tasks may
// have waited for the same borrower; it gets one token. [-1, +0, m]
static void enter(lua_State *L, Limiter *l) {
  lua_getiuservalue(L, SELF, LIMITER_BORROWERS);
  lua_insert(L, -2);
  lua_pushvalue(L, -1);
  bool is_new = lua_rawget(L, -3) == LUA_TNIL;
  lua_pop(L, 1);
  lua_pushboolean(L, true);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  if (is_new) l->borrowed++;
}

static int try_acquire(lua_State *L, Task *t, void *object) {
  UNUSED(t);
  Limiter *l = object;
  if (holds(L)) {
    return luaL_error(L,
                      "this borrower already holds one of the limiter's "
                      "tokens");
  }
  if (l->borrowed >= l->total || l->lot.count > 0) return WOULD_BLOCK;
  lua_pushvalue(L, BORROWER);
  enter(L, l);
  return 0;
}

// Hand free tokens to the longest waiters. The limiter stands at SELF.
static void admit(lua_State *L, Limiter *l) {
  while (l->borrowed < l->total && l->lot.count > 0) {
    Task *t = lot_first(&l->lot);
    lua_pushvalue(t->waiting, BORROWER);
    lua_xmove(t->waiting, L, 1);
    enter(L, l);
    lot_unpark(&l->lot, WAKE_OK);
  }
}

static const Op acquire_op = {.name = "CapacityLimiter:acquire",
                              .attempt = try_acquire,
                              .lot = offsetof(Limiter, lot)};

static void push_self_task(lua_State *L) {
  lua_settop(L, SELF);
  task_push(L, task_require(L));
}

static void check_borrower(lua_State *L) {
  luaL_checkany(L, BORROWER);
  luaL_argcheck(L, !lua_isnil(L, BORROWER), BORROWER,
                "a borrower can't be nil");
  lua_Number n = lua_tonumber(L, BORROWER);
  luaL_argcheck(L, lua_type(L, BORROWER) != LUA_TNUMBER || !isnan(n), BORROWER,
                "a borrower can't be NaN");
  lua_settop(L, BORROWER);
}

// limiter:acquire(): borrow a token for the current task, waiting for one.
// Raises when it holds one already.
static int l_acquire(lua_State *L) {
  Limiter *l = self(L);
  await_check(L, acquire_op.name);
  push_self_task(L);
  return await(L, &acquire_op, l);
}

// limiter:acquire_on_behalf_of(borrower): the same for any other borrower.
static int l_acquire_on_behalf_of(lua_State *L) {
  Limiter *l = self(L);
  check_borrower(L);
  return await(L, &acquire_op, l);
}

static int acquire_now(lua_State *L, Limiter *l) {
  if (try_acquire(L, NULL, l) == WOULD_BLOCK) {
    return error_raise(L, ERROR_WOULD_BLOCK, "no token is free");
  }
  return 0;
}

// limiter:acquire_nowait(): a token now, or WouldBlock.
static int l_acquire_nowait(lua_State *L) {
  Limiter *l = self(L);
  push_self_task(L);
  return acquire_now(L, l);
}

// limiter:acquire_on_behalf_of_nowait(borrower): the same for any borrower.
static int l_acquire_on_behalf_of_nowait(lua_State *L) {
  Limiter *l = self(L);
  check_borrower(L);
  return acquire_now(L, l);
}

static int give_back(lua_State *L, Limiter *l) {
  if (!holds(L)) {
    return luaL_error(L, "this borrower holds none of the limiter's tokens");
  }
  lua_getiuservalue(L, SELF, LIMITER_BORROWERS);
  lua_pushvalue(L, BORROWER);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  l->borrowed--;
  admit(L, l);
  return 0;
}

// limiter:release(): give the current task's token back. Raises when it has
// none.
static int l_release(lua_State *L) {
  Limiter *l = self(L);
  push_self_task(L);
  return give_back(L, l);
}

// limiter:release_on_behalf_of(borrower): the same for any borrower.
static int l_release_on_behalf_of(lua_State *L) {
  Limiter *l = self(L);
  check_borrower(L);
  return give_back(L, l);
}

static int run_body(lua_State *L, Task *t, void *object) {
  lua_remove(L, BORROWER);
  return guard_then(L, t, object);
}

// limiter:with(body) -> the body's results, with a token held meanwhile.
static int l_with(lua_State *L) {
  static const Op op = {.name = "CapacityLimiter:with",
                        .attempt = try_acquire,
                        .lot = offsetof(Limiter, lot),
                        .then = run_body};
  Limiter *l = self(L);
  guard_check(L);
  task_push(L, await_check(L, op.name));
  lua_insert(L, BORROWER);
  return await(L, &op, l);
}

// limiter:statistics() -> {borrowed_tokens, total_tokens, borrowers,
// tasks_waiting}.
static int l_statistics(lua_State *L) {
  const Limiter *l = self(L);
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, l->borrowed);
  lua_setfield(L, -2, "borrowed_tokens");
  lua_getfield(L, SELF, "total_tokens");
  lua_setfield(L, -2, "total_tokens");
  lua_pushinteger(L, l->lot.count);
  lua_setfield(L, -2, "tasks_waiting");
  lua_createtable(L, l->borrowed, 0);
  lua_getiuservalue(L, SELF, LIMITER_BORROWERS);
  lua_Integer i = 0;
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_rawseti(L, -5, ++i);
  }
  lua_pop(L, 1);
  lua_setfield(L, -2, "borrowers");
  return 1;
}

static void push_tokens(lua_State *L, double tokens) {
  if (tokens == INFINITY) {
    lua_pushnumber(L, tokens);
  } else {
    lua_pushinteger(L, (lua_Integer)tokens);
  }
}

static int get_total(lua_State *L) {
  push_tokens(L, self(L)->total);
  return 1;
}

static int get_borrowed(lua_State *L) {
  lua_pushinteger(L, self(L)->borrowed);
  return 1;
}

static int get_available(lua_State *L) {
  const Limiter *l = self(L);
  push_tokens(L, l->total - l->borrowed);
  return 1;
}

// A number of tokens at idx: a whole number that is not negative, or
// math.huge. NULL, or what is wrong with it.
static const char *token_problem(lua_State *L, int idx) {
  if (lua_isinteger(L, idx)) {
    return lua_tointeger(L, idx) < 0 ? "must not be negative" : NULL;
  }
  if (lua_type(L, idx) == LUA_TNUMBER && lua_tonumber(L, idx) == INFINITY) {
    return NULL;
  }
  return "must be an integer or math.huge";
}

static int put_total(lua_State *L) {
  Limiter *l = self(L);
  const char *problem = token_problem(L, 2);
  if (problem != NULL) return luaL_error(L, "total_tokens %s", problem);
  l->total = lua_tonumber(L, 2);
  admit(L, l);
  return 0;
}

static int limiter_tostring(lua_State *L) {
  const Limiter *l = self(L);
  get_total(L);
  lua_pushfstring(L, "<trio.CapacityLimiter %p %d of %s borrowed, %d waiting>",
                  (const void *)l, l->borrowed, luaL_tolstring(L, -1, NULL),
                  l->lot.count);
  return 1;
}

static const luaL_Reg limiter_methods[] = {
    {"acquire", l_acquire},
    {"acquire_nowait", l_acquire_nowait},
    {"acquire_on_behalf_of", l_acquire_on_behalf_of},
    {"acquire_on_behalf_of_nowait", l_acquire_on_behalf_of_nowait},
    {"release", l_release},
    {"release_on_behalf_of", l_release_on_behalf_of},
    {"with", l_with},
    {"statistics", l_statistics},
    {NULL, NULL}};
static const ClassField limiter_fields[] = {
    {"total_tokens", get_total, put_total},
    {"borrowed_tokens", get_borrowed, NULL},
    {"available_tokens", get_available, NULL},
    {NULL, NULL, NULL}};
static const luaL_Reg limiter_meta[] = {{"__tostring", limiter_tostring},
                                        {NULL, NULL}};
static const Class limiter_class = {"trio.CapacityLimiter", limiter_methods,
                                    limiter_fields, limiter_meta};

// trio.CapacityLimiter(total_tokens): a whole number >= 0, or math.huge.
static int l_limiter(lua_State *L) {
  luaL_checkany(L, 1);
  const char *problem = token_problem(L, 1);
  if (problem != NULL) return luaL_argerror(L, 1, problem);
  Limiter *l = class_new(L, &limiter_class, sizeof(Limiter), LIMITER_VALUES);
  lot_init(&l->lot);
  l->total = lua_tonumber(L, 1);
  lua_newtable(L);
  lua_setiuservalue(L, -2, LIMITER_BORROWERS);
  return 1;
}

void limiter_open(lua_State *L) {
  class_register(L, &limiter_class);
  lua_pushcfunction(L, l_limiter);
  lua_setfield(L, -2, "CapacityLimiter");
}
