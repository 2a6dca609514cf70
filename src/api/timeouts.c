// SPDX-License-Identifier: MIT
// timeouts.c: move_on_after, move_on_at, fail_after, fail_at: a fresh
// CancelScope around a body.
#include <math.h>

#include "../bind/error.h"
#include "../bind/with.h"
#include "api.h"
#include "scope.h"

static int leave_move_on(lua_State *L, void *self, int status) {
  ScopeExit exit = scope_leave(L, self, status != LUA_OK);
  if (exit == SCOPE_FAILED) return with_rethrow(L);
  if (exit == SCOPE_CAUGHT) lua_settop(L, WITH_HANDLER);
  lua_copy(L, WITH_SELF, WITH_HANDLER);  // right before the results
  return lua_gettop(L) - 1;
}

static int leave_fail(lua_State *L, void *self, int status) {
  switch (scope_leave(L, self, status != LUA_OK)) {
    case SCOPE_PASSED:
      return lua_gettop(L) - WITH_BODY + 1;
    case SCOPE_CAUGHT:
      return error_raise(L, ERROR_TOO_SLOW, "the time limit has passed");
    case SCOPE_FAILED:
      return with_rethrow(L);
  }
  UNREACHABLE();
}

// The shape of all four: (time, [opts,] body).
static int timeout(lua_State *L, bool relative, const WithOps *ops) {
  static const char *const known[] = {"shield", NULL};
  double when = arg_number(L, 1);
  if (relative && when < 0) {
    return luaL_argerror(L, 1, "seconds must not be negative");
  }
  bool shield = false;
  int body = 2;
  if (opts_is(L, 2)) {
    opts_check(L, 2, known);
    shield = opts_boolean(L, 2, "shield", false);
    body = 3;
  }
  arg_callable(L, body);
  lua_settop(L, body);
  Task *t = task_require(L);
  Scope *s = scope_push(L, when, relative && when != INFINITY, shield,
                        lua_upvalueindex(1));
  scope_enter(L, t, s, body + 1);
  lua_copy(L, -1, 1);
  if (body == 3) lua_remove(L, 2);
  return with(L, ops);
}

static const WithOps move_on = {.leave = leave_move_on};
static const WithOps fail = {.leave = leave_fail};

// trio.move_on_after(seconds, [opts,] body) -> scope, the body's results.
// Raises for a negative or NaN time. No checkpoint itself.
static int l_move_on_after(lua_State *L) { return timeout(L, true, &move_on); }

// trio.move_on_at(deadline, [opts,] body) -> scope, the body's results.
static int l_move_on_at(lua_State *L) { return timeout(L, false, &move_on); }

// trio.fail_after(seconds, [opts,] body) -> the body's results. Raises
// TooSlowError where the scope's own cancellation was caught.
static int l_fail_after(lua_State *L) { return timeout(L, true, &fail); }

// trio.fail_at(deadline, [opts,] body) -> the body's results, as fail_after.
static int l_fail_at(lua_State *L) { return timeout(L, false, &fail); }

void timeouts_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"move_on_after", l_move_on_after},
                                       {"move_on_at", l_move_on_at},
                                       {"fail_after", l_fail_after},
                                       {"fail_at", l_fail_at},
                                       {NULL, NULL}};
  class_push_meta(L, &scope_class);
  luaL_setfuncs(L, functions, 1);
}
