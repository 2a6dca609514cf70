// SPDX-License-Identifier: MIT
// instrument.c: see instrument.h (Trio: abc.Instrument, add_instrument).
//
// The registry holds an array of entries {instrument=, <hook>=function...}; the
// hooks are looked up once, when the instrument is added. The runner's hook
// pointers are set only while some instrument wants that event, so a run
// without instruments pays nothing.
#include "instrument.h"

#include <lauxlib.h>
#include <string.h>

#include "../bind/class.h"
#include "../bind/explain.h"
#include "../bind/spawn.h"
#include "api.h"

static const char list_key = 0;

typedef enum Event {
  BEFORE_RUN,
  AFTER_RUN,
  TASK_SPAWNED,
  TASK_SCHEDULED,
  BEFORE_TASK_STEP,
  AFTER_TASK_STEP,
  TASK_EXITED,
  BEFORE_IO_WAIT,
  AFTER_IO_WAIT,
  EVENT_COUNT
} Event;

static const char *const event_names[] = {
    "before_run",     "after_run",        "task_spawned",
    "task_scheduled", "before_task_step", "after_task_step",
    "task_exited",    "before_io_wait",   "after_io_wait"};

// Push the list, made on first use. [-0, +1, m]
static void push_list(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
}

// The position of the instrument at idx in the list at `list`, or 0.
static lua_Integer find(lua_State *L, int list, int idx) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, list, i);
    lua_getfield(L, -1, "instrument");
    bool same = lua_rawequal(L, -1, idx);
    lua_pop(L, 2);
    if (same) return i;
  }
  return 0;
}

static void remove_at(lua_State *L, int list, lua_Integer at) {
  lua_Integer count = (lua_Integer)lua_rawlen(L, list);
  for (; at < count; at++) {
    lua_rawgeti(L, list, at + 1);
    lua_rawseti(L, list, at);
  }
  lua_pushnil(L);
  lua_rawseti(L, list, count);
}

static void report(lua_State *L, const char *event) {
  explain_push_error(L, -1);
  lua_pushfstring(L,
                  "trio: an instrument raised in its hook %s and was removed: "
                  "%s",
                  event, lua_tostring(L, -1));
  lua_warning(L, lua_tostring(L, -1), 0);
  lua_pop(L, 2);
}

// Under a protected call: (event, task pointer or timeout or nil).
static int dispatch(lua_State *L) {
  const char *event = event_names[lua_tointeger(L, 1)];
  int arguments = lua_isnil(L, 2) ? 1 : 2;
  if (lua_islightuserdata(L, 2)) {
    task_push(L, lua_touserdata(L, 2));
    lua_replace(L, 2);
  }
  push_list(L);
  lua_Integer count = (lua_Integer)lua_rawlen(L, 3);
  lua_createtable(L, (int)count, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 3, i);
    lua_rawseti(L, 4, i);
  }
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 4, i);
    lua_getfield(L, 5, "instrument");
    if (lua_getfield(L, 5, event) != LUA_TNIL && find(L, 3, 6) != 0) {
      lua_pushvalue(L, 6);
      lua_pushvalue(L, 2);
      lua_settop(L, lua_gettop(L) - 2 + arguments);
      if (lua_pcall(L, arguments, 0, 0) != LUA_OK) {
        report(L, event);
        lua_Integer at = find(L, 3, 6);
        if (at != 0) remove_at(L, 3, at);
      }
    }
    lua_settop(L, 4);
  }
  return 0;
}

