// SPDX-License-Identifier: MIT
// session.c: see session.h.
#include "session.h"

#include <lauxlib.h>

#include "../bind/explain.h"

typedef struct Session {
  ClassHead head;
  SSL_SESSION *session;
  const Context *context;  // user value 1
} Session;

extern const Class session_class;

static SSL_SESSION *check_session(lua_State *L) {
  Session *s = class_check(L, 1, &session_class);
  return s->session;
}

static int get_id(lua_State *L) {
  unsigned length;
  const unsigned char *id =
      openssl.SSL_SESSION_get_id(check_session(L), &length);
  lua_pushlstring(L, (const char *)id, length);
  return 1;
}

static int get_time(lua_State *L) {
  lua_pushinteger(L, openssl.SSL_SESSION_get_time(check_session(L)));
  return 1;
}

static int get_timeout(lua_State *L) {
  lua_pushinteger(L, openssl.SSL_SESSION_get_timeout(check_session(L)));
  return 1;
}

static int get_has_ticket(lua_State *L) {
  lua_pushboolean(L, openssl.SSL_SESSION_has_ticket(check_session(L)));
  return 1;
}

static int get_ticket_lifetime_hint(lua_State *L) {
  SSL_SESSION *session = check_session(L);
  lua_pushinteger(
      L, (lua_Integer)openssl.SSL_SESSION_get_ticket_lifetime_hint(session));
  return 1;
}

static int get_is_resumable(lua_State *L) {
  lua_pushboolean(L, openssl.SSL_SESSION_is_resumable(check_session(L)));
  return 1;
}

static int session_gc(lua_State *L) {
  Session *s = lua_touserdata(L, 1);
  if (s->session != NULL) openssl.SSL_SESSION_free(s->session);
  s->session = NULL;
  return 0;
}

static const ClassField fields[] = {
    {"id", get_id, NULL},
    {"time", get_time, NULL},
    {"timeout", get_timeout, NULL},
    {"has_ticket", get_has_ticket, NULL},
    {"ticket_lifetime_hint", get_ticket_lifetime_hint, NULL},
    {"is_resumable", get_is_resumable, NULL},
    {NULL, NULL, NULL},
};

static const luaL_Reg meta[] = {{"__gc", session_gc}, {NULL, NULL}};

const Class session_class = {"trio.ssl.SSLSession", NULL, fields, meta};

void session_push(lua_State *L, SSL_SESSION *session, int idx) {
  idx = lua_absindex(L, idx);
  Session *s = class_new(L, &session_class, sizeof *s, 1);
  openssl.SSL_SESSION_up_ref(session);
  s->session = session;
  s->context = class_test(L, idx, &context_class);
  lua_pushvalue(L, idx);
  lua_setiuservalue(L, -2, 1);
}

SSL_SESSION *session_check(lua_State *L, int idx, const Context *c) {
  const Session *s = class_check(L, idx, &session_class);
  if (s->context != c) explain_refuse(L, "a session of another context");
  return s->session;
}

void session_open(lua_State *L) { class_register(L, &session_class); }
