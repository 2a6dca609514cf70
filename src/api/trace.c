// SPDX-License-Identifier: MIT
// trace.c: what lua/trio/preload/trace.lua needs to know of a task. Private.
#include "../bind/explain.h"
#include "../bind/spawn.h"
#include "../core/cancel.h"
#include "api.h"

// trio.lowlevel._monotonic() -> seconds of the system's monotonic clock.
static int l_monotonic(lua_State *L) {
  lua_pushnumber(L, clock_monotonic());
  return 1;
}

// Push why the task is cancelled, or nil.
static void push_reason(lua_State *L, const Task *t) {
  const CancelStatus *c = t->cancel;
  if (t->state == TASK_DONE || c == NULL || !c->effective) {
    lua_pushnil(L);
    return;
  }
  const CancelReason *r = c->reason;
  if (r == NULL) r = &cancel_reason_misnesting;
  lua_pushfstring(
      L, "cancelled due to %s%s%s%s%s", cancel_source_name(r->source),
      r->text == NULL ? "" : ": ", r->text == NULL ? "" : r->text,
      r->task == NULL ? "" : " from ", r->task == NULL ? "" : r->task);
}

// trio.lowlevel._wait_of(task) -> why it is cancelled; the operation, the place
// and the object (as texts) that it waits in. Each may be nil.
static int l_wait_of(lua_State *L) {
  TaskObject *object = class_check(L, 1, &task_class);
  const Task *t = &object->task;
  push_reason(L, t);
  if (t->state != TASK_PARKED) return 1;
  lua_pushstring(L, t->waits_in);
  explain_push_place(L, t->waiting);
  if (!explain_push_object(L, t->waiting)) return 3;
  luaL_tolstring(L, -1, NULL);
  lua_remove(L, -2);
  return 4;
}

void trace_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"_monotonic", l_monotonic}, {"_wait_of", l_wait_of}, {NULL, NULL}};
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
