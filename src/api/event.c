// SPDX-License-Identifier: MIT
// event.c: trio.Event: a flag that tasks can wait for (Trio: Event).
#include "../bind/await.h"
#include "../bind/class.h"
#include "api.h"

typedef struct Event {
  ClassHead head;
  Lot lot;
  bool is_set;
} Event;

static const Class event_class;

static Event *self(lua_State *L) { return class_check(L, 1, &event_class); }

// event:wait(): wait until it is set; a checkpoint if it is already.
static int l_wait(lua_State *L) {
  static const Op op = {.name = "Event:wait", .lot = offsetof(Event, lot)};
  Event *e = self(L);
  if (e->is_set) return await_checkpoint(L, op.name);
  return await(L, &op, e);
}

// event:set(): wake everybody who waits, now and ever. Idempotent.
static int l_set(lua_State *L) {
  Event *e = self(L);
  e->is_set = true;
  while (lot_unpark(&e->lot, WAKE_OK) != NULL) continue;
  return 0;
}

// event:is_set() -> boolean.
static int l_is_set(lua_State *L) {
  lua_pushboolean(L, self(L)->is_set);
  return 1;
}

// event:statistics() -> {tasks_waiting}.
static int l_statistics(lua_State *L) {
  const Event *e = self(L);
  lua_createtable(L, 0, 1);
  lua_pushinteger(L, e->lot.count);
  lua_setfield(L, -2, "tasks_waiting");
  return 1;
}

static int event_tostring(lua_State *L) {
  const Event *e = self(L);
  lua_pushfstring(L, "<trio.Event %p %s, %d waiting>", (const void *)e,
                  e->is_set ? "set" : "not set", e->lot.count);
  return 1;
}

static const luaL_Reg event_methods[] = {{"wait", l_wait},
                                         {"set", l_set},
                                         {"is_set", l_is_set},
                                         {"statistics", l_statistics},
                                         {NULL, NULL}};
static const luaL_Reg event_meta[] = {{"__tostring", event_tostring},
                                      {NULL, NULL}};
static const Class event_class = {"trio.Event", event_methods, NULL,
                                  event_meta};

// trio.Event() -> an event that is not set. Usable outside of runs.
static int l_event(lua_State *L) {
  Event *e = class_new(L, &event_class, sizeof(Event), 0);
  lot_init(&e->lot);
  return 1;
}

void event_open(lua_State *L) {
  class_register(L, &event_class);
  lua_pushcfunction(L, l_event);
  lua_setfield(L, -2, "Event");
}
