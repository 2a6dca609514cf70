// SPDX-License-Identifier: MIT
// coro.c: see coro.h.
//
// While the coroutine `co` runs inside a task, task->top is co, so await finds
// itself in a known place. If co yields and the task is no longer RUNNING (or
// hops), the yield was await's: resume yields in turn, and when the task goes
// on, its continuation resumes co again. Any other yield is the program's own.
// A coroutine in such a wait stands in the registry table `waiting`, so that
// nobody else resumes or closes it; so does a task's own coroutine, from the
// moment when the program can see it.
#include "coro.h"

#include <lauxlib.h>
#include <string.h>

#include "class.h"
#include "coro_close.h"
#include "lost.h"
#include "pcall.h"
#include "runner.h"
#include "with.h"

static const char waiting_key = 0;

static void set_waiting(lua_State *L, lua_State *co, bool waiting) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &waiting_key);
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  if (waiting) {
    lua_pushboolean(L, true);
  } else {
    lua_pushnil(L);
  }
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void coro_mark_task(lua_State *L, lua_State *co) { set_waiting(L, co, true); }

static bool is_waiting(lua_State *L, int idx) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &waiting_key);
  lua_pushvalue(L, idx);
  lua_rawget(L, -2);
  bool waiting = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return waiting;
}

static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "thread");
  return co;
}

// The task to which L may relay, or NULL.
static Task *relaying(lua_State *L) {
  Task *t = task_of(L);
  return t != NULL && lua_isyieldable(L) ? t : NULL;
}

// Resume co with `count` values of its stack. Returns the number of results
// moved to L, or -1 with the error; or, when the task waits, does not return
// (the continuation goes on). `finish` is called with that number.
typedef int (*Finish)(lua_State *L, lua_State *co, int results);

static int resume_again(lua_State *L, int status, lua_KContext context);
static int finish_close(lua_State *L, lua_State *co, int results);
static int finish_failed_wrap(lua_State *L, lua_State *co, int results);

static int go(lua_State *L, lua_State *co, int count, Finish finish) {
  Task *t = relaying(L);
  if (t != NULL) t->top = co;
  int results;
  int status = lua_resume(co, L, count, &results);
  if (status == LUA_YIELD && t != NULL &&
      (t->state != TASK_RUNNING || t->hopping)) {
    set_waiting(L, co, true);
    if (t->state == TASK_PARKED) lost_guard(co);
    return lua_yieldk(L, 0, (lua_KContext)finish, resume_again);
  }
  if (t != NULL) t->top = L;
  if (status == LUA_YIELD &&
      (finish == finish_close || finish == finish_failed_wrap)) {
    lua_pop(co, results);
    coro_refuse_yield(co);
    return go(L, co, 0, finish);
  }
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return finish(L, co, -1);
  }
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(co, results);
    lua_pushliteral(L, "too many results to resume");
    return finish(L, co, -1);
  }
  lua_xmove(co, L, results);
  return finish(L, co, results);
}

static int resume_again(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  lua_State *co = lua_tothread(L, 1);
  Task *t = runner_running->sched.current;
  set_waiting(L, co, false);
  t->top = L;  // go() passes the place on, level by level
  int count = t->waiting == co ? t->values : 0;
  lost_unguard(L, co, L, count);
  return go(L, co, count, (Finish)context);
}

static const char *refusal(lua_State *L, lua_State *co, int idx) {
  if (is_waiting(L, idx)) {
    return "cannot resume a coroutine that waits in a task";
  }
  if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
    return "cannot resume dead coroutine";
  }
  return NULL;
}

static int finish_resume(lua_State *L, lua_State *co, int results) {
  UNUSED(co);
  lua_pushboolean(L, results >= 0);
  int count = results < 0 ? 1 : results;
  lua_insert(L, -(count + 1));
  return count + 1;
}

// coroutine.resume, as Lua's.
static int l_resume(lua_State *L) {
  lua_State *co = check_thread(L);
  const char *problem = refusal(L, co, 1);
  int count = lua_gettop(L) - 1;
  if (problem == NULL && !lua_checkstack(co, count)) {
    problem = "too many arguments to resume";
  }
  if (problem != NULL) {
    lua_pushboolean(L, false);
    lua_pushstring(L, problem);
    return 2;
  }
  lua_xmove(L, co, count);
  return go(L, co, count, finish_resume);
}

