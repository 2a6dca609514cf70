// SPDX-License-Identifier: MIT
// clock.c: MockClock, and clocks written in Lua (Trio: MockClock, abc.Clock).
#include "clock.h"

#include <math.h>

#include "../base/mem.h"
#include "../bind/error.h"
#include "api.h"

typedef struct MockObject {
  ClassHead head;
  MockClock clock;
} MockObject;

static const Class mock_class;
static const char clock_key = 0;

// ---- clocks written in Lua

typedef struct ForeignClock {
  Clock base;
  Runner *R;
  double last;  // what it showed last, where a call fails
} ForeignClock;

// (method name, argument or nil) -> number, under a protected call.
static int call_clock(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &clock_key);
  lua_insert(L, 1);
  lua_pushvalue(L, 2);
  lua_gettable(L, 1);
  lua_insert(L, 1);
  lua_remove(L, 3);
  lua_call(L, 2, 1);
  if (lua_type(L, -1) != LUA_TNUMBER || isnan(lua_tonumber(L, -1))) {
    return luaL_error(L, "a method of the clock must return a number");
  }
  return 1;
}

void clock_push_time(lua_State *L, Runner *R) {
  if (R->foreign_clock == NULL) {
    lua_pushnumber(L, sched_now(&R->sched));
    return;
  }
  lua_pushcfunction(L, call_clock);
  lua_pushliteral(L, "current_time");
  lua_pushnil(L);
  lua_call(L, 2, 1);
}

static double ask(ForeignClock *clock, lua_State *L, const char *method,
                  double argument) {
  lua_pushcfunction(L, call_clock);
  lua_pushstring(L, method);
  lua_pushnumber(L, argument);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
    clock->last = lua_tonumber(L, -1);
    lua_pop(L, 1);
  } else {
    if (L != clock->R->L) lua_xmove(L, clock->R->L, 1);
    runner_crash(clock->R);
  }
  return clock->last;
}

static double foreign_now(Clock *base) {
  ForeignClock *clock = CONTAINER_OF(base, ForeignClock, base);
  return ask(clock, clock->R->L, "current_time", 0);
}

static double foreign_sleep_time(Clock *base, double deadline) {
  ForeignClock *clock = CONTAINER_OF(base, ForeignClock, base);
  double now = clock->last;
  double seconds = ask(clock, clock->R->L, "deadline_to_sleep_time", deadline);
  clock->last = now;
  return seconds;
}

// ---- what trio.run needs

void clock_check(lua_State *L, int opts) {
  static const char *const methods[] = {"start_clock", "current_time",
                                        "deadline_to_sleep_time"};
  if (class_test(L, -1, &mock_class) != NULL) return;
  int clock = lua_gettop(L);
  int type = lua_type(L, clock);
  if (type != LUA_TTABLE && type != LUA_TUSERDATA) {
    luaL_argerror(L, opts, "option 'clock' must be a clock");
  }
  for (int i = 0; i < COUNT_OF(methods); i++) {
    if (lua_getfield(L, clock, methods[i]) != LUA_TFUNCTION) {
      lua_pushfstring(L, "option 'clock' has no method '%s'", methods[i]);
      luaL_argerror(L, opts, lua_tostring(L, -1));
    }
    lua_pop(L, 1);
  }
}

void clock_use(lua_State *L, Runner *R) {
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &clock_key);
  MockObject *mock = class_test(L, -1, &mock_class);
  if (mock != NULL) {
    R->mock = &mock->clock;
    R->sched.clock = &mock->clock.base;
    R->autojump = mock->clock.autojump_threshold;
    return;
  }
  ForeignClock *clock = mem_alloc(sizeof(ForeignClock));
  if (clock == NULL) luaL_error(L, "not enough memory");
  clock->base.now = foreign_now;
  clock->base.sleep_time = foreign_sleep_time;
  clock->R = R;
  R->foreign_clock = &clock->base;
  R->sched.clock = &clock->base;
}

void clock_start(lua_State *L, Runner *R) {
  if (R->foreign_clock == NULL) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &clock_key);
  lua_getfield(L, -1, "start_clock");
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return;
  error_push(L, ERROR_INTERNAL, "the clock could not be started");
  lua_insert(L, -2);
  lua_setfield(L, -2, "cause");
  lua_error(L);
}

void clock_end(Runner *R) {
  if (R->foreign_clock != NULL) {
    mem_free(CONTAINER_OF(R->foreign_clock, ForeignClock, base));
    R->foreign_clock = NULL;
  }
  lua_pushnil(R->L);
  lua_rawsetp(R->L, LUA_REGISTRYINDEX, &clock_key);
}

// trio.lowlevel.current_clock() -> the clock given to trio.run, or an object
// that stands for the real one.
static int l_current_clock(lua_State *L) {
  Runner *R = runner_require(L);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &clock_key) == LUA_TNIL) {
    lua_getfield(L, lua_upvalueindex(1), "clock");
  }
  UNUSED(R);
  return 1;
}

// ---- MockClock

static MockObject *self(lua_State *L) { return class_check(L, 1, &mock_class); }

// A change may matter to the run that uses this clock.
static void resync(lua_State *L, const MockObject *mock) {
  Runner *R = runner_maybe(L);
  if (R == NULL || R->mock != &mock->clock) return;
  R->autojump = mock->clock.autojump_threshold;
  if (R->sched.on_change != NULL) R->sched.on_change(&R->sched);
}

