// SPDX-License-Identifier: MIT
// engine.c: TLS and DTLS between strings. The interface, for lua/trio only:
//
//   trio.ssl._engine(context, server_side [, server_hostname]) -> engine
//                                TLS or DTLS: as the context's protocol
//   engine:feed(data)            what the transport has received; nil: its end
//   engine:take() -> data        what the transport must send, in one string;
//                                nil: nothing. After *every* call of these:
//   engine:handshake(owner)      -> true: done. Owner: what sni_callback gets
//   engine:read(limit)           -> string; as many records as are there; with
//                                DTLS one
//   engine:write(data, from)     -> where to go on: after at most 64 KiB
//   engine:shutdown([once])      -> true: both have said goodbye
//                                once: don't look for the peer's close_notify
// or, all four of them:
//     false     it needs more input
//     nil       the peer has said goodbye (after the handshake)
//     nil, err  it failed: an SSLError, or what the program's callback raised.
//               take() may have an alert for the peer.
//   engine:set_context(context), engine:set_session(session)
//   engine:close()               free it now; only its session is kept
// and what it knows: engine_info.c. All errors raised are mistakes of the
// caller, or lack of memory, after which the engine is of no use.
//
// With DTLS every feed is one datagram; read until it says false before the
// next one. What is taken holds whole records of one or more datagrams.
#include "engine.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <string.h>

#include "../base/debug.h"
#include "../bind/error.h"
#include "../bind/explain.h"
#include "../bind/runner.h"
#include "session.h"

enum { WRITE_CHUNK = 65536, RECORD = 16384, OVERHEAD = 64 };

typedef enum Outcome { DONE, NEEDS_INPUT, ENDED, FAILED } Outcome;

Engine *engine_check(lua_State *L) {
  Engine *e = class_check(L, 1, &engine_class);
  if (e->ssl == NULL) {
    error_raise(L, ERROR_CLOSED_RESOURCE,
                "this stream was closed by its own side");
  }
  return e;
}

Engine *engine_of(const SSL *ssl) { return openssl.SSL_get_ex_data(ssl, 0); }

// ---- what came of a call

// OpenSSL's answer to a call; `ok`: it said that it has succeeded.
static Outcome outcome(lua_State *L, Engine *e, bool ok) {
  if (e->wire.failed) luaL_error(L, "not enough memory");
  if (ok) return DONE;
  int code = openssl.SSL_get_error(e->ssl, 0);
  if (code == SSL_ERROR_WANT_READ) return NEEDS_INPUT;
  if (code == SSL_ERROR_ZERO_RETURN) return ENDED;
  e->failure = failure_take(e->ssl);
  return FAILED;
}

// Push what the call returns where it isn't done.
static int push_outcome(lua_State *L, Engine *e, Outcome o) {
  lua_settop(L, 1);
  if (o == NEEDS_INPUT) {
    lua_pushboolean(L, false);
    return 1;
  }
  lua_pushnil(L);
  if (o == ENDED) return 1;
  if (e->has_lua_error) {
    lua_getiuservalue(L, 1, ENGINE_LUA_ERROR);
  } else {
    lua_getiuservalue(L, 1, ENGINE_HOST);
    failure_push(L, &e->failure, lua_tostring(L, -1));
    lua_remove(L, -2);
  }
  return 2;
}

static int finish(lua_State *L, Engine *e, Outcome o) {
  if (o != DONE) return push_outcome(L, e, o);
  lua_pushboolean(L, true);
  return 1;
}

// ---- the callback for SNI

typedef struct ServerName {
  const char *text;
  size_t length;
} ServerName;

