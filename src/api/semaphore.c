// SPDX-License-Identifier: MIT
// semaphore.c: trio.Semaphore: a counter of free units (Trio: Semaphore).
#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "api.h"
#include "guard.h"

typedef struct Semaphore {
  ClassHead head;
  Lot lot;
  lua_Integer value;
  lua_Integer max_value;  // < 0: none
} Semaphore;

static const Class semaphore_class;

static Semaphore *self(lua_State *L) {
  return class_check(L, 1, &semaphore_class);
}

static int try_acquire(lua_State *L, Task *t, void *object) {
  UNUSED(L);
  UNUSED(t);
  Semaphore *s = object;
  if (s->value == 0) return WOULD_BLOCK;
  s->value--;
  return 0;
}

// semaphore:acquire(): take a unit, waiting for one.
static int l_acquire(lua_State *L) {
  static const Op op = {.name = "Semaphore:acquire",
                        .attempt = try_acquire,
                        .lot = offsetof(Semaphore, lot)};
  return await(L, &op, self(L));
}

// semaphore:acquire_nowait(): take a unit or raise WouldBlock.
static int l_acquire_nowait(lua_State *L) {
  if (try_acquire(L, NULL, self(L)) == WOULD_BLOCK) {
    return error_raise(L, ERROR_WOULD_BLOCK, "the semaphore is at zero");
  }
  return 0;
}

// semaphore:release(): give a unit back, to the longest waiter if there is
// one. Raises when that would exceed max_value.
static int l_release(lua_State *L) {
  Semaphore *s = self(L);
  if (lot_unpark(&s->lot, WAKE_OK) != NULL) return 0;
  if (s->max_value >= 0 && s->value >= s->max_value) {
    return luaL_error(L, "semaphore released too many times");
  }
  s->value++;
  return 0;
}

// semaphore:locked() -> is there no unit left?
static int l_locked(lua_State *L) {
  lua_pushboolean(L, self(L)->value == 0);
  return 1;
}

// semaphore:with(body) -> the body's results, with a unit held meanwhile.
static int l_with(lua_State *L) {
  static const Op op = {.name = "Semaphore:with",
                        .attempt = try_acquire,
                        .lot = offsetof(Semaphore, lot),
                        .then = guard_then};
  Semaphore *s = self(L);
  guard_check(L);
  return await(L, &op, s);
}

// semaphore:statistics() -> {tasks_waiting}.
static int l_statistics(lua_State *L) {
  const Semaphore *s = self(L);
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, s->lot.count);
  lua_setfield(L, -2, "tasks_waiting");
  return 1;
}

static int get_value(lua_State *L) {
  lua_pushinteger(L, self(L)->value);
  return 1;
}

static int get_max_value(lua_State *L) {
  const Semaphore *s = self(L);
  if (s->max_value < 0) return lua_pushnil(L), 1;
  lua_pushinteger(L, s->max_value);
  return 1;
}

static int semaphore_tostring(lua_State *L) {
  const Semaphore *s = self(L);
  lua_pushfstring(L, "<trio.Semaphore %p value %I, %d waiting>",
                  (const void *)s, (LUAI_UACINT)s->value, s->lot.count);
  return 1;
}

static const luaL_Reg semaphore_methods[] = {
    {"acquire", l_acquire},
    {"acquire_nowait", l_acquire_nowait},
    {"release", l_release},
    {"locked", l_locked},
    {"with", l_with},
    {"statistics", l_statistics},
    {NULL, NULL}};
static const ClassField semaphore_fields[] = {
    {"value", get_value, NULL},
    {"max_value", get_max_value, NULL},
    {NULL, NULL, NULL}};
static const luaL_Reg semaphore_meta[] = {{"__tostring", semaphore_tostring},
                                          {NULL, NULL}};
static const Class semaphore_class = {"trio.Semaphore", semaphore_methods,
                                      semaphore_fields, semaphore_meta};

// trio.Semaphore(initial_value [, {max_value=}]): whole numbers, not negative.
static int l_semaphore(lua_State *L) {
  static const char *const known[] = {"max_value", NULL};
  if (!lua_isinteger(L, 1)) return luaL_typeerror(L, 1, "integer");
  lua_Integer value = lua_tointeger(L, 1), max_value = -1;
  if (value < 0) return luaL_argerror(L, 1, "must not be negative");
  opts_check(L, 2, known);
  if (lua_istable(L, 2) && lua_getfield(L, 2, "max_value") != LUA_TNIL) {
    if (!lua_isinteger(L, -1)) {
      return luaL_argerror(L, 2, "option 'max_value' must be an integer");
    }
    max_value = lua_tointeger(L, -1);
    if (max_value < value) {
      return luaL_argerror(L, 2, "max_value is less than the initial value");
    }
  }
  Semaphore *s = class_new(L, &semaphore_class, sizeof(Semaphore), 0);
  lot_init(&s->lot);
  s->value = value;
  s->max_value = max_value;
  return 1;
}

void semaphore_open(lua_State *L) {
  class_register(L, &semaphore_class);
  lua_pushcfunction(L, l_semaphore);
  lua_setfield(L, -2, "Semaphore");
}