// clock:jump(seconds): advance by that much. Runs nothing by itself.
static int l_jump(lua_State *L) {
  MockObject *mock = self(L);
  double seconds = arg_number(L, 2);
  if (seconds < 0) return luaL_argerror(L, 2, "time can't go backwards");
  mock_clock_jump(&mock->clock, seconds);
  resync(L, mock);
  return 0;
}

static int l_current_time(lua_State *L) {
  MockObject *mock = self(L);
  lua_pushnumber(L, mock->clock.base.now(&mock->clock.base));
  return 1;
}

static int l_sleep_time(lua_State *L) {
  MockObject *mock = self(L);
  double deadline = arg_number(L, 2);
  lua_pushnumber(L, mock->clock.base.sleep_time(&mock->clock.base, deadline));
  return 1;
}

static int l_start_clock(lua_State *L) {
  resync(L, self(L));
  return 0;
}

static int get_rate(lua_State *L) {
  lua_pushnumber(L, self(L)->clock.rate);
  return 1;
}

static double checked(lua_State *L, int idx, const char *name) {
  if (lua_type(L, idx) != LUA_TNUMBER) {
    luaL_error(L, "%s must be a number, got %s", name, luaL_typename(L, idx));
  }
  double value = lua_tonumber(L, idx);
  if (!(value >= 0)) luaL_error(L, "%s must not be negative or NaN", name);
  return value;
}

static int put_rate(lua_State *L) {
  MockObject *mock = self(L);
  mock_clock_set_rate(&mock->clock, checked(L, 2, "rate"));
  resync(L, mock);
  return 0;
}

static int get_threshold(lua_State *L) {
  lua_pushnumber(L, self(L)->clock.autojump_threshold);
  return 1;
}

static int put_threshold(lua_State *L) {
  MockObject *mock = self(L);
  mock->clock.autojump_threshold = checked(L, 2, "autojump_threshold");
  resync(L, mock);
  return 0;
}

static int mock_tostring(lua_State *L) {
  MockObject *mock = self(L);
  char text[96];
  snprintf(text, sizeof text, "<trio.testing.MockClock %p time=%.7f rate=%g>",
           (void *)mock, mock->clock.base.now(&mock->clock.base),
           mock->clock.rate);
  lua_pushstring(L, text);
  return 1;
}

// trio.testing.MockClock([{rate=0, autojump_threshold=math.huge}]): virtual
// time that starts at 0. Mirrors trio.testing.MockClock.
static int l_mock_clock(lua_State *L) {
  static const char *const known[] = {"rate", "autojump_threshold", NULL};
  opts_check(L, 1, known);
  double rate = opts_number(L, 1, "rate", 0);
  double threshold = opts_number(L, 1, "autojump_threshold", INFINITY);
  if (rate < 0) return luaL_argerror(L, 1, "rate must not be negative");
  if (threshold < 0) {
    return luaL_argerror(L, 1, "autojump_threshold must not be negative");
  }
  MockObject *mock = class_new(L, &mock_class, sizeof(MockObject), 0);
  mock_clock_init(&mock->clock);
  mock_clock_set_rate(&mock->clock, rate);
  mock->clock.autojump_threshold = threshold;
  return 1;
}

static const luaL_Reg mock_methods[] = {
    {"jump", l_jump},
    {"current_time", l_current_time},
    {"deadline_to_sleep_time", l_sleep_time},
    {"start_clock", l_start_clock},
    {NULL, NULL}};
static const ClassField mock_fields[] = {
    {"rate", get_rate, put_rate},
    {"autojump_threshold", get_threshold, put_threshold},
    {NULL, NULL, NULL}};
static const luaL_Reg mock_meta[] = {{"__tostring", mock_tostring},
                                     {NULL, NULL}};
static const Class mock_class = {"trio.testing.MockClock", mock_methods,
                                 mock_fields, mock_meta};

// The object that stands for the real clock.
static int l_real_time(lua_State *L) {
  lua_pushnumber(L, sched_now(&runner_require(L)->sched));
  return 1;
}

static int l_real_sleep_time(lua_State *L) {
  double deadline = arg_number(L, 2);
  lua_pushnumber(L, deadline - sched_now(&runner_require(L)->sched));
  return 1;
}

static int l_nothing(lua_State *L) {
  UNUSED(L);
  return 0;
}

static const luaL_Reg real_methods[] = {
    {"current_time", l_real_time},
    {"deadline_to_sleep_time", l_real_sleep_time},
    {"start_clock", l_nothing},
    {NULL, NULL}};
static const Class real_class = {"trio.SystemClock", real_methods, NULL, NULL};

void clock_open(lua_State *L) {
  class_register(L, &mock_class);
  class_register(L, &real_class);
  lua_getfield(L, -1, "testing");
  lua_pushcfunction(L, l_mock_clock);
  lua_setfield(L, -2, "MockClock");
  lua_pop(L, 1);
  lua_getfield(L, -1, "lowlevel");
  lua_createtable(L, 0, 1);
  class_new(L, &real_class, sizeof(ClassHead), 0);
  lua_setfield(L, -2, "clock");
  lua_pushcclosure(L, l_current_clock, 1);
  lua_setfield(L, -2, "current_clock");
  lua_pop(L, 1);
}
