// SPDX-License-Identifier: MIT
// context.c: trio.ssl.create_default_context and the fields of a context.
//
// One context serves connections of both roles. A client verifies the server
// and its name unless told otherwise; a server asks for a certificate only if
// the program has set verify_mode. The role is known when a connection is
// made, so nothing of that is set in OpenSSL's context (context_verify).
#include "context.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/debug.h"
#include "../base/mem.h"
#include "failure.h"

static Context *check_context(lua_State *L) {
  return class_check(L, 1, &context_class);
}

int context_verify(const Context *c, bool server_side) {
  return server_side && !c->has_verify_set ? SSL_VERIFY_NONE : c->verify;
}

// ---- verification

static const struct {
  const char *name;
  int mode;
} verify_modes[] = {
    {"none", SSL_VERIFY_NONE},
    {"optional", SSL_VERIFY_PEER},
    {"required", SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT},
};

static int get_verify_mode(lua_State *L) {
  const Context *c = check_context(L);
  for (int i = 0; i < COUNT_OF(verify_modes); i++) {
    if (verify_modes[i].mode == c->verify) {
      lua_pushstring(L, verify_modes[i].name);
    }
  }
  return 1;
}

// The mode that is assigned.
static int check_verify_mode(lua_State *L) {
  const char *name = lua_tostring(L, 2);
  for (int i = 0; name != NULL && i < COUNT_OF(verify_modes); i++) {
    if (strcmp(verify_modes[i].name, name) == 0) return verify_modes[i].mode;
  }
  return luaL_error(L, "verify_mode must be 'none', 'optional' or 'required'");
}

static int set_verify_mode(lua_State *L) {
  Context *c = check_context(L);
  int mode = check_verify_mode(L);
  if (mode == SSL_VERIFY_NONE && c->check_hostname) {
    return luaL_error(L,
                      "verify_mode can't be 'none' while check_hostname is "
                      "true: set that to false first");
  }
  c->verify = mode;
  c->has_verify_set = true;
  return 0;
}

static int get_check_hostname(lua_State *L) {
  lua_pushboolean(L, check_context(L)->check_hostname);
  return 1;
}

// Without verification the name would mean nothing.
static int set_check_hostname(lua_State *L) {
  Context *c = check_context(L);
  if (!lua_isboolean(L, 2)) {
    return luaL_error(L, "check_hostname must be a boolean");
  }
  c->check_hostname = lua_toboolean(L, 2);
  if (c->check_hostname && c->verify == SSL_VERIFY_NONE) {
    c->verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    c->has_verify_set = true;
  }
  return 0;
}

// ---- versions

static const struct {
  const char *name;
  int number;
  bool is_datagram;
} versions[] = {
    {"TLSv1", TLS1_VERSION, false},     {"TLSv1.1", TLS1_1_VERSION, false},
    {"TLSv1.2", TLS1_2_VERSION, false}, {"TLSv1.3", TLS1_3_VERSION, false},
    {"DTLSv1", DTLS1_VERSION, true},    {"DTLSv1.2", DTLS1_2_VERSION, true},
};

// Push the name; nil: whatever OpenSSL has.
static int push_version(lua_State *L, long number) {
  lua_pushnil(L);
  for (int i = 0; i < COUNT_OF(versions); i++) {
    if (versions[i].number == number) lua_pushstring(L, versions[i].name);
  }
  return 1;
}

// The version that is assigned.
static int check_version(lua_State *L, const Context *c) {
  if (lua_isnil(L, 2)) return 0;
  const char *name = luaL_tolstring(L, 2, NULL);
  for (int i = 0; i < COUNT_OF(versions); i++) {
    if (strcmp(versions[i].name, name) == 0 &&
        versions[i].is_datagram == c->is_datagram) {
      return versions[i].number;
    }
  }
  return luaL_error(L, "unknown version '%s' of %s", name,
                    c->is_datagram ? "DTLS" : "TLS");
}

static int get_minimum_version(lua_State *L) {
  return push_version(L,
                      SSL_CTX_get_min_proto_version(check_context(L)->ssl_ctx));
}

static int set_minimum_version(lua_State *L) {
  Context *c = check_context(L);
  if (!SSL_CTX_set_min_proto_version(c->ssl_ctx, check_version(L, c))) {
    return failure_raise(L, "minimum_version");
  }
  return 0;
}

