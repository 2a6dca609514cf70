// SPDX-License-Identifier: MIT
// floor_server.c: what server.lua is compared with: the same Lua programs, one
// coroutine for each connection, driven by C on libuv, with nothing around
// them. net_load.c starts both.
//
// Reading stays armed while data is wanted; what comes while nobody waits is
// kept and stops the reading. A write is tried at once, and only its rest is
// queued.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

static const char programs[] =
    "local receive, send = ...\n"
    "local chunk = ('x'):rep(65536)\n"
    "local function echo(c)\n"
    "  local data = receive(c)\n"
    "  while data and send(c, data) do data = receive(c) end\n"
    "end\n"
    "local function source(c) while send(c, chunk) do end end\n"
    "local function sink(c)\n"
    "  while receive(c) do end\n"
    "  send(c, 'x')\n"
    "end\n"
    "return echo, source, sink\n";

typedef struct Connection {
  uv_tcp_t tcp;
  uv_write_t write;
  lua_State *co;
  int anchor;  // of the coroutine
  int kept;    // anchor of what came while nobody waited, or 0
  bool waiting, reading, ended;
} Connection;

static lua_State *L;
static uv_loop_t *loop;
static char received[65536];

static void die(const char *what, int status) {
  fprintf(stderr, "floor_server: %s: %s\n", what, uv_strerror(status));
  exit(1);
}

static void on_closed(uv_handle_t *handle) { free(handle); }

static void step(Connection *c, int values) {
  int results;
  int status = lua_resume(c->co, L, values, &results);
  if (status == LUA_YIELD) return;
  if (status != LUA_OK) die(lua_tostring(c->co, -1), UV_ECANCELED);
  luaL_unref(L, LUA_REGISTRYINDEX, c->anchor);
  uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf) {
  (void)handle;
  (void)wanted;
  *buf = uv_buf_init(received, sizeof received);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
  Connection *c = (Connection *)stream;
  if (count == 0) return;
  if (count < 0) c->ended = true;
  if (c->waiting) {
    c->waiting = false;
    if (c->ended) {
      lua_pushnil(c->co);
    } else {
      lua_pushlstring(c->co, buf->base, (size_t)count);
    }
    step(c, 1);
    return;
  }
  uv_read_stop(stream);
  c->reading = false;
  if (c->ended) return;
  lua_pushlstring(L, buf->base, (size_t)count);
  c->kept = luaL_ref(L, LUA_REGISTRYINDEX);
}

// receive(c): a string, or nil at the end
static int l_receive(lua_State *co) {
  Connection *c = lua_touserdata(co, 1);
  if (c->kept != 0) {
    lua_rawgeti(co, LUA_REGISTRYINDEX, c->kept);
    luaL_unref(co, LUA_REGISTRYINDEX, c->kept);
    c->kept = 0;
    return 1;
  }
  if (c->ended) return 0;
  if (!c->reading) {
    c->reading = true;
    uv_read_start((uv_stream_t *)&c->tcp, on_buffer, on_read);
  }
  c->waiting = true;
  return lua_yield(co, 0);
}

static void on_written(uv_write_t *write, int status) {
  Connection *c = (Connection *)write->handle;
  lua_pushboolean(c->co, status == 0);
  step(c, 1);
}

// send(c, data): whether it went well
static int l_send(lua_State *co) {
  Connection *c = lua_touserdata(co, 1);
  size_t size;
  const char *data = lua_tolstring(co, 2, &size);
  uv_stream_t *stream = (uv_stream_t *)&c->tcp;
  uv_buf_t buf = uv_buf_init((char *)data, (unsigned)size);
  int sent = uv_try_write(stream, &buf, 1);
  if (sent < 0 && sent != UV_EAGAIN) return 0;
  if (sent > 0) {
    buf.base += sent;
    buf.len -= (size_t)sent;
  }
  if (buf.len == 0) {
    lua_pushboolean(co, true);
    return 1;
  }
  // The string stays on this stack until then.
  if (uv_write(&c->write, stream, &buf, 1, on_written) != 0) return 0;
  return lua_yield(co, 0);
}

static void on_client(uv_stream_t *server, int status) {
  if (status != 0) die("listen", status);
  Connection *c = calloc(1, sizeof *c);
  if (c == NULL) exit(1);
  uv_tcp_init(loop, &c->tcp);
  status = uv_accept(server, (uv_stream_t *)&c->tcp);
  if (status != 0) die("accept", status);
  uv_tcp_nodelay(&c->tcp, 1);
  c->co = lua_newthread(L);
  c->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, *(int *)server->data);
  lua_xmove(L, c->co, 1);
  lua_pushlightuserdata(c->co, c);
  step(c, 1);
}

// The program at that index of the stack serves the connections.
static int listen_with(uv_tcp_t *server, int *program) {
  struct sockaddr_in address;
  int length = sizeof address;
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_init(loop, server);
  server->data = program;
  int status = uv_tcp_bind(server, (struct sockaddr *)&address, 0);
  if (status == 0) status = uv_listen((uv_stream_t *)server, 1024, on_client);
  if (status != 0) die("listen", status);
  uv_tcp_getsockname(server, (struct sockaddr *)&address, &length);
  return ntohs(address.sin_port);
}

int main(void) {
  static uv_tcp_t servers[3];
  static int indices[3] = {1, 2, 3};
  loop = uv_default_loop();
  L = luaL_newstate();
  luaL_openlibs(L);
  if (luaL_loadstring(L, programs) != LUA_OK) return 1;
  lua_pushcfunction(L, l_receive);
  lua_pushcfunction(L, l_send);
  lua_call(L, 2, 3);
  for (int i = 0; i < 3; i++) {
    printf("%d ", listen_with(&servers[i], &indices[i]));
  }
  printf("\n");
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
