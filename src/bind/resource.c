// SPDX-License-Identifier: MIT
// resource.c: see resource.h.
#include "resource.h"

#include <lauxlib.h>
#include <stdio.h>

#include "naming.h"
#include "runner.h"

void resource_open(lua_State *L, Resource *r, const char *kind,
                   void (*close)(lua_State *L, Resource *r)) {
  r->kind = kind;
  r->close = close;
  list_push(&state_of(L)->resources, &r->link);
}

bool resource_line(lua_State *co, Resource *r, int level) {
  lua_Debug ar;
  if (!naming_find_line(co, level, &ar)) return false;
  snprintf(r->where, sizeof r->where, "%s:%d: ", ar.short_src, ar.currentline);
  return true;
}

void resource_origin(lua_State *L, Resource *r, int level) {
  if (resource_line(L, r, level)) return;
  // A task that the program didn't write: nursery:start(trio.run_process, ...)
  // The lines are those of the tasks that wait for it.
  Task *t = task_maybe(L);
  while (t != NULL && (t = runner_of_task(t)->parent_of(t)) != NULL) {
    if (t->state == TASK_PARKED && resource_line(t->waiting, r, 0)) return;
  }
}

void resource_done(Resource *r) {
  if (link_is_linked(&r->link)) list_remove(&r->link);
}

void resource_collected(lua_State *L, Resource *r) {
  if (!link_is_linked(&r->link)) return;
  char text[sizeof r->where + 80];
  snprintf(text, sizeof text, "%s%s was never closed", r->where, r->kind);
  list_remove(&r->link);
  r->close(L, r);
  lua_warning(L, text, 0);
  Runner *R = runner_running;
  if (R != NULL && R->on_leak != NULL) R->on_leak(L, text);
}

void resource_close_all(lua_State *L) {
  List *open = &state_of(L)->resources;
  Link *link;
  while ((link = list_first(open)) != NULL) {
    resource_collected(L, CONTAINER_OF(link, Resource, link));
  }
  Poll *poll = state_of(L)->poll;
  if (!poll_is_borrowed(poll)) poll_wait(poll, 0);  // lets closed handles go
}
