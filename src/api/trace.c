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

// trio.lowlevel._wait_of(task) -> operation and place it waits in, or nil, nil;
// and why it is cancelled, or nil.
static int l_wait_of(lua_State *L) {
  TaskObject *object = class_check(L, 1, &task_class);
  const Task *t = &object->task;
  if (t->state == TASK_PARKED) {
    lua_pushstring(L, t->waits_in);
    explain_push_place(L, t->waiting);
  } else {
    lua_pushnil(L);
    lua_pushnil(L);
  }
  const CancelStatus *c = t->cancel;
  if (t->state == TASK_DONE || c == NULL || !c->effective) return 2;
  const CancelReason *r = c->reason;
  if (r == NULL) r = &cancel_reason_misnesting;
  lua_pushfstring(
      L, "cancelled due to %s%s%s%s%s", cancel_source_name(r->source),
      r->text == NULL ? "" : ": ", r->text == NULL ? "" : r->text,
      r->task == NULL ? "" : " from ", r->task == NULL ? "" : r->task);
  return 3;
}

void trace_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"_monotonic", l_monotonic}, {"_wait_of", l_wait_of}, {NULL, NULL}};
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
