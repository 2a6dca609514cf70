// SPDX-License-Identifier: MIT
// nursery.c: open_nursery, the Nursery object and the end of its children
// (Trio: trio.open_nursery, trio.Nursery). How it is left is in leave.c.
#include "nursery.h"

#include "../bind/await.h"
#include "../bind/group.h"
#include "../bind/spawn.h"
#include "../bind/with.h"
#include "api.h"

void nursery_check_open(lua_State *L, const Nursery *n) {
  if (n->closed || runner_maybe(L) != n->runner ||
      n->runner->serial != n->serial) {
    luaL_error(L, "Nursery is closed to new arrivals");
  }
}

void nursery_check_closed(Nursery *n) {
  if (n->body_running || n->child_count > 0 || n->pending_starts > 0) return;
  n->closed = true;
  if (!n->parent_waiting) return;
  n->parent_waiting = false;
  task_wake(n->parent, WAKE_OK);
}

void nursery_forget(Nursery *n) {
  spawn_drop(n->runner, &n->slot);
  spawn_drop(n->runner, &n->kept);
}

static void forget_if_empty(Nursery *n) {
  if (n->child_count > 0 || n->pending_starts > 0) return;
  nursery_forget(n);
}

bool nursery_keep(lua_State *L, Task *t) {
  Nursery *n = t->parent;
  if (n == NULL || n->abandoned || t == n->runner->main) return false;
  if (n->kept == 0) {
    lua_newtable(L);
    n->kept = spawn_hold(L, n->runner, -1);
  } else {
    spawn_push_held(L, n->kept);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, n->failed_count + 1);
  lua_pop(L, 1);
  return true;
}

void nursery_end_start(Nursery *n) {
  n->pending_starts--;
  if (n->abandoned) {
    forget_if_empty(n);
  } else {
    nursery_check_closed(n);
  }
}

void nursery_child_exit(Task *t) {
  Nursery *n = t->parent;
  list_remove(&t->child_link);
  n->child_count--;
  if (n->abandoned) {
    forget_if_empty(n);
    return;
  }
  if (t->failed && t != n->runner->main) {
    n->failed_count++;
    if (!t->kept) {
      list_push(&n->failed, &t->child_link);
      t->pinned = true;
    }
    CancelReason *r = n->runner->failure;
    cancel_request(n->status,
                   r != NULL ? r : cancel_reason_bare(CANCEL_NURSERY));
  }
  nursery_check_closed(n);
}

// The parent ended with the nursery still open in some coroutine.
static void abandon(Nursery *n) {
  n->closed = n->abandoned = true;
  cancel_request(n->status, cancel_reason_bare(CANCEL_NURSERY));
  if (n->target != NULL) nursery_end_start(n->target);
  forget_if_empty(n);
}

void nursery_abandon_all(Task *t) {
  Link *link;
  while ((link = list_shift(&t->nurseries)) != NULL) {
    abandon(CONTAINER_OF(link, Nursery, open_link));
  }
}

Task *nursery_parent_of(const Task *t) {
  return t->parent == NULL ? NULL : t->parent->parent;
}

Nursery *nursery_push(lua_State *L, Task *t, bool strict) {
  Nursery *n = class_new(L, &nursery_class, sizeof(Nursery), NURSERY_VALUES);
  int at = lua_gettop(L);
  n->runner = runner_of_task(t);
  n->serial = n->runner->serial;
  n->parent = t;
  n->strict = strict;
  list_init(&n->children);
  list_init(&n->failed);
  n->scope = scope_push(L, INFINITY, false, false, 0);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, at, NURSERY_SCOPE);
  task_push(L, t);
  lua_setiuservalue(L, at, NURSERY_PARENT);
  n->slot = spawn_hold(L, n->runner, at);
  scope_enter(L, t, n->scope, at + 1);
  lua_settop(L, at);
  n->status = n->scope->status;
  n->body_running = true;
  list_push(&t->nurseries, &n->open_link);
  return n;
}

Task *nursery_spawn(lua_State *L, Nursery *n, int count, int name,
                    bool system) {
  Runner *R = n->runner;
  Task *t = spawn_new(L, R, count, name, system);
  if (n->closed) {  // by a finalizer that ran meanwhile
    spawn_undo(t);
    nursery_check_open(L, n);
  }
  t->parent = n;
  t->parent_slot = n->slot;
  t->base = n->status;
  t->on_exit = nursery_child_exit;
  list_push(&n->children, &t->child_link);
  n->child_count++;
  cancel_attach(t, n->status);
  if (R->on_spawn != NULL) R->on_spawn(R, t);
  task_ready(t);
  return t;
}

