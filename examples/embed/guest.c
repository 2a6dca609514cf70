// SPDX-License-Identifier: MIT
// A host with a libuv loop of its own, as a GUI would have one: trio runs on
// it as a guest. The host's timer ticks every 10 ms, and the tasks sleep and
// talk meanwhile; when the run ends, the host leaves its loop.
//
//   cc guest.c $(pkg-config --cflags --libs trio-lua libuv) -o guest
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <trio.h>
#include <uv.h>

static const char script[] =
    "local trio = require 'trio'\n"
    "trio.open_nursery(function(nursery)\n"
    "  for i = 1, 3 do\n"
    "    nursery:start_soon(function()\n"
    "      trio.sleep(i * 0.03)\n"
    "      print('task ' .. i .. ' has slept')\n"
    "    end)\n"
    "  end\n"
    "end)\n"
    "return 'all done'\n";

static int ticks;

static void on_tick(uv_timer_t *timer) {
  (void)timer;
  ticks++;
}

static void on_done(lua_State *L, int status, int count, void *data) {
  const char *text = count > 0 ? luaL_tolstring(L, -1, NULL) : "";
  printf("%s: %s\n", status == LUA_OK ? "the run returned" : "the run failed",
         text);
  if (count > 0) lua_pop(L, 1);
  uv_close((uv_handle_t *)data, NULL);  // the host's last handle
}

int main(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "trio", luaopen_trio, 0);
  lua_pop(L, 1);

  uv_loop_t loop;
  uv_timer_t timer;
  uv_loop_init(&loop);
  uv_timer_init(&loop, &timer);
  uv_timer_start(&timer, on_tick, 10, 10);

  int status = luaL_loadstring(L, script);
  if (status == LUA_OK) {
    status = trio_start_guest_run(L, &loop, on_done, &timer);
  }
  if (status != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    return 1;
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  printf("the host's timer went on: %s\n", ticks >= 5 ? "yes" : "no");
  lua_close(L);
  uv_run(&loop, UV_RUN_DEFAULT);
  return uv_loop_close(&loop) == 0 ? 0 : 1;
}
