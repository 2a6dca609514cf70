// SPDX-License-Identifier: MIT
// engine_info.c: what a connection knows after its handshake. The public names
// are those of SSLStream (lua/trio/ssl_stream.lua), which adds the checks.
#include <lauxlib.h>
#include <string.h>

#include "certificate.h"
#include "engine.h"
#include "session.h"

// Push what `push` makes of the peer's certificate; it is freed also where Lua
// runs out of memory.
static int push_peer(lua_State *L) {
  X509 *certificate = lua_touserdata(L, 1);
  if (lua_toboolean(L, 2)) {
    certificate_push_der(L, certificate);
  } else {
    certificate_push(L, certificate);
  }
  return 1;
}

// engine:getpeercert(binary): nil: the peer has none. Unverified, only the
// binary form has content.
static int l_getpeercert(lua_State *L) {
  Engine *e = engine_check(L);
  bool binary = lua_toboolean(L, 2);
  X509 *certificate = openssl.SSL_get1_peer_certificate(e->ssl);
  if (certificate == NULL) return 0;
  if (!binary && openssl.SSL_get_verify_mode(e->ssl) == SSL_VERIFY_NONE) {
    openssl.X509_free(certificate);
    lua_newtable(L);
    return 1;
  }
  lua_pushcfunction(L, push_peer);
  lua_pushlightuserdata(L, certificate);
  lua_pushboolean(L, binary);
  int status = lua_pcall(L, 2, 1, 0);
  openssl.X509_free(certificate);
  return status == LUA_OK ? 1 : lua_error(L);
}

static void push_cipher(lua_State *L, const SSL_CIPHER *cipher) {
  lua_createtable(L, 0, 3);
  lua_pushstring(L, openssl.SSL_CIPHER_get_name(cipher));
  lua_setfield(L, -2, "name");
  lua_pushstring(L, openssl.SSL_CIPHER_get_version(cipher));
  lua_setfield(L, -2, "version");
  lua_pushinteger(L, openssl.SSL_CIPHER_get_bits(cipher, NULL));
  lua_setfield(L, -2, "bits");
}

static int l_cipher(lua_State *L) {
  const Engine *e = engine_check(L);
  const SSL_CIPHER *cipher = openssl.SSL_get_current_cipher(e->ssl);
  if (cipher == NULL) return 0;
  push_cipher(L, cipher);
  return 1;
}

// Those of the client that the server has, too; nil in a client.
static int l_shared_ciphers(lua_State *L) {
  const Engine *e = engine_check(L);
  STACK_OF(SSL_CIPHER) *theirs = openssl.SSL_get_client_ciphers(e->ssl);
  STACK_OF(SSL_CIPHER) *ours = openssl.SSL_get_ciphers(e->ssl);
  if (!e->server_side || theirs == NULL || ours == NULL) return 0;
  lua_newtable(L);
  lua_Integer place = 0;
  for (int i = 0; i < sk_SSL_CIPHER_num(theirs); i++) {
    const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(theirs, i);
    if (sk_SSL_CIPHER_find(ours, cipher) < 0) continue;
    push_cipher(L, cipher);
    lua_rawseti(L, -2, ++place);
  }
  return 1;
}

static int l_version(lua_State *L) {
  lua_pushstring(L, openssl.SSL_get_version(engine_check(L)->ssl));
  return 1;
}

static int l_selected_alpn_protocol(lua_State *L) {
  const unsigned char *name;
  unsigned length;
  openssl.SSL_get0_alpn_selected(engine_check(L)->ssl, &name, &length);
  if (length == 0) return 0;
  lua_pushlstring(L, (const char *)name, length);
  return 1;
}

// Both sides' messages "Finished" are known to both; this is the first one.
static int push_tls_unique(lua_State *L, const Engine *e) {
  char bytes[64];
  bool is_ours = !e->server_side != !!openssl.SSL_session_reused(e->ssl);
  size_t length =
      is_ours ? openssl.SSL_get_finished(e->ssl, bytes, sizeof bytes)
              : openssl.SSL_get_peer_finished(e->ssl, bytes, sizeof bytes);
  if (length == 0 || openssl.SSL_version(e->ssl) == TLS1_3_VERSION) return 0;
  lua_pushlstring(L, bytes, length);
  return 1;
}

// RFC 9266
static int push_tls_exporter(lua_State *L, const Engine *e) {
  static const char label[] = "EXPORTER-Channel-Binding";
  unsigned char bytes[32];
  if (openssl.SSL_export_keying_material(e->ssl, bytes, sizeof bytes, label,
                                         sizeof label - 1, (void *)"", 0,
                                         1) != 1) {
    return failure_raise(L, "get_channel_binding");
  }
  lua_pushlstring(L, (const char *)bytes, sizeof bytes);
  return 1;
}

static int l_get_channel_binding(lua_State *L) {
  static const char *const kinds[] = {"tls-unique", "tls-exporter", NULL};
  const Engine *e = engine_check(L);
  bool is_newer = openssl.SSL_version(e->ssl) == TLS1_3_VERSION;
  int kind = luaL_checkoption(L, 2, kinds[is_newer], kinds);
  return kind == 0 ? push_tls_unique(L, e) : push_tls_exporter(L, e);
}

// How many decrypted bytes are there, or may be after no further input.
static int l_pending(lua_State *L) {
  lua_pushinteger(L, openssl.SSL_pending(engine_check(L)->ssl));
  return 1;
}

static int l_session_reused(lua_State *L) {
  lua_pushboolean(L, openssl.SSL_session_reused(engine_check(L)->ssl));
  return 1;
}

static int copy_session(lua_State *L) {
  session_push(L, lua_touserdata(L, 2), 1);
  return 1;
}

// engine:session(): nil: there is none yet. Also of a closed engine.
static int l_session(lua_State *L) {
  const Engine *e = class_check(L, 1, &engine_class);
  SSL_SESSION *session = e->session;
  if (e->ssl != NULL) {
    session = openssl.SSL_get1_session(e->ssl);
  } else if (session != NULL) {
    openssl.SSL_SESSION_up_ref(session);
  }
  if (session == NULL) return 0;
  lua_pushcfunction(L, copy_session);
  lua_getiuservalue(L, 1, ENGINE_CONTEXT);
  lua_pushlightuserdata(L, session);
  int status = lua_pcall(L, 2, 1, 0);
  openssl.SSL_SESSION_free(session);
  return status == LUA_OK ? 1 : lua_error(L);
}

static int l_context(lua_State *L) {
  class_check(L, 1, &engine_class);
  lua_getiuservalue(L, 1, ENGINE_CONTEXT);
  return 1;
}

const luaL_Reg engine_info_methods[] = {
    {"getpeercert", l_getpeercert},
    {"cipher", l_cipher},
    {"shared_ciphers", l_shared_ciphers},
    {"version", l_version},
    {"selected_alpn_protocol", l_selected_alpn_protocol},
    {"get_channel_binding", l_get_channel_binding},
    {"pending", l_pending},
    {"session_reused", l_session_reused},
    {"session", l_session},
    {"context", l_context},
    {NULL, NULL},
};
