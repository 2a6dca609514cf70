// SPDX-License-Identifier: MIT
// scope_fields.c: the properties of CancelScope. Each getter is called with
// (scope), each setter with (scope, value).
#include "scope_fields.h"

#include <math.h>

#include "scope.h"

static Scope *self(lua_State *L) { return class_check(L, 1, &scope_class); }

static double deadline_of(lua_State *L, const Scope *s) {
  const CancelStatus *c = scope_status(L, s);
  return c == NULL ? s->deadline : c->deadline;
}

static void set_deadline(lua_State *L, Scope *s, double deadline) {
  CancelStatus *c = scope_status(L, s);
  if (c != NULL) {
    cancel_set_deadline(c, deadline);
  } else {
    s->deadline = deadline;
  }
}

static double number_value(lua_State *L, const char *name) {
  if (lua_type(L, 2) != LUA_TNUMBER) {
    luaL_error(L, "%s must be a number, got %s", name, luaL_typename(L, 2));
  }
  double value = lua_tonumber(L, 2);
  if (isnan(value)) luaL_error(L, "%s must not be NaN", name);
  return value;
}

static void refuse_unentered_relative(lua_State *L, const Scope *s) {
  if (s->relative) {
    luaL_error(L,
               "a relative scope has no absolute deadline before it is "
               "entered");
  }
}

static int get_deadline(lua_State *L) {
  const Scope *s = self(L);
  refuse_unentered_relative(L, s);
  lua_pushnumber(L, deadline_of(L, s));
  return 1;
}

static int put_deadline(lua_State *L) {
  Scope *s = self(L);
  double value = number_value(L, "deadline");
  refuse_unentered_relative(L, s);
  set_deadline(L, s, value);
  return 0;
}

static void refuse_unentered_absolute(lua_State *L, const Scope *s) {
  if (!s->relative && s->deadline != INFINITY) {
    luaL_error(L,
               "a scope with an absolute deadline has no relative deadline "
               "before it is entered");
  }
}

static int get_relative_deadline(lua_State *L) {
  const Scope *s = self(L);
  if (s->entered) {
    double now = sched_now(&runner_require(L)->sched);
    lua_pushnumber(L, deadline_of(L, s) - now);
    return 1;
  }
  refuse_unentered_absolute(L, s);
  lua_pushnumber(L, s->deadline);
  return 1;
}

static int put_relative_deadline(lua_State *L) {
  Scope *s = self(L);
  double value = number_value(L, "relative_deadline");
  if (value < 0) {
    return luaL_error(L, "relative_deadline must not be negative");
  }
  if (s->entered) {
    set_deadline(L, s, value + sched_now(&runner_require(L)->sched));
    return 0;
  }
  refuse_unentered_absolute(L, s);
  s->deadline = value;
  s->relative = value != INFINITY;
  return 0;
}

static int get_is_relative(lua_State *L) {
  const Scope *s = self(L);
  if (s->entered) return lua_pushnil(L), 1;
  lua_pushboolean(L, s->relative);
  return 1;
}

static int get_shield(lua_State *L) {
  const Scope *s = self(L);
  const CancelStatus *c = scope_status(L, s);
  lua_pushboolean(L, c == NULL ? s->shield : c->shield);
  return 1;
}

static int put_shield(lua_State *L) {
  Scope *s = self(L);
  if (!lua_isboolean(L, 2)) {
    return luaL_error(L, "shield must be a boolean, got %s",
                      luaL_typename(L, 2));
  }
  bool shield = lua_toboolean(L, 2);
  CancelStatus *c = scope_status(L, s);
  if (c != NULL) {
    cancel_set_shield(c, shield);
  } else {
    s->shield = shield;
  }
  return 0;
}

// Looking at it also looks at the clock, so it may cancel (as in Trio).
static int get_cancel_called(lua_State *L) {
  Scope *s = self(L);
  CancelStatus *c = scope_status(L, s);
  if (c != NULL) {
    if (!c->called && sched_now(c->sched) >= c->deadline) {
      cancel_request(c, cancel_reason_bare(CANCEL_DEADLINE));
    }
    lua_pushboolean(L, c->called);
    return 1;
  }
  Runner *R = runner_maybe(L);
  if (!s->entered && !s->called && !s->relative && R != NULL &&
      sched_now(&R->sched) >= s->deadline) {
    s->called = true;
  }
  lua_pushboolean(L, s->called);
  return 1;
}

static int get_cancelled_caught(lua_State *L) {
  lua_pushboolean(L, self(L)->caught);
  return 1;
}

const ClassField scope_fields[] = {
    {"deadline", get_deadline, put_deadline},
    {"relative_deadline", get_relative_deadline, put_relative_deadline},
    {"is_relative", get_is_relative, NULL},
    {"shield", get_shield, put_shield},
    {"cancel_called", get_cancel_called, NULL},
    {"cancelled_caught", get_cancelled_caught, NULL},
    {NULL, NULL, NULL}};

int scope_tostring(lua_State *L) {
  const Scope *s = self(L);
  const CancelStatus *c = scope_status(L, s);
  const char *binding =
      c != NULL ? "active" : (s->entered ? "exited" : "unbound");
  lua_pushfstring(L, "<trio.CancelScope %p, %s", (const void *)s, binding);
  bool called = c != NULL ? c->called : s->called;
  double deadline = deadline_of(L, s);
  Runner *R = runner_maybe(L);
  if (called) {
    lua_pushliteral(L, ", cancelled>");
  } else if (deadline == INFINITY || R == NULL || s->relative) {
    lua_pushliteral(L, ">");
  } else {
    double left = deadline - sched_now(&R->sched);
    char text[64];
    snprintf(text, sizeof text, ", deadline is %.2f seconds %s>", fabs(left),
             left >= 0 ? "from now" : "ago");
    lua_pushstring(L, text);
  }
  lua_concat(L, 2);
  return 1;
}
