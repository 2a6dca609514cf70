// SPDX-License-Identifier: MIT
// dtls.h: what DTLS needs of OpenSSL beside the engine: dtls.c has the private
// functions for lua/trio/dtls*.lua, dtls_context.c makes a context for DTLS of
// one for TLS.
#ifndef TRIO_TLS_DTLS_H
#define TRIO_TLS_DTLS_H

#include <lua.h>

// trio.ssl._dtls.context(value) -> a context for DTLS with the settings that
// this one has now; nil: it is no context.
int dtls_context(lua_State *L);

// Add the table _dtls to trio.ssl on top. [-0, +0, m]
void dtls_open(lua_State *L);

#endif
