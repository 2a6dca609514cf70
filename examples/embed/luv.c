// SPDX-License-Identifier: MIT
// luv and trio on one loop: the host gives luv the loop that trio.run waits
// in. Callbacks of luv run while tasks wait, and wake tasks through an event
// and a channel; there is one libuv, one loop and one thread.
//
//   cc luv.c $(pkg-config --cflags --libs trio-lua lua5.4-luv)
#include <lauxlib.h>
#include <lualib.h>
#include <luv/luv.h>
#include <stdio.h>
#include <trio.h>

// Waiting in a callback of luv is not possible: nothing there is a task.
static const char script[] =
    "local trio, uv = require 'trio', require 'luv'\n"
    "local function sleep_by_luv(ms)\n"
    "  local rung, timer = trio.Event(), uv.new_timer()\n"
    "  local _ <close> = trio.defer(function() timer:close() end)\n"
    "  timer:start(ms, 0, function() rung:set() end)\n"
    "  rung:wait()\n"
    "end\n"
    "sleep_by_luv(10)\n"
    "print('the timer of luv has rung')\n"
    "local scope = trio.move_on_after(0.01, function()\n"
    "  sleep_by_luv(60000)\n"
    "end)\n"
    "print('given up: ' .. tostring(scope.cancelled_caught))\n"
    "\n"
    "local send, receive = trio.open_memory_channel(math.huge)\n"
    "local server = uv.new_tcp()\n"
    "server:bind('127.0.0.1', 0)\n"
    "server:listen(1, function()\n"
    "  local peer = uv.new_tcp()\n"
    "  server:accept(peer)\n"
    "  peer:read_start(function(_, data)\n"
    "    if data then send:send_nowait(data) else peer:close() end\n"
    "  end)\n"
    "end)\n"
    "local stream = trio.open_tcp_stream('127.0.0.1',\n"
    "                                    server:getsockname().port)\n"
    "stream:send_all('from trio to luv')\n"
    "print('received ' .. receive:receive())\n"
    "stream:aclose()\n"
    "server:close()\n";

int main(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "trio", luaopen_trio, 0);
  // Before luv is opened; without this it would make a loop of its own.
  luv_set_loop(L, trio_loop(L));
  luaL_requiref(L, "luv", luaopen_luv, 0);
  lua_pop(L, 2);

  int status = luaL_loadstring(L, script);
  if (status == LUA_OK) status = trio_run(L, 0, 0, 0);
  if (status != LUA_OK) fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
  lua_close(L);
  return status;
}
