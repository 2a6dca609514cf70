// SPDX-License-Identifier: MIT
// task.c: the Task object as programs see it (Trio: lowlevel.Task,
// current_task).
#include "../bind/coro.h"
#include "../bind/naming.h"
#include "../bind/spawn.h"
#include "api.h"
#include "nursery.h"

static Task *self(lua_State *L) {
  TaskObject *object = class_check(L, 1, &task_class);
  return &object->task;
}

static bool is_live(lua_State *L, const Task *t) {
  return t->slot != 0 && t->state != TASK_DONE && runner_maybe(L) != NULL;
}

void nursery_push_object(lua_State *L, Nursery *n) {
  if (n == NULL) {
    lua_pushnil(L);
  } else {
    spawn_push_held(L, n->slot);
  }
}

static int get_name(lua_State *L) {
  self(L);
  lua_getiuservalue(L, 1, TASK_NAME);
  if (lua_type(L, -1) == LUA_TFUNCTION) naming_push_function(L, -1);
  return 1;
}

static int get_coro(lua_State *L) {
  self(L)->exposed = true;
  lua_getiuservalue(L, 1, TASK_COROUTINE);
  coro_mark_task(L, lua_tothread(L, -1));
  return 1;
}

static int get_parent_nursery(lua_State *L) {
  self(L);
  task_push_parent(L, 1);
  return 1;
}

static int get_eventual_parent_nursery(lua_State *L) {
  Task *t = self(L);
  nursery_push_object(L, is_live(L, t) ? t->eventual_parent : NULL);
  return 1;
}

static int get_child_nurseries(lua_State *L) {
  Task *t = self(L);
  lua_newtable(L);
  if (!is_live(L, t)) return 1;
  lua_Integer i = 0;
  for (Link *l = list_first(&t->nurseries); l != NULL;
       l = list_next(&t->nurseries, l)) {
    nursery_push_object(L, CONTAINER_OF(l, Nursery, open_link));
    lua_rawseti(L, -2, ++i);
  }
  return 1;
}

static int get_custom_sleep_data(lua_State *L) {
  Task *t = self(L);
  if (!t->has_sleep_data) return lua_pushnil(L), 1;
  task_push_extra(L, 1, true);
  lua_rawgeti(L, -1, EXTRA_SLEEP_DATA);
  return 1;
}

static int put_custom_sleep_data(lua_State *L) {
  Task *t = self(L);
  task_push_extra(L, 1, true);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, EXTRA_SLEEP_DATA);
  t->has_sleep_data = true;
  return 0;
}

// task:traceback() -> where it is suspended, as text; "" once it has ended.
static int l_traceback(lua_State *L) {
  Task *t = self(L);
  if (!is_live(L, t)) {
    lua_pushliteral(L, "");
    return 1;
  }
  lua_State *co = t->state == TASK_RUNNING ? t->top : t->waiting;
  luaL_traceback(L, co, NULL, 0);
  return 1;
}

static int task_tostring(lua_State *L) {
  Task *t = self(L);
  get_name(L);
  lua_pushfstring(L, "<Task '%s' at %p>", lua_tostring(L, -1), (void *)t);
  return 1;
}

static const luaL_Reg task_methods[] = {{"traceback", l_traceback},
                                        {NULL, NULL}};
static const ClassField task_fields[] = {
    {"name", get_name, NULL},
    {"coro", get_coro, NULL},
    {"parent_nursery", get_parent_nursery, NULL},
    {"eventual_parent_nursery", get_eventual_parent_nursery, NULL},
    {"child_nurseries", get_child_nurseries, NULL},
    {"custom_sleep_data", get_custom_sleep_data, put_custom_sleep_data},
    {NULL, NULL, NULL}};
static const luaL_Reg task_meta[] = {{"__tostring", task_tostring},
                                     {NULL, NULL}};
const Class task_class = {"trio.lowlevel.Task", task_methods, task_fields,
                          task_meta};

// trio.lowlevel.current_task() -> the calling task. Raises outside of tasks.
static int l_current_task(lua_State *L) {
  task_push(L, task_require(L));
  return 1;
}

// trio.lowlevel.current_root_task() -> the task at the root of the run.
static int l_current_root_task(lua_State *L) {
  Runner *R = runner_require(L);
  task_push(L, R->root);
  return 1;
}

void task_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"current_task", l_current_task},
      {"current_root_task", l_current_root_task},
      {NULL, NULL}};
  class_register(L, &task_class);
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
