// SPDX-License-Identifier: MIT
// engine.h: one TLS or DTLS connection without its transport. engine.c has
// what it does, and its interface for Lua; engine_info.c what it knows.
#ifndef TRIO_TLS_ENGINE_H
#define TRIO_TLS_ENGINE_H

#include <stdbool.h>

#include "../bind/class.h"
#include "context.h"
#include "failure.h"
#include "openssl.h"
#include "wire.h"

typedef struct Engine {
  ClassHead head;
  SSL *ssl;              // NULL once closed
  SSL_SESSION *session;  // then kept, if there was one
  Context *context;      // user value 1
  Wire wire;             // its input is in user value 2
  bool server_side;
  bool has_failure;  // `failure` is for the next read
  Failure failure;
  lua_State *L;        // of the running call of handshake, for the callback
  bool was_asked;      // the callback was called
  bool has_lua_error;  // the callback's error is user value 4
} Engine;

enum {
  ENGINE_CONTEXT = 1,
  ENGINE_INPUT,
  ENGINE_HOST,
  ENGINE_LUA_ERROR,
  ENGINE_USER_VALUES = 4
};

extern const Class engine_class;

// The engine at index 1, which must not be closed. [-0, +0, v]
Engine *engine_check(lua_State *L);
// The engine of a connection.
Engine *engine_of(const SSL *ssl);
// Ask the context's sni_callback, in the middle of a handshake; `name` is NULL
// if the client has said none. Returns the alert to refuse with, -1: go on.
// Never raises.
int engine_ask_sni_callback(Engine *e, const char *name, size_t length);

// Methods (engine_info.c).
extern const luaL_Reg engine_info_methods[];

// Add the private class and its constructor to trio.ssl on top. [-0, +0, m]
void engine_open(lua_State *L);

#endif
