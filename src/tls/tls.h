// SPDX-License-Identifier: MIT
// tls.h: the open function of this layer, which builds trio.ssl; module.c
// calls it with the module table on top of the stack. OpenSSL itself is loaded
// by the first context only.
#ifndef TRIO_TLS_TLS_H
#define TRIO_TLS_TLS_H

#include <lua.h>

// [-0, +0, m]
void tls_open(lua_State *L);

#endif