static void emit(Runner *R, Event event, Task *t, double timeout) {
  lua_State *L = R->L;
  lua_pushcfunction(L, dispatch);
  lua_pushinteger(L, event);
  if (t != NULL) {
    lua_pushlightuserdata(L, t);
  } else if (event == BEFORE_IO_WAIT || event == AFTER_IO_WAIT) {
    lua_pushnumber(L, timeout);
  } else {
    lua_pushnil(L);
  }
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static void on_run(Runner *R, bool before) {
  emit(R, before ? BEFORE_RUN : AFTER_RUN, NULL, 0);
}

static void on_spawn(Runner *R, Task *t) { emit(R, TASK_SPAWNED, t, 0); }

static void on_ready(Task *t) { emit(runner_of_task(t), TASK_SCHEDULED, t, 0); }

static void on_step(Runner *R, Task *t, bool before) {
  emit(R, before ? BEFORE_TASK_STEP : AFTER_TASK_STEP, t, 0);
}

static void on_exit(Runner *R, Task *t) { emit(R, TASK_EXITED, t, 0); }

static void on_io(Runner *R, double timeout, bool before) {
  emit(R, before ? BEFORE_IO_WAIT : AFTER_IO_WAIT, NULL, timeout);
}

// Set the runner's pointers for the events that the entry on top wants.
static void want(lua_State *L, Runner *R) {
  bool wants[EVENT_COUNT];
  for (int i = 0; i < EVENT_COUNT; i++) {
    wants[i] = lua_getfield(L, -1, event_names[i]) != LUA_TNIL;
    lua_pop(L, 1);
  }
  if (wants[BEFORE_RUN] || wants[AFTER_RUN]) R->on_run = on_run;
  if (wants[TASK_SPAWNED]) R->on_spawn = on_spawn;
  if (wants[TASK_SCHEDULED]) R->sched.on_ready = on_ready;
  if (wants[BEFORE_TASK_STEP] || wants[AFTER_TASK_STEP]) R->on_step = on_step;
  if (wants[TASK_EXITED]) R->on_exit = on_exit;
  if (wants[BEFORE_IO_WAIT] || wants[AFTER_IO_WAIT]) R->on_io = on_io;
}

void instrument_add(lua_State *L, Runner *R) {
  int instrument = lua_gettop(L);
  push_list(L);
  if (find(L, instrument + 1, instrument) != 0) {
    lua_settop(L, instrument - 1);
    return;
  }
  lua_createtable(L, 0, 4);
  for (int i = 0; i < EVENT_COUNT; i++) {
    if (lua_getfield(L, instrument, event_names[i]) == LUA_TNIL) {
      lua_pop(L, 1);
    } else {
      lua_setfield(L, instrument + 2, event_names[i]);
    }
  }
  lua_pushvalue(L, instrument);
  lua_setfield(L, instrument + 2, "instrument");
  lua_pushvalue(L, -1);
  lua_rawseti(L, instrument + 1,
              (lua_Integer)lua_rawlen(L, instrument + 1) + 1);
  want(L, R);
  lua_settop(L, instrument - 1);
}

void instrument_end(Runner *R) {
  lua_pushnil(R->L);
  lua_rawsetp(R->L, LUA_REGISTRYINDEX, &list_key);
}

static void check_instrument(lua_State *L) {
  int type = lua_type(L, 1);
  if (type != LUA_TTABLE && type != LUA_TUSERDATA) {
    luaL_typeerror(L, 1, "instrument (a table)");
  }
}

// trio.lowlevel.add_instrument(i): let the table's hook methods watch the run;
// adding it again does nothing. Raises what reading a hook raises.
static int l_add_instrument(lua_State *L) {
  check_instrument(L);
  Runner *R = runner_require(L);
  lua_settop(L, 1);
  instrument_add(L, R);
  return 0;
}

// trio.lowlevel.remove_instrument(i). Raises when it is not there.
static int l_remove_instrument(lua_State *L) {
  check_instrument(L);
  runner_require(L);
  lua_settop(L, 1);
  push_list(L);
  lua_Integer at = find(L, 2, 1);
  if (at == 0) return luaL_argerror(L, 1, "this instrument is not in use");
  remove_at(L, 2, at);
  return 0;
}

void instrument_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"add_instrument", l_add_instrument},
      {"remove_instrument", l_remove_instrument},
      {NULL, NULL}};
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
