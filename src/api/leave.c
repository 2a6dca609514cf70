// SPDX-License-Identifier: MIT
// leave.c: leaving a nursery: wait for everybody, collect the errors, close
// the scope. The wait can't be cancelled: a cancellation reaches the children
// through the tree, and what they make of it decides (Trio since 0.23).
#include "../bind/await.h"
#include "../bind/error.h"
#include "../bind/explain.h"
#include "../bind/group.h"
#include "../bind/spawn.h"
#include "../bind/with.h"
#include "nursery.h"

static void drop_failed(Nursery *n) {
  Link *link;
  while ((link = list_shift(&n->failed)) != NULL) {
    spawn_release(CONTAINER_OF(link, Task, child_link));
  }
}

// What came for the parent itself while it waited for the children.
static void push_interrupt(lua_State *L, Nursery *n) {
  if (n->interrupt_code == WAKE_DEADLOCK) {
    explain_push_deadlock(L);
  } else {
    error_push(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
  }
}

// The stack of `collect`.
enum { NURSERY = 1, BODY_ERROR, ERRORS, TRACEBACKS, KEPT };

// Push the error of the child at that place among the failures, and its
// traceback. Is it surely a Cancelled?
static bool push_failed(lua_State *L, Nursery *n, int place) {
  if (n->kept != 0 && lua_rawgeti(L, KEPT, place) != LUA_TNIL) {
    lua_pushnil(L);
    return true;
  }
  lua_settop(L, KEPT);
  Task *t = CONTAINER_OF(list_shift(&n->failed), Task, child_link);
  lua_xmove(t->co, L, 1);
  with_push_traceback(L, t, -1);
  spawn_release(t);
  return false;
}

// Under a protected call: (nursery, body error or nil, exceptions, tracebacks)
// -> number of errors. Bare Cancelled that the scope is about to catch are
// left out; whether there was one is noted in scope->caught.
static int collect(lua_State *L) {
  Nursery *n = lua_touserdata(L, NURSERY);
  bool catching = n->status->effective && !cancel_parent_visible(n->status);
  int count = 0,
      total = n->failed_count + (n->body_failed != 0) + (n->interrupted != 0);
  int body_at = n->body_failed, interrupt_at = n->interrupted;
  luaL_checkstack(L, 8, NULL);
  spawn_push_held(L, n->kept);
  for (int children = 0, i = 0; i < total; i++) {
    bool cancelled = false;
    if (body_at != 0 && body_at <= children + 1) {
      body_at = 0;
      lua_pushvalue(L, BODY_ERROR);
      with_push_traceback(L, n->parent, -1);
    } else if (interrupt_at != 0 && interrupt_at <= children + 1) {
      interrupt_at = 0;
      push_interrupt(L, n);
      lua_pushnil(L);
    } else {
      cancelled = push_failed(L, n, ++children);
    }
    if (catching && (cancelled || error_is(L, -2, ERROR_CANCELLED))) {
      n->scope->caught = true;
      lua_pop(L, 2);
    } else {
      lua_rawseti(L, TRACEBACKS, ++count);
      lua_rawseti(L, ERRORS, count);
    }
  }
  lua_pushinteger(L, count);
  return 1;
}

// Replace the body's error on top, if it failed, by what the nursery raises.
// Returns whether there is something to raise; it stands on top then.
static bool combine(lua_State *L, Nursery *n) {
  if (n->body_failed == 0) {
    if (n->failed_count == 0 && n->interrupted == 0) return false;
    lua_pushnil(L);
  }
  int body = lua_gettop(L);
  lua_pushcfunction(L, collect);
  lua_pushlightuserdata(L, n);
  lua_pushvalue(L, body);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushvalue(L, -2);
  lua_insert(L, body + 1);
  lua_pushvalue(L, -1);
  lua_insert(L, body + 2);
  if (lua_pcall(L, 4, 1, 0) != LUA_OK) {
    lua_replace(L, body);
    lua_settop(L, body);
    return true;
  }
  int count = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (count == 0) {
    lua_settop(L, body - 1);
    return false;
  }
  if (count == 1 && !n->strict) {
    lua_rawgeti(L, body + 1, 1);
  } else {
    group_push(L, "Exceptions from Trio nursery", body + 1, body + 2, count,
               !n->strict);
  }
  lua_replace(L, body);
  lua_settop(L, body);
  return true;
}

// Everybody has ended: collect the errors, close the scope, go on.
static int finish(lua_State *L, Nursery *n) {
  bool failed = combine(L, n);
  drop_failed(n);
  if (link_is_linked(&n->open_link)) list_remove(&n->open_link);
  nursery_forget(n);
  ScopeExit exit = scope_leave(L, n->scope, failed);
  if (n->target != NULL) return start_finish(L, n, exit == SCOPE_FAILED);
  if (exit == SCOPE_FAILED) return with_rethrow(L);
  if (n->body_failed != 0) return 0;
  return lua_gettop(L) - WITH_BODY + 1;
}

static int woken(lua_State *L, Task *t, void *self, int code) {
  UNUSED(t);
  UNUSED(code);
  return finish(L, self);
}

static void start_waiting(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  UNUSED(t);
  ((Nursery *)self)->parent_waiting = true;
}

// Under a protected call: (task) -> its text.
static int push_repr(lua_State *L) {
  task_push_repr(L, lua_touserdata(L, 1));
  return 1;
}

// Why the children end when Ctrl+C or a deadlock report came for the parent.
static CancelReason *interrupt_reason(Task *parent, int code) {
  lua_State *L = runner_of_task(parent)->L;
  lua_pushcfunction(L, push_repr);
  lua_pushlightuserdata(L, parent);
  bool named = lua_pcall(L, 1, 1, 0) == LUA_OK;
  bool is_deadlock = code == WAKE_DEADLOCK;
  CancelReason *r = cancel_reason_new(
      is_deadlock ? CANCEL_NURSERY : CANCEL_KEYBOARD_INTERRUPT,
      is_deadlock ? "every task is blocked" : NULL,
      named ? lua_tostring(L, -1) : NULL);
  lua_pop(L, 1);
  return r;
}

// A cancellation changes nothing here; Ctrl+C and a deadlock report are kept
// for the group and end the children. Runs Lua's allocator, protected, like
// the abort of wait_task_rescheduled.
static AbortResult keep_interrupt(Task *t, void *self, int code) {
  Nursery *n = self;
  Runner *R = runner_of_task(t);
  if (code == WAKE_DISCARDED) {
    // The frame that waits is lost; after a crash nobody runs any more.
    if (!R->crashed) cancel_request(n->status, &cancel_reason_misnesting);
    return ABORT_PENDING;
  }
  if (code == WAKE_CANCELLED || n->interrupted != 0) return ABORT_PENDING;
  n->interrupted = 1 + n->failed_count;
  n->interrupt_code = code;
  if (code == WAKE_INTERRUPTED) R->interrupted = false;
  CancelReason *r = interrupt_reason(t, code);
  cancel_request(n->status, r);
  cancel_reason_set(&r, NULL);
  return ABORT_PENDING;
}

static int after_turn(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  UNUSED(context);
  return finish(L, lua_touserdata(L, WITH_SELF));
}

static void note_body_failure(lua_State *L, Nursery *n) {
  n->body_failed = 1 + n->failed_count;
  if (n->status->called) return;
  explain_push_brief(L, -1);
  lua_pushfstring(L, "the nursery's body raised %s", lua_tostring(L, -1));
  CancelReason *r = scope_reason(L, CANCEL_NURSERY, lua_tostring(L, -1));
  cancel_request(n->status, r);
  cancel_reason_set(&r, NULL);
  lua_pop(L, 2);
}

void nursery_body_closed(void *self) {
  cancel_request(((Nursery *)self)->status, cancel_reason_bare(CANCEL_NURSERY));
}

int nursery_leave(lua_State *L, void *self, int status) {
  static const Op op = {.name = "the end of trio.open_nursery",
                        .start = start_waiting,
                        .abort = keep_interrupt,
                        .finish = woken};
  Nursery *n = self;
  if (status != LUA_OK) note_body_failure(L, n);
  n->body_running = false;
  nursery_check_closed(n);
  Task *t = await_check(L, "leaving a nursery");
  if (t != n->parent) {
    return luaL_error(L,
                      "Nursery stack corrupted: a nursery must be left by the "
                      "task that opened it");
  }
  if (!n->closed) return await(L, &op, n);
  return await_turn_then(L, t, 0, after_turn);
}
