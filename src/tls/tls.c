// SPDX-License-Identifier: MIT
// tls.c: see tls.h. The constants are plain strings: a field shows what it is.
#include "tls.h"

#include <lauxlib.h>

#include "../base/debug.h"
#include "context.h"
#include "dtls.h"
#include "engine.h"
#include "session.h"

typedef struct Constant {
  const char *table;  // NULL: trio.ssl itself
  const char *name, *value;
} Constant;

static const Constant constants[] = {
    {NULL, "CERT_NONE", "none"},
    {NULL, "CERT_OPTIONAL", "optional"},
    {NULL, "CERT_REQUIRED", "required"},
    {"Purpose", "SERVER_AUTH", "server_auth"},
    {"Purpose", "CLIENT_AUTH", "client_auth"},
    {"TLSVersion", "TLSv1", "TLSv1"},
    {"TLSVersion", "TLSv1_1", "TLSv1.1"},
    {"TLSVersion", "TLSv1_2", "TLSv1.2"},
    {"TLSVersion", "TLSv1_3", "TLSv1.3"},
    {"TLSVersion", "DTLSv1", "DTLSv1"},
    {"TLSVersion", "DTLSv1_2", "DTLSv1.2"},
};

void tls_open(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; i < COUNT_OF(constants); i++) {
    const Constant *c = &constants[i];
    if (c->table != NULL) luaL_getsubtable(L, -1, c->table);
    lua_pushstring(L, c->value);
    lua_setfield(L, -2, c->name);
    if (c->table != NULL) lua_pop(L, 1);
  }
  context_open(L);
  session_open(L);
  engine_open(L);
  dtls_open(L);
  lua_setfield(L, -2, "ssl");
}
