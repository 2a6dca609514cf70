// SPDX-License-Identifier: MIT
// module.c: luaopen_trio: builds the module table from the open functions of
// every file and from the Lua files embedded at build time. May run again in
// the same state; several states may live side by side.
#include <lauxlib.h>

#include "api/api.h"
#include "api/scope.h"
#include "base/debug.h"
#include "bind/class.h"
#include "bind/coro.h"
#include "bind/embedded.h"
#include "bind/error.h"
#include "bind/group.h"
#include "bind/pcall.h"
#include "bind/peek.h"
#include "bind/runner.h"
#include "io/io.h"
#include "trio.h"

#ifndef TRIO_VERSION
#define TRIO_VERSION "0.1.0"
#endif

static void (*const opens[])(lua_State *) = {
    state_open,      error_open,     group_open,    pcall_open,
    coro_open,       scope_open,     timeouts_open, nursery_open,
    start_open,      time_open,      run_open,      task_open,
    variables_open,  event_open,     lock_open,     semaphore_open,
    condition_open,  limiter_open,   channel_open,  lowlevel_open,
    reschedule_open, parking_open,   token_open,    tree_open,
    instrument_open, testing_open,   clock_open,    peek_open,
    watch_open,      constants_open, socket_open,   resolve_open,
    stream_open};

// Each embedded file returns a function(trio, kit) that adds its names; `kit`
// is a table for what these files share and nobody else sees.
static void open_embedded(lua_State *L) {
  lua_newtable(L);
  for (const EmbeddedLua *file = embedded_lua; file->name != NULL; file++) {
    if (luaL_loadbufferx(L, file->source, file->length, file->name, "t") !=
        LUA_OK) {
      lua_error(L);
    }
    lua_call(L, 0, 1);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 0);
  }
  lua_pop(L, 1);
}

int luaopen_trio(lua_State *L) {
  luaL_checkversion(L);
  lua_newtable(L);
  static const char *const spaces[] = {"lowlevel", "testing", "abc", "socket"};
  for (int i = 0; i < COUNT_OF(spaces); i++) {
    lua_newtable(L);
    lua_setfield(L, -2, spaces[i]);
  }
  for (int i = 0; i < COUNT_OF(opens); i++) opens[i](L);
  lua_pushliteral(L, TRIO_VERSION);
  lua_setfield(L, -2, "version");
  open_embedded(L);
  return 1;
}