// Raise the error on top, which left a wrapped coroutine with this status. A
// string gets the position of the caller, as in Lua.
static int raise_wrapped(lua_State *L, int status) {
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

// The <close> variables of a failed wrapped coroutine have run: false and the
// error stand on top. Index 2 is the status with which it failed.
static int finish_failed_wrap(lua_State *L, lua_State *co, int results) {
  UNUSED(co);
  UNUSED(results);
  return raise_wrapped(L, (int)lua_tointeger(L, 2));
}

static int finish_wrap(lua_State *L, lua_State *co, int results) {
  if (results >= 0) return results;
  int status = lua_status(co);
  if (status == LUA_OK || status == LUA_YIELD) return raise_wrapped(L, status);
  lua_xmove(L, co, 1);
  if (relaying(L) != NULL) {
    lua_settop(L, 1);
    lua_pushinteger(L, status);
    return go(L, co, coro_unwind(L, co), finish_failed_wrap);
  }
  status = lua_resetthread(co);
  lua_xmove(co, L, 1);
  return raise_wrapped(L, status);
}

static int call_wrap(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  const char *problem = refusal(L, co, 1);
  if (problem != NULL) return luaL_error(L, "%s", problem);
  int count = lua_gettop(L) - 1;
  if (!lua_checkstack(co, count)) {
    return luaL_error(L, "too many arguments to resume");
  }
  lua_xmove(L, co, count);
  return go(L, co, count, finish_wrap);
}

// coroutine.create, as Lua's.
static int l_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

// coroutine.wrap, as Lua's; <close> variables run by it may wait.
static int l_wrap(lua_State *L) {
  l_create(L);
  lua_pushcclosure(L, call_wrap, 1);
  return 1;
}

// coroutine.yield, as Lua's; not in a task's own coroutine.
static int l_yield(lua_State *L) {
  Task *t = task_maybe(L);
  if (t != NULL && L == t->co) {
    return luaL_error(L,
                      "coroutine.yield called in a task outside of any "
                      "coroutine of the program's own");
  }
  return lua_yield(L, lua_gettop(L));
}

static const char *status_of(lua_State *L, lua_State *co, int idx) {
  if (L == co) return "running";
  switch (lua_status(co)) {
    case LUA_YIELD:
      return is_waiting(L, idx) ? "normal" : "suspended";
    case LUA_OK: {
      lua_Debug ar;
      if (lua_getstack(co, 0, &ar)) return "normal";
      if (lua_gettop(co) == 0) return "dead";
      return is_waiting(L, idx) ? "normal" : "suspended";
    }
    default:
      return "dead";
  }
}

// coroutine.status, as Lua's; a coroutine that waits in a task is "normal".
static int l_status(lua_State *L) {
  lua_State *co = check_thread(L);
  lua_pushstring(L, status_of(L, co, 1));
  return 1;
}

// coroutine.isyieldable, as Lua's; false in a task's own coroutine.
static int l_isyieldable(lua_State *L) {
  lua_State *co = lua_isnone(L, 1) ? L : check_thread(L);
  Task *t = task_maybe(L);
  lua_pushboolean(L, lua_isyieldable(co) && (t == NULL || co != t->co));
  return 1;
}

// coroutine.running, as Lua's.
static int l_running(lua_State *L) {
  Task *t = task_maybe(L);
  if (t != NULL && L == t->co) {
    t->exposed = t->seen = true;
    coro_mark_task(L, L);
  }
  int is_main = lua_pushthread(L);
  lua_pushboolean(L, is_main);
  return 2;
}

// The <close> variables of a coroutine have run: true, or false and an error.
static int finish_close(lua_State *L, lua_State *co, int results) {
  return results >= 0 ? results : finish_resume(L, co, results);
}

// coroutine.close, as Lua's; <close> variables run by it may wait.
static int l_close(lua_State *L) {
  lua_State *co = check_thread(L);
  const char *status = status_of(L, co, 1);
  if (strcmp(status, "suspended") != 0 && strcmp(status, "dead") != 0) {
    return luaL_error(L, "cannot close a %s coroutine", status);
  }
  lua_settop(L, 1);
  int count = coro_unwind(L, co);
  if (count > 0) return go(L, co, count, finish_close);
  lua_pushboolean(L, true);
  return 1;
}

// trio.install(): put the coroutine library and the guarded pcall and xpcall
// into the globals. Call it before libraries keep copies of the originals.
static int l_install(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setglobal(L, "coroutine");
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setfield(L, -2, "coroutine");
  pcall_push_guarded(L);
  lua_setglobal(L, "xpcall");
  lua_setglobal(L, "pcall");
  state_of(L)->installed = true;
  return 0;
}

void coro_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"create", l_create},
                                       {"resume", l_resume},
                                       {"wrap", l_wrap},
                                       {"yield", l_yield},
                                       {"status", l_status},
                                       {"isyieldable", l_isyieldable},
                                       {"running", l_running},
                                       {"close", l_close},
                                       {NULL, NULL}};
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &waiting_key);
  lost_open(L);
  with_open(L);
  luaL_newlib(L, functions);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, l_install, 1);
  lua_setfield(L, -3, "install");
  lua_setfield(L, -2, "coroutine");
}
