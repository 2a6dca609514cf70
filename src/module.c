// SPDX-License-Identifier: MIT
// module.c: luaopen_trio: builds the module table from the open functions of
// every file; the Lua files embedded at build time come in lazy.c. May run
// again in the same state; several states may live side by side.
#include <lauxlib.h>

#include "api/api.h"
#include "api/scope.h"
#include "base/debug.h"
#include "bind/class.h"
#include "bind/coro.h"
#include "bind/error.h"
#include "bind/group.h"
#include "bind/interrupt_mark.h"
#include "bind/pcall.h"
#include "bind/peek.h"
#include "bind/runner.h"
#include "bind/slow.h"
#include "io/io.h"
#include "lazy.h"
#include "tls/tls.h"
#include "trio.h"

#ifndef TRIO_VERSION
#define TRIO_VERSION "0.1.0"
#endif

static void (*const opens[])(lua_State *) = {
    state_open,      error_open,   group_open,     pcall_open,
    coro_open,       scope_open,   timeouts_open,  nursery_open,
    start_open,      time_open,    run_open,       task_open,
    variables_open,  event_open,   lock_open,      semaphore_open,
    condition_open,  limiter_open, channel_open,   lowlevel_open,
    reschedule_open, parking_open, token_open,     tree_open,
    instrument_open, testing_open, clock_open,     peek_open,
    thread_open,     file_open,    fs_open,        watch_open,
    constants_open,  socket_open,  resolve_open,   stream_open,
    process_open,    signal_open,  interrupt_open, steps_open,
    trace_open,      slow_open,    listener_open,  tls_open};

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
  lazy_open(L);
  return 1;
}

// `require "trio.busted"` before `require "trio"`, with trio.so: Lua looks for
// this name in the library of the root module.
int luaopen_trio_busted(lua_State *L) {
  luaL_requiref(L, "trio", luaopen_trio, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_getfield(L, -1, "trio.busted");
  lua_call(L, 0, 1);
  return 1;
}
