// SPDX-License-Identifier: MIT
// A host with a libuv loop of its own, as a program with windows has one: trio
// runs on it as a guest. The host draws a frame every 10 ms. A "click" calls
// into Lua, where it wakes a task; when the window is "closed" the host cancels
// the run, and leaves its loop once that has cleaned up.
//
//   cc guest.c $(pkg-config --cflags --libs trio-lua)
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <trio.h>
#include <uv.h>

static const char script[] =
    "local trio = require 'trio'\n"
    "local clicks, received = trio.open_memory_channel(math.huge)\n"
    "local scope = trio.CancelScope()\n"
    "function on_click(x, y) clicks:send_nowait {x, y} end\n"
    "function on_window_closed() scope:cancel('the window was closed') end\n"
    "scope:run(function()\n"
    "  local _ <close> = trio.defer(function() print('cleaned up') end)\n"
    "  for click in received do\n"
    "    trio.sleep(0.02)\n"  // asks a server, say
    "    print('clicked at ' .. click[1] .. ', ' .. click[2])\n"
    "  end\n"
    "end)\n"
    "return 'goodbye'\n";

typedef struct Window {
  lua_State *L;
  uv_timer_t frames;
  int drawn;
} Window;

// Callbacks of the host may call Lua, but they are no tasks: nothing can wait
// in them.
static void call(lua_State *L, const char *name, int x, int y) {
  lua_getglobal(L, name);
  lua_pushinteger(L, x);
  lua_pushinteger(L, y);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    lua_pop(L, 2);
  }
}

static void on_frame(uv_timer_t *timer) {
  Window *window = timer->data;
  switch (++window->drawn) {
    case 2:
      call(window->L, "on_click", 10, 20);
      break;
    case 4:
      call(window->L, "on_click", 30, 40);
      break;
    case 20:
      call(window->L, "on_window_closed", 0, 0);
      break;
    default:
      break;
  }
}

static void on_done(lua_State *L, int status, int count, void *data) {
  Window *window = data;
  const char *text = count > 0 ? luaL_tolstring(L, -1, NULL) : "";
  printf("%s: %s\n", status == LUA_OK ? "the run returned" : "the run failed",
         text);
  if (count > 0) lua_pop(L, 1);
  uv_close((uv_handle_t *)&window->frames, NULL);  // the host's last handle
}

int main(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "trio", luaopen_trio, 0);
  lua_pop(L, 1);

  uv_loop_t loop;
  Window window = {.L = L, .frames.data = &window};
  uv_loop_init(&loop);
  uv_timer_init(&loop, &window.frames);
  uv_timer_start(&window.frames, on_frame, 10, 10);

  int status = luaL_loadstring(L, script);
  if (status == LUA_OK) {
    status = trio_start_guest_run(L, &loop, on_done, &window);
  }
  if (status != LUA_OK) {
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
    return 1;
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  printf("frames went on meanwhile: %s\n", window.drawn >= 20 ? "yes" : "no");
  lua_close(L);
  return uv_loop_close(&loop) == 0 ? 0 : 1;
}