// (engine, owner, ServerName) -> an alert, or nil. Runs protected.
static int run_sni_callback(lua_State *L) {
  const ServerName *name = lua_touserdata(L, 3);
  lua_getiuservalue(L, 1, ENGINE_CONTEXT);
  if (lua_getiuservalue(L, -1, CONTEXT_SNI_CALLBACK) == LUA_TNIL) return 1;
  lua_pushvalue(L, 2);
  lua_pushlstring(L, name->text == NULL ? "" : name->text, name->length);
  if (name->text == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  lua_pushvalue(L, 4);
  lua_call(L, 3, 1);
  if (lua_isnil(L, -1)) return 1;
  lua_Integer alert = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : -1;
  if (alert >= 0 && alert <= UINT8_MAX) return 1;
  return luaL_error(L, "sni_callback must return nothing or an alert's number");
}

int engine_ask_sni_callback(Engine *e, const char *name, size_t length) {
  lua_State *L = e->L;
  if (L == NULL || e->was_asked) return -1;
  if (!lua_checkstack(L, 8)) return SSL_AD_INTERNAL_ERROR;
  e->was_asked = true;
  ServerName server_name = {name, length};
  lua_pushcfunction(L, run_sni_callback);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushlightuserdata(L, &server_name);
  if (lua_pcall(L, 3, 1, 0) != LUA_OK) {
    e->has_lua_error = true;
    lua_setiuservalue(L, 1, ENGINE_LUA_ERROR);
    return SSL_AD_HANDSHAKE_FAILURE;
  }
  int alert = lua_isnil(L, -1) ? -1 : (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return alert;
}

// ---- the four calls

static int l_handshake(lua_State *L) {
  Engine *e = engine_check(L);
  lua_settop(L, 2);
  openssl.ERR_clear_error();
  e->L = L;
  int code = openssl.SSL_do_handshake(e->ssl);
  e->L = NULL;
  Outcome o = outcome(L, e, code == 1);
  if (o == ENDED) {  // anybody may have sent that, without any key
    e->failure = failure_of_goodbye();
    o = FAILED;
  }
  return finish(L, e, o);
}

// The input isn't needed any more.
static void drop_input(lua_State *L, Engine *e) {
  if (e->wire.input_length > 0 || e->wire.input == NULL) return;
  e->wire.input = NULL;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, ENGINE_INPUT);
}

static int l_read(lua_State *L) {
  Engine *e = engine_check(L);
  lua_Integer limit = luaL_checkinteger(L, 2);
  luaL_argcheck(L, limit > 0, 2, "must be positive");
  size_t room = limit > STATE_BUFFER ? STATE_BUFFER : (size_t)limit;
  if (e->has_failure) return push_outcome(L, e, FAILED);
  char *buffer = state_buffer(L);
  openssl.ERR_clear_error();
  size_t total = 0;
  size_t most = e->context->is_datagram ? 1 : room;
  Outcome o = DONE;
  while (total < most && o == DONE) {
    size_t count = 0;
    o = outcome(
        L, e,
        openssl.SSL_read_ex(e->ssl, buffer + total, room - total, &count));
    total += count;
  }
  drop_input(L, e);
  if (total == 0) return push_outcome(L, e, o);
  e->has_failure = o == FAILED;  // after what came before it
  lua_pushlstring(L, buffer, total);
  return 1;
}

static int l_write(lua_State *L) {
  Engine *e = engine_check(L);
  size_t length;
  const char *data = luaL_checklstring(L, 2, &length);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  luaL_argcheck(L, from >= 1 && (size_t)from <= length, 3, "out of range");
  size_t size = length - (size_t)from + 1;
  if (size > WRITE_CHUNK) size = WRITE_CHUNK;
  openssl.ERR_clear_error();
  bytes_reserve(&e->wire.output, size + (size / RECORD + 1) * OVERHEAD);
  size_t count = 0;
  bool ok = openssl.SSL_write_ex(e->ssl, data + from - 1, size, &count);
  Outcome o = outcome(L, e, ok);
  if (o != DONE) return push_outcome(L, e, o);
  lua_pushinteger(L, from + (lua_Integer)count);
  return 1;
}

static int l_shutdown(lua_State *L) {
  Engine *e = engine_check(L);
  bool once = lua_toboolean(L, 2);
  openssl.ERR_clear_error();
  int code = openssl.SSL_shutdown(e->ssl);  // 0: only ours was sent
  if (code == 0 && once) return finish(L, e, DONE);
  if (code == 0) code = openssl.SSL_shutdown(e->ssl);
  return finish(L, e, outcome(L, e, code == 1));
}

// ---- the wire

static int l_feed(lua_State *L) {
  Engine *e = engine_check(L);
  Wire *w = &e->wire;
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    w->input_ended = true;
    return 0;
  }
  luaL_checkstring(L, 2);
  if (w->input_length > 0) {  // rare: a limit has kept it from being read
    lua_pushlstring(L, w->input, w->input_length);
    lua_insert(L, 2);
    lua_concat(L, 2);
  }
  w->input = lua_tolstring(L, 2, &w->input_length);
  lua_setiuservalue(L, 1, ENGINE_INPUT);
  return 0;
}

