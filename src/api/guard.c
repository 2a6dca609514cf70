// SPDX-License-Identifier: MIT
// guard.c: see guard.h.
#include "guard.h"

#include "../bind/class.h"

int guard_leave(lua_State *L, void *self, int status) {
  UNUSED(self);
  lua_getfield(L, WITH_SELF, "release");
  lua_pushvalue(L, WITH_SELF);
  lua_call(L, 1, 0);
  if (status != LUA_OK) return with_rethrow(L);
  return lua_gettop(L) - WITH_BODY + 1;
}

int guard_then(lua_State *L, Task *t, void *self) {
  static const WithOps ops = {.leave = guard_leave};
  UNUSED(t);
  UNUSED(self);
  lua_settop(L, 2);
  return with(L, &ops);
}

void guard_check(lua_State *L) {
  arg_callable(L, 2);
  lua_settop(L, 2);
}
