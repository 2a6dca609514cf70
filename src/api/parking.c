// SPDX-License-Identifier: MIT
// parking.c: trio.lowlevel.ParkingLot and its breakers (Trio: ParkingLot,
// add_parking_lot_breaker). The queue itself is core/lot.c.
#include <math.h>

#include "../base/mem.h"
#include "../bind/await.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "../bind/spawn.h"
#include "api.h"

typedef struct Parking {
  ClassHead head;
  Lot lot;
} Parking;

// User values: the array `broken_by`, and the objects of the registered
// breakers, keyed by their address.
enum { PARKING_BROKEN_BY = 1, PARKING_BREAKERS, PARKING_VALUES = 2 };

static const Class parking_class;

static Parking *self(lua_State *L) { return class_check(L, 1, &parking_class); }

static int parking_gc(lua_State *L) {
  Parking *p = lua_touserdata(L, 1);
  Link *link;
  while ((link = list_first(&p->lot.breakers)) != NULL) {
    LotBreaker *breaker = CONTAINER_OF(link, LotBreaker, lot_link);
    lot_remove_breaker(breaker);
    mem_free(breaker);
  }
  return 0;
}

// Forget a registration, and the task's object with its last one. The table
// of the objects stands on top. [-0, +0, m]
static void drop_breaker(lua_State *L, Parking *p, LotBreaker *breaker) {
  Task *t = breaker->task;
  lot_remove_breaker(breaker);
  mem_free(breaker);
  for (Link *l = list_first(&p->lot.breakers); l != NULL;
       l = list_next(&p->lot.breakers, l)) {
    if (CONTAINER_OF(l, LotBreaker, lot_link)->task == t) return;
  }
  lua_pushnil(L);
  lua_rawsetp(L, -2, t);
}

// Registered breakers that have ended since: move them to broken_by, which
// could not be done when they ended. Pushes broken_by.
static void push_broken_by(lua_State *L, Parking *p, int idx) {
  lua_getiuservalue(L, idx, PARKING_BROKEN_BY);
  lua_getiuservalue(L, idx, PARKING_BREAKERS);
  Link *link = list_first(&p->lot.breakers);
  while (link != NULL) {
    LotBreaker *breaker = CONTAINER_OF(link, LotBreaker, lot_link);
    link = list_next(&p->lot.breakers, link);
    if (!breaker->broke) continue;
    lua_rawgetp(L, -1, breaker->task);
    lua_rawseti(L, -3, (lua_Integer)lua_rawlen(L, -3) + 1);
    drop_breaker(L, p, breaker);
  }
  lua_pop(L, 1);
}

static void raise_if_broken(lua_State *L, Task *t, void *object) {
  Parking *p = object;
  if (p->lot.broken) {
    push_broken_by(L, p, 1);
    lua_rawgeti(L, -1, 1);
    error_raise(L, ERROR_BROKEN_RESOURCE, "the parking lot was broken by %s",
                luaL_tolstring(L, -1, NULL));
  }
  lot_park(&p->lot, t);
}

static int finish_park(lua_State *L, Task *t, void *object, int code) {
  if (code == WAKE_BROKEN) {
    push_broken_by(L, object, 1);
    lua_rawgeti(L, -1, 1);
    return error_raise(L, ERROR_BROKEN_RESOURCE,
                       "the parking lot was broken by %s",
                       luaL_tolstring(L, -1, NULL));
  }
  if (code < 0) return await_raise(L, t, code);
  return 0;
}

// lot:park(): wait until unparked. Raises BrokenResourceError when the lot is
// broken or breaks meanwhile.
static int l_park(lua_State *L) {
  static const Op op = {.name = "ParkingLot:park",
                        .start = raise_if_broken,
                        .finish = finish_park};
  Parking *p = self(L);
  lua_settop(L, 1);
  return await(L, &op, p);
}

// The count option of the table at idx: a whole number, or math.huge for all.
static int count_option(lua_State *L, int idx, const Parking *p) {
  static const char *const known[] = {"count", NULL};
  opts_check(L, idx, known);
  double count = opts_number(L, idx, "count", 1);
  if (count == INFINITY) return p->lot.count;
  if (count != floor(count) || count < 0) {
    luaL_argerror(L, idx, "count must be a whole number or math.huge");
  }
  return count < p->lot.count ? (int)count : p->lot.count;
}

static int unpark(lua_State *L, Parking *p, int count) {
  lua_createtable(L, count, 0);
  for (int i = 1; i <= count; i++) {
    task_push(L, lot_first(&p->lot));
    lua_rawseti(L, -2, i);
    lot_unpark(&p->lot, WAKE_OK);
  }
  return 1;
}

// lot:unpark([{count=1}]) -> array of the woken tasks, longest waiting first.
static int l_unpark(lua_State *L) {
  Parking *p = self(L);
  return unpark(L, p, count_option(L, 2, p));
}

// lot:unpark_all() -> array of the woken tasks.
static int l_unpark_all(lua_State *L) {
  Parking *p = self(L);
  return unpark(L, p, p->lot.count);
}