static int get_maximum_version(lua_State *L) {
  return push_version(L,
                      SSL_CTX_get_max_proto_version(check_context(L)->ssl_ctx));
}

static int set_maximum_version(lua_State *L) {
  Context *c = check_context(L);
  if (!SSL_CTX_set_max_proto_version(c->ssl_ctx, check_version(L, c))) {
    return failure_raise(L, "maximum_version");
  }
  return 0;
}

// ---- the rest

static int get_protocol(lua_State *L) {
  lua_pushstring(L, check_context(L)->is_datagram ? "dtls" : "tls");
  return 1;
}

static int get_sni_callback(lua_State *L) {
  check_context(L);
  lua_getiuservalue(L, 1, CONTEXT_SNI_CALLBACK);
  return 1;
}

static int get_keylog_filename(lua_State *L) {
  check_context(L);
  lua_getiuservalue(L, 1, CONTEXT_KEYLOG_NAME);
  return 1;
}

static int get_num_tickets(lua_State *L) {
  const Context *c = check_context(L);
  lua_pushinteger(L, (lua_Integer)openssl.SSL_CTX_get_num_tickets(c->ssl_ctx));
  return 1;
}

static int set_num_tickets(lua_State *L) {
  Context *c = check_context(L);
  int is_integer;
  lua_Integer count = lua_tointegerx(L, 2, &is_integer);
  if (!is_integer || count < 0) {
    return luaL_error(L, "num_tickets must be an integer, not negative");
  }
  openssl.SSL_CTX_set_num_tickets(c->ssl_ctx, (size_t)count);
  return 0;
}

// context:set_ciphers(list): for TLS 1.2 and older
static int l_set_ciphers(lua_State *L) {
  Context *c = check_context(L);
  const char *list = luaL_checkstring(L, 2);
  if (!openssl.SSL_CTX_set_cipher_list(c->ssl_ctx, list)) {
    return failure_raise(L, "set_ciphers");
  }
  return 0;
}

// context:set_ciphersuites(list): for TLS 1.3
static int l_set_ciphersuites(lua_State *L) {
  Context *c = check_context(L);
  const char *list = luaL_checkstring(L, 2);
  if (!openssl.SSL_CTX_set_ciphersuites(c->ssl_ctx, list)) {
    return failure_raise(L, "set_ciphersuites");
  }
  return 0;
}

// context:session_stats() -> how often sessions were made and used again
static int l_session_stats(lua_State *L) {
  SSL_CTX *ctx = check_context(L)->ssl_ctx;
  const struct {
    const char *name;
    long count;
  } counts[] = {
      {"number", SSL_CTX_sess_number(ctx)},
      {"connect", SSL_CTX_sess_connect(ctx)},
      {"connect_good", SSL_CTX_sess_connect_good(ctx)},
      {"accept", SSL_CTX_sess_accept(ctx)},
      {"accept_good", SSL_CTX_sess_accept_good(ctx)},
      {"hits", SSL_CTX_sess_hits(ctx)},
      {"misses", SSL_CTX_sess_misses(ctx)},
      {"timeouts", SSL_CTX_sess_timeouts(ctx)},
      {"cache_full", SSL_CTX_sess_cache_full(ctx)},
  };
  lua_createtable(L, 0, COUNT_OF(counts));
  for (int i = 0; i < COUNT_OF(counts); i++) {
    lua_pushinteger(L, counts[i].count);
    lua_setfield(L, -2, counts[i].name);
  }
  return 1;
}

static int context_gc(lua_State *L) {
  Context *c = lua_touserdata(L, 1);
  if (c->ssl_ctx != NULL) openssl.SSL_CTX_free(c->ssl_ctx);
  if (c->keylog_fd >= 0) close(c->keylog_fd);
  mem_free(c->alpn);
  c->ssl_ctx = NULL;
  c->keylog_fd = -1;
  c->alpn = NULL;
  return 0;
}

static const luaL_Reg methods[] = {
    {"load_cert_chain", context_load_cert_chain},
    {"load_verify_locations", context_load_verify_locations},
    {"load_default_certs", context_load_default_certs},
    {"set_alpn_protocols", context_set_alpn_protocols},
    {"set_ciphers", l_set_ciphers},
    {"set_ciphersuites", l_set_ciphersuites},
    {"session_stats", l_session_stats},
    {NULL, NULL},
};