int nursery_function(lua_State *L, int idx, const char *const *known) {
  if (lua_isfunction(L, idx)) return idx;
  if (opts_is(L, idx)) {
    opts_check(L, idx, known);
    idx++;
  }
  arg_callable(L, idx);
  return idx;
}

// nursery:start_soon([opts,] fn, ...): run fn(...) as a new task, from the
// next batch on. Option `name`. Raises when the nursery is closed. No
// checkpoint. Mirrors Nursery.start_soon.
static int l_start_soon(lua_State *L) {
  static const char *const known[] = {"name", NULL};
  Nursery *n = class_check(L, 1, &nursery_class);
  int function = nursery_function(L, 2, known);
  int name = 0, top = lua_gettop(L);
  if (function == 3) {
    if (lua_getfield(L, 2, "name") != LUA_TNIL) {
      if (!lua_isfunction(L, -1)) luaL_tolstring(L, -1, NULL);
      lua_replace(L, 2);
      name = 2;
    }
    lua_settop(L, top);
  }
  nursery_check_open(L, n);  // last: the name's __tostring may have closed it
  nursery_spawn(L, n, top - function, name, false);
  return 0;
}

static Nursery *self(lua_State *L) { return class_check(L, 1, &nursery_class); }

static int get_cancel_scope(lua_State *L) {
  self(L);
  lua_getiuservalue(L, 1, NURSERY_SCOPE);
  return 1;
}

static int get_parent_task(lua_State *L) {
  self(L);
  lua_getiuservalue(L, 1, NURSERY_PARENT);
  return 1;
}

static int get_child_tasks(lua_State *L) {
  const Nursery *n = self(L);
  lua_createtable(L, n->child_count, 0);
  Runner *R = runner_maybe(L);
  if (R != n->runner || R->serial != n->serial) return 1;
  lua_Integer i = 0;
  for (Link *l = list_first(&n->children); l != NULL;
       l = list_next(&n->children, l)) {
    task_push(L, CONTAINER_OF(l, Task, child_link));
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

static int nursery_tostring(lua_State *L) {
  const Nursery *n = self(L);
  lua_pushfstring(L, "<trio.Nursery %p %s, %d child%s>", (const void *)n,
                  n->closed ? "closed" : "open", n->child_count,
                  n->child_count == 1 ? "" : "ren");
  return 1;
}

static const ClassField nursery_fields[] = {
    {"cancel_scope", get_cancel_scope, NULL},
    {"parent_task", get_parent_task, NULL},
    {"child_tasks", get_child_tasks, NULL},
    {NULL, NULL, NULL}};

static const luaL_Reg nursery_meta[] = {{"__tostring", nursery_tostring},
                                        {NULL, NULL}};

static const luaL_Reg nursery_methods[] = {
    {"start_soon", l_start_soon}, {"start", nursery_start}, {NULL, NULL}};

const Class nursery_class = {"trio.Nursery", nursery_methods, nursery_fields,
                             nursery_meta};

// trio.open_nursery([opts,] body) -> the body's results. Waits for all
// children. Option strict_exception_groups. Errors come out as an
// ExceptionGroup. Leaving is a schedule point, never a cancel point. Mirrors
// trio.open_nursery.
static int l_open_nursery(lua_State *L) {
  static const char *const known[] = {"strict_exception_groups", NULL};
  static const WithOps ops = {.leave = nursery_leave,
                              .closed = nursery_body_closed};
  int body = nursery_function(L, 1, known);
  Task *t = await_check(L, "trio.open_nursery");
  bool strict = runner_of_task(t)->strict_groups;
  if (body == 2) strict = group_strict_option(L, 1, strict);
  lua_settop(L, body);
  nursery_push(L, t, strict);
  lua_insert(L, 1);
  if (body == 2) lua_remove(L, 2);
  lua_pushvalue(L, 1);
  return with(L, &ops);
}

void nursery_open(lua_State *L) {
  class_register(L, &nursery_class);
  lua_pushcfunction(L, l_open_nursery);
  lua_setfield(L, -2, "open_nursery");
}