static int l_take(lua_State *L) {
  Engine *e = engine_check(L);
  size_t length = bytes_length(&e->wire.output);
  if (length == 0) return 0;
  lua_pushlstring(L, bytes_front(&e->wire.output), length);
  bytes_free(&e->wire.output);
  return 1;
}

// engine:trailing() -> the input that nobody has read
static int l_trailing(lua_State *L) {
  Engine *e = engine_check(L);
  lua_pushlstring(L, e->wire.input != NULL ? e->wire.input : "",
                  e->wire.input_length);
  return 1;
}

// ---- whom a connection is with

static bool is_ip_address(const char *host) {
  unsigned char address[sizeof(struct in6_addr)];
  return inet_pton(AF_INET, host, address) == 1 ||
         inet_pton(AF_INET6, host, address) == 1;
}

// Tell the server whom we want, and check that it's the one.
static bool set_host(const Engine *e, const char *host) {
  X509_VERIFY_PARAM *param = openssl.SSL_get0_param(e->ssl);
  bool is_address = is_ip_address(host);
  if (!is_address && !SSL_set_tlsext_host_name(e->ssl, host)) return false;
  if (!e->context->check_hostname) return true;
  openssl.X509_VERIFY_PARAM_set_hostflags(param,
                                          X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return is_address ? openssl.X509_VERIFY_PARAM_set1_ip_asc(param, host)
                    : openssl.X509_VERIFY_PARAM_set1_host(param, host, 0);
}

// Is the host at idx, a string or nil, one for a connection of this context?
static void check_host(lua_State *L, int idx, const Context *c,
                       bool server_side) {
  size_t length;
  const char *host = luaL_optlstring(L, idx, NULL, &length);
  if (server_side) {
    if (host == NULL) return;
    explain_refuse(L, "only a client has a server_hostname");
  } else if (c->is_server_only) {
    explain_refuse(L, "this context is for servers (purpose 'client_auth')");
  } else if (host == NULL && c->check_hostname) {
    explain_refuse(L, "check_hostname needs a server_hostname");
  } else if (host != NULL &&
             (length == 0 || host[0] == '.' || strlen(host) != length)) {
    explain_refuse(L, "server_hostname is not the name of a host");
  }
}

// Let OpenSSL ask of the peer what the context says; the host is at idx.
static void set_demands(lua_State *L, const Engine *e, int idx) {
  const char *host = lua_tostring(L, idx);
  openssl.SSL_set_verify(e->ssl, context_verify(e->context, e->server_side),
                         NULL);
  openssl.ERR_clear_error();
  if (host != NULL && !set_host(e, host)) failure_raise(L, "server_hostname");
}

static int l_set_context(lua_State *L) {
  Engine *e = engine_check(L);
  Context *c = class_check(L, 2, &context_class);
  if (c->is_datagram != e->context->is_datagram) {
    return explain_refuse(L, "a context of the other protocol");
  }
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, ENGINE_HOST);
  check_host(L, 3, c, e->server_side);
  openssl.ERR_clear_error();
  if (openssl.SSL_set_SSL_CTX(e->ssl, c->ssl_ctx) == NULL) {
    return failure_raise(L, "context");
  }
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, ENGINE_CONTEXT);
  e->context = c;
  set_demands(L, e, 3);
  return 0;
}

