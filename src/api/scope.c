// SPDX-License-Identifier: MIT
// scope.c: the CancelScope object (Trio: trio.CancelScope): construction,
// entering and leaving. Its properties are in scope_fields.c, the four timeout
// helpers in timeouts.c.
#include "scope.h"

#include <math.h>

#include "../bind/error.h"
#include "../bind/explain.h"
#include "../bind/group.h"
#include "../bind/spawn.h"
#include "../bind/with.h"
#include "scope_fields.h"

// User value 1 of a scope that the program made, if it was cancelled before it
// was entered: {text, task}, for the reason.
enum { EARLY_REASON = 1 };

static const char misnesting_advice[] =
    "scopes must be left in the order in which they were entered, by the task "
    "that entered them; this happens when a coroutine yields inside a scope "
    "or nursery";

static Scope *set_up(Scope *s, double deadline, bool relative, bool shield) {
  s->deadline = deadline;
  s->relative = relative;
  s->shield = shield;
  return s;
}

Scope *scope_push(lua_State *L, double deadline, bool relative, bool shield,
                  int meta) {
  Scope *s = meta == 0
                 ? class_new(L, &scope_class, sizeof(Scope), 0)
                 : class_new_with(L, &scope_class, sizeof(Scope), 0, meta);
  return set_up(s, deadline, relative, shield);
}

CancelStatus *scope_status(lua_State *L, const Scope *s) {
  if (s->status == NULL) return NULL;
  Runner *R = runner_maybe(L);
  return R != NULL && R->serial == s->serial ? s->status : NULL;
}

CancelReason *scope_reason(lua_State *L, CancelSource source,
                           const char *text) {
  Task *t = task_maybe(L);
  if (t == NULL || t->slot == 0) return cancel_reason_new(source, text, NULL);
  task_push_repr(L, t);
  CancelReason *r = cancel_reason_new(source, text, lua_tostring(L, -1));
  lua_pop(L, 1);
  return r;
}

// The reason that was given before the scope was entered.
static CancelReason *early_reason(lua_State *L, int idx) {
  if (lua_getiuservalue(L, idx, EARLY_REASON) != LUA_TTABLE) {
    lua_pop(L, 1);
    return cancel_reason_new(CANCEL_DEADLINE, NULL, NULL);
  }
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  CancelReason *r = cancel_reason_new(CANCEL_EXPLICIT, lua_tostring(L, -2),
                                      lua_tostring(L, -1));
  lua_pop(L, 3);
  return r;
}

void scope_enter(lua_State *L, Task *t, Scope *s, int idx) {
  if (s->entered) {
    luaL_error(L, "a CancelScope can be used only once");
  }
  double deadline = s->deadline;
  bool expired = false;
  if (deadline != INFINITY) {
    double now = sched_now(t->sched);
    if (s->relative) deadline += now;
    expired = now >= deadline;
  }
  CancelStatus *c = cancel_open(t->sched, t->cancel, deadline, s->shield);
  if (c == NULL) luaL_error(L, "not enough memory");
  c->scope = s;
  s->entered = true;
  s->relative = false;
  s->status = c;
  s->serial = runner_of_task(t)->serial;
  if (s->called) {
    CancelReason *r = early_reason(L, idx);
    cancel_request(c, r);
    cancel_reason_set(&r, NULL);
  } else if (expired) {
    cancel_request(c, cancel_reason_bare(CANCEL_DEADLINE));
  }
  cancel_attach(t, c);
}

