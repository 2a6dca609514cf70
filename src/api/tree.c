// SPDX-License-Identifier: MIT
// tree.c: trio.lowlevel.task_tree, the printable tree of tasks, the scopes and
// nurseries that each of them is in, and where it waits.
//
// A task's open scopes are a chain of cancel statuses, from the one of the
// nursery it belongs to down to its innermost; the statuses of its own
// nurseries stand in that chain too. The walk goes by links alone, so neither
// the number of tasks nor the depth matters. Nothing here changes anything.
#include <math.h>

#include "../bind/explain.h"
#include "../bind/spawn.h"
#include "../core/cancel.h"
#include "api.h"
#include "nursery.h"

typedef struct Walk {
  luaL_Buffer text;
  int depth;  // of the next line
} Walk;

// Add the string on top as an indented line, one level further in. [-1]
static void add_line(lua_State *L, Walk *w) {
  static const char blanks[] = "                                ";
  int most = COUNT_OF(blanks) - 1;
  int width = w->depth * 2 < most ? w->depth * 2 : most;
  lua_pushfstring(L, "%s%s\n", blanks + (most - width), lua_tostring(L, -1));
  lua_remove(L, -2);
  luaL_addvalue(&w->text);
  w->depth++;
}

static void add_task(lua_State *L, Walk *w, Task *t) {
  task_push_name(L, t);
  explain_push_wait(L, t);
  lua_pushfstring(L, "task %s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
  lua_replace(L, -3);
  lua_pop(L, 1);
  add_line(L, w);
}

static void add_status(lua_State *L, Walk *w, const CancelStatus *c,
                       const Nursery *n) {
  char deadline[64] = "";
  if (c->deadline != INFINITY && !c->effective) {
    snprintf(deadline, sizeof deadline, ", deadline in %.2f s",
             c->deadline - sched_now(c->sched));
  }
  lua_pushfstring(L, "%s %p%s%s%s", n != NULL ? "nursery" : "scope",
                  n != NULL ? (const void *)n : c->scope, deadline,
                  c->shield ? ", shielded" : "",
                  c->effective ? ", cancelled" : "");
  add_line(L, w);
}

// The task's status just below `outer`, or NULL: that was the innermost.
static CancelStatus *status_below(const Task *t, const CancelStatus *outer) {
  CancelStatus *c = t->cancel;
  if (c == outer) return NULL;
  while (c != NULL && c->parent != outer) c = c->parent;
  return c;
}

static int count_statuses(const Task *t) {
  int count = 0;
  for (const CancelStatus *c = t->cancel; c != t->base; c = c->parent) {
    if (c == NULL) return 0;
    count++;
  }
  return count;
}

static Nursery *nursery_of(Task *t, const CancelStatus *c) {
  for (Link *l = list_first(&t->nurseries); l != NULL;
       l = list_next(&t->nurseries, l)) {
    Nursery *n = CONTAINER_OF(l, Nursery, open_link);
    if (n->status == c) return n;
  }
  return NULL;
}

// Add what the task is in, from below the status `c` on, up to the first
// nursery with children. Returns the first of these, or NULL at the end.
static Task *add_statuses(lua_State *L, Walk *w, Task *t,
                          const CancelStatus *c) {
  while ((c = status_below(t, c)) != NULL) {
    Nursery *n = nursery_of(t, c);
    add_status(L, w, c, n);
    if (n == NULL) continue;
    Link *child = list_first(&n->children);
    if (child != NULL) return CONTAINER_OF(child, Task, child_link);
  }
  return NULL;
}

// All of t is there. Returns the next task, or NULL after everything.
static Task *next_task(lua_State *L, Walk *w, Task *t, const Task *top) {
  while (t != top) {
    w->depth -= count_statuses(t) + 1;
    Nursery *n = t->parent;
    Link *sibling = list_next(&n->children, &t->child_link);
    if (sibling != NULL) return CONTAINER_OF(sibling, Task, child_link);
    t = n->parent;
    Task *child = add_statuses(L, w, t, n->status);
    if (child != NULL) return child;
  }
  return NULL;
}

static Task *check_task(lua_State *L) {
  const Runner *R = runner_require(L);
  if (lua_isnoneornil(L, 1)) return R->root;
  TaskObject *object = class_check(L, 1, &task_class);
  Task *t = &object->task;
  if (t->slot == 0 || t->state == TASK_DONE) {
    luaL_argerror(L, 1, "the task has ended");
  }
  return t;
}

// trio.lowlevel.task_tree([task]) -> a printable tree of the tasks below the
// given one (default: the whole run), with their scopes and nurseries and
// where each waits. Raises outside of a run.
static int l_task_tree(lua_State *L) {
  Task *top = check_task(L);
  lua_settop(L, 1);
  Walk w = {.depth = 0};
  luaL_buffinit(L, &w.text);
  for (Task *t = top; t != NULL;) {
    add_task(L, &w, t);
    Task *child = add_statuses(L, &w, t, t->base);
    t = child != NULL ? child : next_task(L, &w, t, top);
  }
  luaL_pushresult(&w.text);
  return 1;
}

// trio.lowlevel._scopes_of(task) -> its open scopes, from the innermost on:
// {serial, what, is cancelled, serial, ...}. For traces.
static int l_scopes_of(lua_State *L) {
  TaskObject *object = class_check(L, 1, &task_class);
  Task *t = &object->task;
  lua_newtable(L);
  if (t->state == TASK_DONE) return 1;
  int count = 0;
  for (const CancelStatus *c = t->cancel; c != NULL && c != t->base;
       c = c->parent) {
    lua_pushinteger(L, (lua_Integer)c->serial);
    lua_rawseti(L, 2, ++count);
    lua_pushstring(L, nursery_of(t, c) != NULL ? "nursery" : "scope");
    lua_rawseti(L, 2, ++count);
    lua_pushboolean(L, c->called);
    lua_rawseti(L, 2, ++count);
  }
  return 1;
}

void tree_open(lua_State *L) {
  lua_getfield(L, -1, "lowlevel");
  lua_pushcfunction(L, l_scopes_of);
  lua_setfield(L, -2, "_scopes_of");
  lua_pushcfunction(L, l_task_tree);
  lua_setfield(L, -2, "task_tree");
  lua_pop(L, 1);
}
