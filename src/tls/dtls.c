// SPDX-License-Identifier: MIT
// dtls.c: trio.ssl._dtls, for lua/trio/dtls*.lua only: a connection over
// datagrams, and the primitives of its cookies.
//
// OpenSSL would retransmit by itself, by the real clock, and ask the kernel
// for an MTU. Both are turned off: the channel does the first by the clock of
// the run, and is told the second.
#include "dtls.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdint.h>

#include "../base/debug.h"

#include "context.h"
#include "engine.h"
#include "failure.h"

enum { HASH_SIZE = 32, MAX_RANDOM = 256 };

// ---- connections

// How long OpenSSL shall wait before it retransmits, in microseconds: longer
// than any handshake.
static unsigned on_timer(SSL *ssl, unsigned duration) {
  UNUSED(ssl);
  UNUSED(duration);
  return UINT_MAX;
}

// prepare(engine): of a datagram context, before anything else
static int l_prepare(lua_State *L) {
  const Engine *e = engine_check(L);
  openssl.SSL_set_options(e->ssl,
                          SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION);
  openssl.DTLS_set_timer_cb(e->ssl, on_timer);
  return 0;
}

// listen(engine) -> true: what it was fed is a hello; it is now as if the
// engine had sent the HelloVerifyRequest that the hello answers
static int l_listen(lua_State *L) {
  const Engine *e = engine_check(L);
  BIO_ADDR *peer = openssl.BIO_ADDR_new();
  if (peer == NULL) return luaL_error(L, "not enough memory");
  openssl.ERR_clear_error();
  int code = openssl.DTLSv1_listen(e->ssl, peer);
  openssl.ERR_clear_error();
  openssl.BIO_ADDR_free(peer);
  lua_pushboolean(L, code == 1);
  return 1;
}

// set_mtu(engine, bytes): the largest datagram
static int l_set_mtu(lua_State *L) {
  const Engine *e = engine_check(L);
  SSL_set_mtu(e->ssl, (long)luaL_checkinteger(L, 2));
  return 0;
}

// data_mtu(engine) -> how much data a datagram of that size has room for
static int l_data_mtu(lua_State *L) {
  const Engine *e = engine_check(L);
  lua_pushinteger(L, (lua_Integer)openssl.DTLS_get_data_mtu(e->ssl));
  return 1;
}

// ---- cookies

// random(count) -> so many bytes that nobody can guess
static int l_random(lua_State *L) {
  lua_Integer count = luaL_checkinteger(L, 1);
  luaL_argcheck(L, count > 0 && count <= MAX_RANDOM, 1, "out of range");
  unsigned char bytes[MAX_RANDOM];
  openssl_load(L);
  openssl.ERR_clear_error();
  if (openssl.RAND_bytes(bytes, (int)count) != 1) {
    return failure_raise(L, "no random bytes");
  }
  lua_pushlstring(L, (const char *)bytes, (size_t)count);
  return 1;
}

// hmac(key, data) -> HMAC-SHA256
static int l_hmac(lua_State *L) {
  size_t key_length;
  const char *key = luaL_checklstring(L, 1, &key_length);
  luaL_argcheck(L, key_length <= INT_MAX, 1, "too long");
  size_t length;
  const char *data = luaL_checklstring(L, 2, &length);
  unsigned char hash[HASH_SIZE];
  unsigned size = 0;
  openssl_load(L);
  openssl.ERR_clear_error();
  if (openssl.HMAC(openssl.EVP_sha256(), key, (int)key_length,
                   (const unsigned char *)data, length, hash, &size) == NULL) {
    return failure_raise(L, "HMAC");
  }
  lua_pushlstring(L, (const char *)hash, size);
  return 1;
}

// equal(a, b) -> boolean, in a time that only depends on the lengths
static int l_equal(lua_State *L) {
  size_t length, other;
  const char *a = luaL_checklstring(L, 1, &length);
  const char *b = luaL_checklstring(L, 2, &other);
  openssl_load(L);
  lua_pushboolean(L,
                  length == other && openssl.CRYPTO_memcmp(a, b, length) == 0);
  return 1;
}

void dtls_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"context", dtls_context}, {"prepare", l_prepare},   {"listen", l_listen},
      {"set_mtu", l_set_mtu},    {"data_mtu", l_data_mtu}, {"random", l_random},
      {"hmac", l_hmac},          {"equal", l_equal},       {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "_dtls");
}
