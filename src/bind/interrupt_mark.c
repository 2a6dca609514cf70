// SPDX-License-Identifier: MIT
// interrupt_mark.c: see interrupt_mark.h.
#include "interrupt_mark.h"

#include <lauxlib.h>

#include "class.h"
#include "interrupt.h"

typedef enum Mark { UNMARKED, PROTECTED, UNPROTECTED } Mark;

static int ended(lua_State *L, int status, lua_KContext context) {
  UNUSED(status);
  UNUSED(context);
  interrupt_recheck(L);
  return lua_gettop(L);
}

// Call the function in the upvalue.
static int call(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, ended);
  return ended(L, LUA_OK, 0);
}

// Two functions of different addresses: they are the marks.
static int call_protected(lua_State *L) { return call(L); }

static int call_unprotected(lua_State *L) {
  interrupt_recheck(L);
  int results = call(L);
  return results;
}

// The innermost mark on the stack of one coroutine.
static Mark mark_in(lua_State *co) {
  lua_Debug ar;
  if (!lua_checkstack(co, 2)) return UNMARKED;
  for (int level = 0; lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "f", &ar);
    lua_CFunction function = lua_tocfunction(co, -1);
    lua_pop(co, 1);
    if (function == call_protected) return PROTECTED;
    if (function == call_unprotected) return UNPROTECTED;
  }
  return UNMARKED;
}

// The coroutine that co has resumed (bind/coro.c): the first value on the
// frame of the function that did it. NULL if there is none.
static lua_State *resumed_by(lua_State *co) {
  lua_Debug ar;
  if (!lua_getstack(co, 0, &ar) || lua_getlocal(co, &ar, 1) == NULL) {
    return NULL;
  }
  lua_State *inner = lua_tothread(co, -1);
  lua_pop(co, 1);
  return inner;
}

bool interrupt_is_protected(const Task *t) {
  bool is_protected = t->system;
  lua_State *co = t->co;
  for (;;) {
    Mark mark = mark_in(co);
    if (mark != UNMARKED) is_protected = mark == PROTECTED;
    if (co == t->top || (co = resumed_by(co)) == NULL) return is_protected;
  }
}

static int push_wrapper(lua_State *L, lua_CFunction function) {
  arg_callable(L, 1);
  lua_settop(L, 1);
  lua_pushcclosure(L, function, 1);
  return 1;
}

// trio.lowlevel.enable_ki_protection(fn) -> a function that calls fn, in which
// Ctrl+C raises nothing but at checkpoints.
static int l_enable(lua_State *L) { return push_wrapper(L, call_protected); }

// trio.lowlevel.disable_ki_protection(fn) -> a function that calls fn without
// the protection of who calls it.
static int l_disable(lua_State *L) { return push_wrapper(L, call_unprotected); }

// trio.lowlevel.currently_ki_protected() -> boolean. Outside of tasks: true.
static int l_currently(lua_State *L) {
  const Task *t = task_maybe(L);
  lua_pushboolean(L, t == NULL || interrupt_is_protected(t));
  return 1;
}

void interrupt_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"enable_ki_protection", l_enable},
                                       {"disable_ki_protection", l_disable},
                                       {"currently_ki_protected", l_currently},
                                       {NULL, NULL}};
  lua_getfield(L, -1, "lowlevel");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