// Replace the error on top, if there is one, by a report of misnesting.
static void push_misnesting(lua_State *L, Scope *s, Task *t, bool failed,
                            const char *relation) {
  if (failed) {
    explain_push_replaced(L);
    lua_remove(L, -2);
  } else {
    lua_pushliteral(L, "");
  }
  task_push_repr(L, t);
  lua_pushfstring(L,
                  "Cancel scope stack corrupted: attempted to exit "
                  "<trio.CancelScope %p> %s %s; %s%s",
                  (void *)s, relation, lua_tostring(L, -1), misnesting_advice,
                  lua_tostring(L, -2));
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static void retire(Scope *s) {
  CancelStatus *c = s->status;
  s->deadline = c->deadline;
  s->shield = c->shield;
  s->called = c->called;
  s->status = NULL;
  cancel_close(c);
}

ScopeExit scope_leave(lua_State *L, Scope *s, bool failed) {
  Task *t = task_require(L);
  CancelStatus *c = scope_status(L, s);
  if (c == NULL) {
    push_misnesting(L, s, t, failed, "which had already been exited, in");
    return SCOPE_FAILED;
  }
  if (t->cancel == c) {
    cancel_attach(t, c->parent);
  } else if (!c->abandoned) {
    if (!cancel_encloses(c, t->cancel)) {
      push_misnesting(L, s, t, failed, "from unrelated");
      return SCOPE_FAILED;
    }
    const Scope *child = t->cancel->scope;
    lua_pushfstring(L,
                    "that's still within its child <trio.CancelScope %p>, in",
                    (const void *)child);
    if (failed) lua_insert(L, -2);
    push_misnesting(L, s, t, failed, lua_tostring(L, failed ? -2 : -1));
    lua_remove(L, -2);
    failed = true;
    cancel_attach(t, c->parent);
  }
  bool caught = false;
  if (failed && ((c->effective && !cancel_parent_visible(c)) || c->abandoned)) {
    StripResult left = group_strip_cancelled(L, -1);
    caught = left == STRIP_ALL || (left == STRIP_SOME);
    if (left == STRIP_SOME) lua_remove(L, -2);
    if (left == STRIP_ALL) {
      lua_pop(L, 1);
      failed = false;
    }
  }
  if (caught) s->caught = true;
  retire(s);
  if (failed) return SCOPE_FAILED;
  return caught ? SCOPE_CAUGHT : SCOPE_PASSED;
}

// scope:run(body) -> the body's results, or nothing where its own
// cancellation was caught. No checkpoint itself; the body may suspend.
// Mirrors `with scope:`.
static int leave_run(lua_State *L, void *self, int status) {
  switch (scope_leave(L, self, status != LUA_OK)) {
    case SCOPE_PASSED:
      return lua_gettop(L) - WITH_BODY + 1;
    case SCOPE_CAUGHT:
      return 0;
    case SCOPE_FAILED:
      return with_rethrow(L);
  }
  UNREACHABLE();
}

static int l_run(lua_State *L) {
  static const WithOps ops = {.leave = leave_run};
  Scope *s = class_check(L, 1, &scope_class);
  arg_callable(L, 2);
  lua_settop(L, 2);
  scope_enter(L, task_require(L), s, 1);
  lua_pushvalue(L, 1);
  return with(L, &ops);
}

// scope:cancel([reason]): request cancellation; idempotent, any time. No
// checkpoint. Mirrors CancelScope.cancel.
static int l_cancel(lua_State *L) {
  Scope *s = class_check(L, 1, &scope_class);
  const char *text = luaL_optstring(L, 2, NULL);
  CancelStatus *c = scope_status(L, s);
  if (c != NULL) {
    if (c->called) return 0;
    CancelReason *r = scope_reason(L, CANCEL_EXPLICIT, text);
    cancel_request(c, r);
    cancel_reason_set(&r, NULL);
    return 0;
  }
  if (!s->called && !s->entered) {
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, 1);
    Task *t = task_maybe(L);
    if (t != NULL) {
      task_push_repr(L, t);
      lua_rawseti(L, -2, 2);
    }
    lua_setiuservalue(L, 1, EARLY_REASON);
  }
  s->called = true;
  return 0;
}

static const luaL_Reg scope_methods[] = {
    {"run", l_run}, {"cancel", l_cancel}, {NULL, NULL}};
static const luaL_Reg scope_meta[] = {{"__tostring", scope_tostring},
                                      {NULL, NULL}};
const Class scope_class = {"trio.CancelScope", scope_methods, scope_fields,
                           scope_meta};

// trio.CancelScope([opts]) -> a scope for one use. Options deadline,
// relative_deadline (seconds), shield. Usable outside of runs.
static int l_new(lua_State *L) {
  static const char *const known[] = {"deadline", "relative_deadline", "shield",
                                      NULL};
  opts_check(L, 1, known);
  double deadline = opts_number(L, 1, "deadline", INFINITY);
  double relative = opts_number(L, 1, "relative_deadline", INFINITY);
  bool shield = opts_boolean(L, 1, "shield", false);
  if (relative < 0) {
    return luaL_argerror(L, 1, "relative_deadline must not be negative");
  }
  if (deadline != INFINITY && relative != INFINITY) {
    return luaL_argerror(L, 1,
                         "deadline and relative_deadline can't both be given");
  }
  bool is_relative = relative != INFINITY;
  set_up(class_new(L, &scope_class, sizeof(Scope), EARLY_REASON),
         is_relative ? relative : deadline, is_relative, shield);
  return 1;
}

void scope_open(lua_State *L) {
  class_register(L, &scope_class);
  lua_pushcfunction(L, l_new);
  lua_setfield(L, -2, "CancelScope");
}
