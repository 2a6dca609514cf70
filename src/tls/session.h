// SPDX-License-Identifier: MIT
// session.h: trio.ssl.SSLSession: what a client needs to resume a session
// with a server, in another connection of the same context.
#ifndef TRIO_TLS_SESSION_H
#define TRIO_TLS_SESSION_H

#include "context.h"

// Push an object that shares the session; its context is at idx. [-0, +1, m]
void session_push(lua_State *L, SSL_SESSION *session, int idx);

// The session at idx, which must be of this context. [-0, +0, v]
SSL_SESSION *session_check(lua_State *L, int idx, const Context *c);

// Add the class. [-0, +0, m]
void session_open(lua_State *L);

#endif