static const ClassField fields[] = {
    {"protocol", get_protocol, NULL},
    {"check_hostname", get_check_hostname, set_check_hostname},
    {"verify_mode", get_verify_mode, set_verify_mode},
    {"minimum_version", get_minimum_version, set_minimum_version},
    {"maximum_version", get_maximum_version, set_maximum_version},
    {"num_tickets", get_num_tickets, set_num_tickets},
    {"sni_callback", get_sni_callback, context_set_sni_callback},
    {"keylog_filename", get_keylog_filename, context_set_keylog_filename},
    {NULL, NULL, NULL},
};

static const luaL_Reg meta[] = {{"__gc", context_gc}, {NULL, NULL}};

const Class context_class = {"trio.ssl.SSLContext", methods, fields, meta};

// ---- making one

static bool set_defaults(SSL_CTX *ctx, bool is_datagram) {
  openssl.SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION |
                                       SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(
      ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // A certificate that the program trusts may be any one of the chain.
  openssl.X509_VERIFY_PARAM_set_flags(openssl.SSL_CTX_get0_param(ctx),
                                      X509_V_FLAG_PARTIAL_CHAIN);
  // Sessions are resumed in the context in which they were made only.
  unsigned char id[16];
  return openssl.RAND_bytes(id, sizeof id) == 1 &&
         SSL_CTX_set_min_proto_version(
             ctx, is_datagram ? DTLS1_2_VERSION : TLS1_2_VERSION) &&
         openssl.SSL_CTX_set_session_id_context(ctx, id, sizeof id);
}

// Is the option `name` of the table at 1 the second of two values, rather than
// the first one, which is the default? [-0, +0, v]
static bool is_second(lua_State *L, const char *name, const char *first,
                      const char *second) {
  lua_getfield(L, 1, name);
  const char *value = lua_isnil(L, -1) ? first : lua_tostring(L, -1);
  bool result = value != NULL && strcmp(value, second) == 0;
  if (value == NULL || (!result && strcmp(value, first) != 0)) {
    luaL_argerror(L, 1,
                  lua_pushfstring(L, "option '%s' must be '%s' or '%s'", name,
                                  first, second));
  }
  lua_pop(L, 1);
  return result;
}

Context *context_new(lua_State *L, bool is_datagram) {
  Context *c = class_new(L, &context_class, sizeof *c, CONTEXT_USER_VALUES);
  c->keylog_fd = -1;
  c->is_datagram = is_datagram;
  c->verify = SSL_VERIFY_NONE;
  c->ssl_ctx = openssl.SSL_CTX_new(is_datagram ? openssl.DTLS_method()
                                               : openssl.TLS_method());
  if (c->ssl_ctx == NULL || !set_defaults(c->ssl_ctx, is_datagram)) {
    failure_raise(L, "the context could not be made");
  }
  context_hook(c);
  return c;
}

// create_default_context([opts]) -> context
static int l_create_default_context(lua_State *L) {
  static const char *const known[] = {"purpose", "protocol", "cafile",
                                      "capath",  "cadata",   NULL};
  opts_check(L, 1, known);
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  lua_settop(L, 1);
  bool is_server_only = is_second(L, "purpose", "server_auth", "client_auth");
  bool is_datagram = is_second(L, "protocol", "tls", "dtls");
  openssl_load(L);
  Context *c = context_new(L, is_datagram);
  c->is_server_only = is_server_only;
  if (!is_server_only) {
    c->check_hostname = true;
    c->verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  }
  if (!context_trust(L, c, 1) && !is_server_only &&
      !openssl.SSL_CTX_set_default_verify_paths(c->ssl_ctx)) {
    return failure_raise(L, "the system's certificates could not be loaded");
  }
  const char *keylog = getenv("SSLKEYLOGFILE");
  if (keylog != NULL && keylog[0] != '\0') {
    lua_pushstring(L, keylog);
    lua_setfield(L, -2, "keylog_filename");
  }
  return 1;
}

void context_open(lua_State *L) {
  class_register(L, &context_class);
  lua_pushcfunction(L, l_create_default_context);
  lua_setfield(L, -2, "create_default_context");
}