// Move tasks to the lot at index 2. The frame of each keeps the lot alive that
// it waits in: put the new one there.
static int repark(lua_State *L, Parking *p, Parking *to, int count) {
  for (int i = 0; i < count; i++) {
    Task *t = lot_first(&p->lot);
    lua_pushvalue(L, 2);
    lua_xmove(L, t->waiting, 1);
    lua_replace(t->waiting, 1);
    t->self = to;
    lot_repark(&p->lot, &to->lot, 1);
  }
  return 0;
}

// lot:repark(other [, {count=1}]): move waiting tasks to another lot.
static int l_repark(lua_State *L) {
  Parking *p = self(L);
  Parking *to = class_check(L, 2, &parking_class);
  return repark(L, p, to, count_option(L, 3, p));
}

// lot:repark_all(other): move every waiting task to another lot.
static int l_repark_all(lua_State *L) {
  Parking *p = self(L);
  Parking *to = class_check(L, 2, &parking_class);
  return repark(L, p, to, p->lot.count);
}

// lot:break_lot([task]): wake everybody with BrokenResourceError and refuse
// later parks; `task` (default: the current one) is noted in broken_by.
static int l_break_lot(lua_State *L) {
  Parking *p = self(L);
  if (lua_isnoneornil(L, 2)) {
    task_push(L, task_require(L));
  } else {
    class_check(L, 2, &task_class);
    lua_settop(L, 2);
  }
  push_broken_by(L, p, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lot_break(&p->lot);
  return 0;
}

static int l_statistics(lua_State *L) {
  Parking *p = self(L);
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, p->lot.count);
  lua_setfield(L, -2, "tasks_waiting");
  return 1;
}

static int get_broken_by(lua_State *L) {
  push_broken_by(L, self(L), 1);
  return 1;
}

static int parking_len(lua_State *L) {
  lua_pushinteger(L, self(L)->lot.count);
  return 1;
}

static int parking_tostring(lua_State *L) {
  Parking *p = self(L);
  lua_pushfstring(L, "<trio.lowlevel.ParkingLot %p %s%d waiting>", (void *)p,
                  p->lot.broken ? "broken, " : "", p->lot.count);
  return 1;
}

// trio.lowlevel.add_parking_lot_breaker(task, lot): when the task ends, the
// lot breaks. May be repeated. Raises BrokenResourceError for an ended task.
static int l_add_breaker(lua_State *L) {
  TaskObject *object = class_check(L, 1, &task_class);
  Parking *p = class_check(L, 2, &parking_class);
  if (object->task.state == TASK_DONE || object->task.slot == 0) {
    return error_raise(L, ERROR_BROKEN_RESOURCE,
                       "a task that has ended can't become a breaker");
  }
  lua_getiuservalue(L, 2, PARKING_BREAKERS);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, -2, &object->task);
  LotBreaker *breaker = mem_alloc(sizeof(LotBreaker));
  if (breaker == NULL) return luaL_error(L, "not enough memory");
  lot_add_breaker(&p->lot, breaker, &object->task);
  return 0;
}

// trio.lowlevel.remove_parking_lot_breaker(task, lot). Raises when it is not
// registered.
static int l_remove_breaker(lua_State *L) {
  TaskObject *object = class_check(L, 1, &task_class);
  Parking *p = class_check(L, 2, &parking_class);
  for (Link *l = list_first(&p->lot.breakers); l != NULL;
       l = list_next(&p->lot.breakers, l)) {
    LotBreaker *breaker = CONTAINER_OF(l, LotBreaker, lot_link);
    if (breaker->task != &object->task || breaker->broke) continue;
    lua_getiuservalue(L, 2, PARKING_BREAKERS);
    drop_breaker(L, p, breaker);
    return 0;
  }
  return luaL_argerror(L, 1, "this task is no breaker of the lot");
}

static int l_parking_lot(lua_State *L) {
  Parking *p = class_new(L, &parking_class, sizeof(Parking), PARKING_VALUES);
  lot_init(&p->lot);
  lua_newtable(L);
  lua_setiuservalue(L, -2, PARKING_BROKEN_BY);
  lua_newtable(L);
  lua_setiuservalue(L, -2, PARKING_BREAKERS);
  return 1;
}

static const luaL_Reg parking_methods[] = {{"park", l_park},
                                           {"unpark", l_unpark},
                                           {"unpark_all", l_unpark_all},
                                           {"repark", l_repark},
                                           {"repark_all", l_repark_all},
                                           {"break_lot", l_break_lot},
                                           {"statistics", l_statistics},
                                           {NULL, NULL}};
static const ClassField parking_fields[] = {{"broken_by", get_broken_by, NULL},
                                            {NULL, NULL, NULL}};
static const luaL_Reg parking_meta[] = {{"__gc", parking_gc},
                                        {"__len", parking_len},
                                        {"__tostring", parking_tostring},
                                        {NULL, NULL}};
static const Class parking_class = {"trio.lowlevel.ParkingLot", parking_methods,
                                    parking_fields, parking_meta};

void parking_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"ParkingLot", l_parking_lot},
      {"add_parking_lot_breaker", l_add_breaker},
      {"remove_parking_lot_breaker", l_remove_breaker},
      {NULL, NULL}};
  class_register(L, &parking_class);
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