// ---- other settings

static int l_set_session(lua_State *L) {
  Engine *e = engine_check(L);
  if (e->server_side) {
    return explain_refuse(L, "the session of a server can't be set");
  }
  if (openssl.SSL_is_init_finished(e->ssl)) {
    return explain_refuse(L, "the session can't be set after the handshake");
  }
  SSL_SESSION *session = session_check(L, 2, e->context);
  openssl.ERR_clear_error();
  if (!openssl.SSL_set_session(e->ssl, session)) {
    return failure_raise(L, "session");
  }
  return 0;
}

// engine:key_update(): new keys for both directions (TLS 1.3), as peers may
// want them at any time; for specs.
static int l_key_update(lua_State *L) {
  Engine *e = engine_check(L);
  openssl.ERR_clear_error();
  if (!openssl.SSL_key_update(e->ssl, SSL_KEY_UPDATE_REQUESTED)) {
    return failure_raise(L, "key_update");
  }
  return 0;
}

// Whatever it knows about the session is kept; what it had in the way of
// memory isn't, as the collector doesn't see how much that is.
static void close_ssl(Engine *e) {
  // Otherwise OpenSSL would forbid to resume the session, as TLS 1.0 did.
  openssl.SSL_set_shutdown(e->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  openssl.SSL_free(e->ssl);
  bytes_free(&e->wire.output);
  e->ssl = NULL;
}

static int l_close(lua_State *L) {
  Engine *e = class_check(L, 1, &engine_class);
  if (e->ssl == NULL) return 0;
  if (e->L != NULL) return luaL_error(L, "the stream is in its handshake");
  e->session = openssl.SSL_get1_session(e->ssl);
  close_ssl(e);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, ENGINE_INPUT);
  return 0;
}

static int engine_gc(lua_State *L) {
  Engine *e = lua_touserdata(L, 1);
  if (e->ssl != NULL) close_ssl(e);
  if (e->session != NULL) openssl.SSL_SESSION_free(e->session);
  e->session = NULL;
  return 0;
}

static const luaL_Reg methods[] = {
    {"handshake", l_handshake},
    {"read", l_read},
    {"write", l_write},
    {"shutdown", l_shutdown},
    {"feed", l_feed},
    {"take", l_take},
    {"trailing", l_trailing},
    {"set_context", l_set_context},
    {"set_session", l_set_session},
    {"key_update", l_key_update},
    {"close", l_close},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {{"__gc", engine_gc}, {NULL, NULL}};

const Class engine_class = {"TLS engine", methods, NULL, meta};

// ---- making one

// _engine(context, server_side [, server_hostname]) -> engine
static int l_engine(lua_State *L) {
  Context *c = class_check(L, 1, &context_class);
  lua_settop(L, 3);
  check_host(L, 3, c, lua_toboolean(L, 2));
  Engine *e = class_new(L, &engine_class, sizeof *e, ENGINE_USER_VALUES);
  e->context = c;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, ENGINE_CONTEXT);
  e->server_side = lua_toboolean(L, 2);
  openssl.ERR_clear_error();
  e->ssl = openssl.SSL_new(c->ssl_ctx);
  BIO *bio = e->ssl != NULL ? wire_bio(&e->wire) : NULL;
  if (bio == NULL) return failure_raise(L, "the connection could not be made");
  openssl.SSL_set_bio(e->ssl, bio, bio);
  openssl.SSL_set_ex_data(e->ssl, 0, e);
  if (e->server_side) {
    openssl.SSL_set_accept_state(e->ssl);
  } else {
    openssl.SSL_set_connect_state(e->ssl);
  }
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, ENGINE_HOST);
  set_demands(L, e, 3);
  return 1;
}

void engine_open(lua_State *L) {
  class_register(L, &engine_class);
  class_push_members(L, &engine_class);
  luaL_setfuncs(L, engine_info_methods, 0);
  lua_pop(L, 1);
  lua_pushcfunction(L, l_engine);
  lua_setfield(L, -2, "_engine");
}
