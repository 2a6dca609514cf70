// SPDX-License-Identifier: MIT
// context.h: trio.ssl.SSLContext: what many connections have in common: own
// certificates, whom to trust, versions, protocols. context.c has the object
// and its fields, context_load.c certificates and keys, context_hooks.c what
// OpenSSL calls.
#ifndef TRIO_TLS_CONTEXT_H
#define TRIO_TLS_CONTEXT_H

#include <stdbool.h>

#include "../bind/class.h"
#include "openssl.h"

typedef struct Context {
  ClassHead head;
  SSL_CTX *ssl_ctx;
  bool is_datagram;     // for DTLS
  bool is_server_only;  // made for the purpose "client_auth"
  bool check_hostname;  // of servers
  bool has_verify_set;  // the program has assigned verify_mode
  int verify;           // SSL_VERIFY_*, for SSL_set_verify
  int keylog_fd;        // -1: none
  unsigned char *alpn;  // protocols as in the TLS message, owned, or NULL
  unsigned alpn_length;
} Context;

// User values.
enum { CONTEXT_SNI_CALLBACK = 1, CONTEXT_KEYLOG_NAME, CONTEXT_USER_VALUES = 2 };

extern const Class context_class;

// Push a context that trusts nobody. [-0, +1, v]
Context *context_new(lua_State *L, bool is_datagram);

// What a connection asks of its peer: SSL_VERIFY_*.
int context_verify(const Context *c, bool server_side);

// Methods (context_load.c).
int context_load_cert_chain(lua_State *L);
int context_load_verify_locations(lua_State *L);
int context_load_default_certs(lua_State *L);
// Trust what the table at idx says in cafile, capath and cadata; false: it
// says nothing. [-0, +0, v]
bool context_trust(lua_State *L, Context *c, int idx);

// Methods and setters (context_hooks.c).
int context_set_alpn_protocols(lua_State *L);
int context_set_sni_callback(lua_State *L);
int context_set_keylog_filename(lua_State *L);
// Write the secrets of connections to this file, which is the context's from
// now on; -1: don't. No failure.
void context_log_keys(Context *c, int fd);
// Let OpenSSL call us. [-]
void context_hook(Context *c);

// Add the class and create_default_context to trio.ssl on top. [-0, +0, m]
void context_open(lua_State *L);

#endif
