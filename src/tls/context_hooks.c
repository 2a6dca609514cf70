// SPDX-License-Identifier: MIT
// context_hooks.c: what OpenSSL asks a context during a handshake: which
// protocol (ALPN), which certificate (SNI), and where to write the secrets
// for debugging. No Lua error may leave these functions.
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/debug.h"
#include "../base/mem.h"
#include "../io/path.h"
#include "context.h"
#include "engine.h"
#include "failure.h"

static Context *check_context(lua_State *L) {
  return class_check(L, 1, &context_class);
}

// ---- ALPN

enum { MAX_PROTOCOL = 255, MAX_PROTOCOLS = 65535 };

// Push the protocols of the array at idx as the TLS message has them.
static void push_protocols(lua_State *L, int idx) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  lua_Integer count = luaL_len(L, idx);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, idx, i);
    size_t length = 0;
    if (lua_type(L, -1) == LUA_TSTRING) lua_tolstring(L, -1, &length);
    if (length == 0 || length > MAX_PROTOCOL) {
      luaL_argerror(L, idx, "a protocol must be a string of 1 to 255 bytes");
    }
    lua_pop(L, 1);
    luaL_addchar(&b, (char)length);
    lua_geti(L, idx, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

// context:set_alpn_protocols(array)
int context_set_alpn_protocols(lua_State *L) {
  Context *c = check_context(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  push_protocols(L, 2);
  size_t length;
  const char *list = lua_tolstring(L, -1, &length);
  luaL_argcheck(L, length <= MAX_PROTOCOLS, 2, "too many protocols");
  unsigned char *copy = mem_alloc(length + 1);
  if (copy == NULL) return luaL_error(L, "not enough memory");
  memcpy(copy, list, length);
  if (openssl.SSL_CTX_set_alpn_protos(c->ssl_ctx, copy, (unsigned)length)) {
    mem_free(copy);
    return failure_raise(L, "set_alpn_protocols");
  }
  mem_free(c->alpn);
  c->alpn = copy;
  c->alpn_length = (unsigned)length;
  return 0;
}

// The server's choice: the first of its own that the client has, too.
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *length,
                   const unsigned char *offered, unsigned offered_length,
                   void *data) {
  UNUSED(data);
  const Context *c = engine_of(ssl)->context;
  if (c->alpn_length == 0) return SSL_TLSEXT_ERR_NOACK;
  unsigned char *chosen;
  if (openssl.SSL_select_next_proto(&chosen, length, c->alpn, c->alpn_length,
                                    offered,
                                    offered_length) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// ---- SNI

// context.sni_callback = function or nil
int context_set_sni_callback(lua_State *L) {
  check_context(L);
  if (!lua_isnil(L, 2)) arg_callable(L, 2);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, CONTEXT_SNI_CALLBACK);
  return 0;
}

// The name in the extension of a client's message: after the length of a list,
// the kind of its only entry (0) and the length of that.
static bool find_server_name(SSL *ssl, const char **name, size_t *length) {
  const unsigned char *data;
  size_t size;
  if (!openssl.SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data,
                                         &size) ||
      size < 5 || data[2] != TLSEXT_NAMETYPE_host_name) {
    return false;
  }
  *name = (const char *)data + 5;
  *length = ((size_t)data[3] << 8) + data[4];
  return *length <= size - 5;
}

// This comes before OpenSSL looks for a session to resume (its callback for
// SNI would come after that), so a session that was made in one context can't
// be resumed in another one, which may ask for more.
static int on_client_hello(SSL *ssl, int *alert, void *data) {
  UNUSED(data);
  const char *name = NULL;
  size_t length = 0;
  if (!find_server_name(ssl, &name, &length)) name = NULL;
  int code = engine_ask_sni_callback(engine_of(ssl), name, length);
  if (code < 0) return SSL_CLIENT_HELLO_SUCCESS;
  *alert = code;
  return SSL_CLIENT_HELLO_ERROR;
}

// ---- key log

// A line at once, because several connections and processes share the file.
static void on_key(const SSL *ssl, const char *line) {
  int fd = engine_of(ssl)->context->keylog_fd;
  char text[512];
  int length = snprintf(text, sizeof text, "%s\n", line);
  if (fd < 0 || length >= (int)sizeof text) return;
  ssize_t written = write(fd, text, (size_t)length);
  UNUSED(written);  // it is for debugging only
}

void context_log_keys(Context *c, int fd) {
  if (c->keylog_fd >= 0) close(c->keylog_fd);
  c->keylog_fd = fd;
  // (With a callback, OpenSSL would make the lines for nothing.)
  openssl.SSL_CTX_set_keylog_callback(c->ssl_ctx, fd < 0 ? NULL : on_key);
}

// context.keylog_filename = path or nil
int context_set_keylog_filename(lua_State *L) {
  Context *c = check_context(L);
  int fd = -1;
  if (!lua_isnil(L, 2)) {
    const char *path = path_test(L, 2);
    if (path == NULL) {
      return luaL_error(L, "keylog_filename must be a path or nil");
    }
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      path_push_error(L, errno, "open", path);
      return lua_error(L);
    }
  }
  context_log_keys(c, fd);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, CONTEXT_KEYLOG_NAME);
  return 0;
}

void context_hook(Context *c) {
  openssl.SSL_CTX_set_alpn_select_cb(c->ssl_ctx, on_alpn, NULL);
  openssl.SSL_CTX_set_client_hello_cb(c->ssl_ctx, on_client_hello, NULL);
}
