// SPDX-License-Identifier: MIT
// dtls_context.c: a context for DTLS made of one for TLS, so that a program
// needs one context for both. OpenSSL can't make a connection for DTLS of a
// context for TLS, and can't copy one: here the settings are taken over one by
// one. The copy shares the trusted certificates and follows no later change.
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>

#include "../base/debug.h"
#include "../base/mem.h"
#include "../bind/explain.h"
#include "context.h"
#include "dtls.h"
#include "failure.h"

// The version of DTLS that was made after this one of TLS; 0 stands for the
// newest or oldest one. There is none after TLS 1.3.
static long datagram_version(long version) {
  switch (version) {
    case TLS1_VERSION:
    case TLS1_1_VERSION:
      return DTLS1_VERSION;
    case TLS1_2_VERSION:
      return DTLS1_2_VERSION;
    default:
      return 0;
  }
}

static bool copy_versions(lua_State *L, SSL_CTX *from, SSL_CTX *to) {
  long least = SSL_CTX_get_min_proto_version(from);
  if (least == TLS1_3_VERSION) {
    explain_refuse(L,
                   "the context's minimum_version is TLS 1.3, "
                   "but there is no DTLS 1.3");
  }
  long most = SSL_CTX_get_max_proto_version(from);
  return SSL_CTX_set_min_proto_version(to, datagram_version(least)) &&
         SSL_CTX_set_max_proto_version(to, datagram_version(most));
}

// With their keys and chains; one of each kind of key.
static bool copy_certificates(SSL_CTX *from, SSL_CTX *to) {
  for (long which = SSL_CERT_SET_FIRST; SSL_CTX_set_current_cert(from, which);
       which = SSL_CERT_SET_NEXT) {
    X509 *certificate = openssl.SSL_CTX_get0_certificate(from);
    EVP_PKEY *key = openssl.SSL_CTX_get0_privatekey(from);
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(from, &chain);
    if (certificate != NULL && key != NULL &&
        !openssl.SSL_CTX_use_cert_and_key(to, certificate, key, chain, 1)) {
      return false;
    }
  }
  return true;
}

static bool copy_trust(SSL_CTX *from, SSL_CTX *to) {
  openssl.SSL_CTX_set1_cert_store(to, openssl.SSL_CTX_get_cert_store(from));
  return openssl.SSL_CTX_set1_param(to, openssl.SSL_CTX_get0_param(from));
}

static bool copy_ciphers(lua_State *L, SSL_CTX *from, SSL_CTX *to) {
  const STACK_OF(SSL_CIPHER) *ciphers = openssl.SSL_CTX_get_ciphers(from);
  luaL_Buffer names;
  luaL_buffinit(L, &names);
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
    const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
    luaL_addstring(&names, openssl.SSL_CIPHER_get_name(cipher));
    luaL_addchar(&names, ':');
  }
  luaL_pushresult(&names);
  openssl.SSL_CTX_set_security_level(to,
                                     openssl.SSL_CTX_get_security_level(from));
  bool ok = openssl.SSL_CTX_set_cipher_list(to, lua_tostring(L, -1));
  lua_pop(L, 1);
  return ok;
}

static bool copy_protocols(const Context *from, Context *to) {
  if (from->alpn == NULL) return true;
  to->alpn = mem_alloc(from->alpn_length + 1);
  if (to->alpn == NULL) return false;
  memcpy(to->alpn, from->alpn, from->alpn_length);
  to->alpn_length = from->alpn_length;
  return openssl.SSL_CTX_set_alpn_protos(to->ssl_ctx, to->alpn,
                                         to->alpn_length) == 0;
}

// What OpenSSL knows nothing of. The contexts stand at 1 and 2.
static void copy_own(lua_State *L, const Context *from, Context *to) {
  to->is_server_only = from->is_server_only;
  to->check_hostname = from->check_hostname;
  to->has_verify_set = from->has_verify_set;
  to->verify = from->verify;
  if (from->keylog_fd >= 0) {
    context_log_keys(to, fcntl(from->keylog_fd, F_DUPFD_CLOEXEC, 0));
  }
  for (int i = 1; i <= CONTEXT_USER_VALUES; i++) {
    lua_getiuservalue(L, 1, i);
    lua_setiuservalue(L, 2, i);
  }
}

// Push the copy of the context at 1. [-0, +1, v]
static void push_copy(lua_State *L, const Context *from) {
  Context *to = context_new(L, true);
  copy_own(L, from, to);
  openssl.ERR_clear_error();
  if (!copy_versions(L, from->ssl_ctx, to->ssl_ctx) ||
      !copy_certificates(from->ssl_ctx, to->ssl_ctx) ||
      !copy_trust(from->ssl_ctx, to->ssl_ctx) ||
      !copy_ciphers(L, from->ssl_ctx, to->ssl_ctx) ||
      !copy_protocols(from, to)) {
    failure_raise(L, "the context can't be used for DTLS");
  }
}

// The cookie was checked before OpenSSL got to see the hello.
static int on_cookie(SSL *ssl, const unsigned char *cookie, unsigned length) {
  UNUSED(ssl);
  UNUSED(cookie);
  UNUSED(length);
  return 1;
}

int dtls_context(lua_State *L) {
  const Context *from = class_test(L, 1, &context_class);
  lua_settop(L, 1);
  if (from == NULL) return 0;
  if (!from->is_datagram) push_copy(L, from);
  const Context *c = lua_touserdata(L, -1);
  openssl.SSL_CTX_set_cookie_verify_cb(c->ssl_ctx, on_cookie);
  return 1;
}
