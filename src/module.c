// SPDX-License-Identifier: MIT
// module.c: luaopen_trio: builds the module table from the open functions of
// every file and from the Lua files embedded at build time. May run again in
// the same state; several states may live side by side.
#include <lauxlib.h>
#include <string.h>

#include "api/api.h"
#include "api/scope.h"
#include "base/debug.h"
#include "bind/class.h"
#include "bind/coro.h"
#include "bind/embedded.h"
#include "bind/error.h"
#include "bind/group.h"
#include "bind/interrupt_mark.h"
#include "bind/pcall.h"
#include "bind/peek.h"
#include "bind/runner.h"
#include "bind/slow.h"
#include "io/io.h"
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

// Push the chunk of an embedded file: compiled, if this Lua takes it.
static void load_chunk(lua_State *L, const EmbeddedLua *file) {
  lua_pushliteral(L, "=");
  luaL_gsub(L, file->name, ".", "/");
  lua_pushliteral(L, ".lua");
  lua_concat(L, 3);
  const char *name = lua_tostring(L, -1);
  int status = LUA_ERRSYNTAX;
  if (file->code_length > 0) {
    status = luaL_loadbufferx(L, file->code, file->code_length, name, "b");
    if (status != LUA_OK) lua_pop(L, 1);
  }
  if (status != LUA_OK) {
    status = luaL_loadbufferx(L, file->source, file->length, name, "t");
  }
  if (status != LUA_OK) lua_error(L);
  lua_remove(L, -2);
}

// Call the function(trio, kit) that an embedded file returns; trio and kit
// stand at these indices. `kit` is a table for what the files share and nobody
// else sees. [-0, +results, e]
static void run_embedded(lua_State *L, const EmbeddedLua *file, int trio,
                         int kit, int results) {
  load_chunk(L, file);
  lua_call(L, 0, 1);
  lua_pushvalue(L, trio);
  lua_pushvalue(L, kit);
  lua_call(L, 2, results);
}

// The loader of a file below lua/trio/preload. Upvalues: file, trio, kit.
static int load_embedded(lua_State *L) {
  const EmbeddedLua *file = lua_touserdata(L, lua_upvalueindex(1));
  run_embedded(L, file, lua_upvalueindex(2), lua_upvalueindex(3), 1);
  return 1;
}

static const char preload_prefix[] = "trio.preload.";

// lua/trio/preload/x.lua is the module trio.x: read when it is required.
static void preload_embedded(lua_State *L, const EmbeddedLua *file, int trio,
                             int kit) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushfstring(L, "trio.%s", file->name + sizeof preload_prefix - 1);
  lua_pushlightuserdata(L, (void *)file);
  lua_pushvalue(L, trio);
  lua_pushvalue(L, kit);
  lua_pushcclosure(L, load_embedded, 3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

// Every other embedded file adds its names to the module.
static void open_embedded(lua_State *L) {
  int trio = lua_gettop(L);
  lua_newtable(L);
  for (const EmbeddedLua *file = embedded_lua; file->name != NULL; file++) {
    if (strncmp(file->name, preload_prefix, sizeof preload_prefix - 1) == 0) {
      preload_embedded(L, file, trio, trio + 1);
    } else {
      run_embedded(L, file, trio, trio + 1, 0);
    }
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

// `require "trio.busted"` before `require "trio"`, with trio.so: Lua looks for
// this name in the library of the root module.
int luaopen_trio_busted(lua_State *L) {
  luaL_requiref(L, "trio", luaopen_trio, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_getfield(L, -1, "trio.busted");
  lua_call(L, 0, 1);
  return 1;
}
