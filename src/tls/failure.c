// SPDX-License-Identifier: MIT
// failure.c: see failure.h. OpenSSL queues several errors for one failure; the
// first one is the cause, later ones say who passed it on.
#include "failure.h"

#include <lauxlib.h>
#include <string.h>

#include "../bind/error.h"

Failure failure_take(const SSL *ssl) {
  Failure f = {openssl.ERR_get_error(), X509_V_OK};
  openssl.ERR_clear_error();
  if (ssl != NULL && ERR_GET_LIB(f.code) == ERR_LIB_SSL &&
      ERR_GET_REASON(f.code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    f.verify = openssl.SSL_get_verify_result(ssl);
  }
  return f;
}

Failure failure_of_goodbye(void) {
  return (Failure){
      ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + SSL_AD_CLOSE_NOTIFY),
      X509_V_OK};
}

// Has the input ended in the middle?
static bool is_eof(const Failure *f) {
  return ERR_GET_LIB(f->code) == ERR_LIB_SSL &&
         ERR_GET_REASON(f->code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

// Push the reason of a refused certificate.
static void push_verify_message(lua_State *L, long verify, const char *host) {
  const char *text = openssl.X509_verify_cert_error_string(verify);
  if (host != NULL && verify == X509_V_ERR_HOSTNAME_MISMATCH) {
    lua_pushfstring(
        L, "host name mismatch: the certificate is not valid for '%s'", host);
  } else if (host != NULL && verify == X509_V_ERR_IP_ADDRESS_MISMATCH) {
    lua_pushfstring(L,
                    "IP address mismatch: the certificate is not valid for "
                    "'%s'",
                    host);
  } else {
    lua_pushstring(L, text);
  }
}

// The alert of the peer that the failure is; -1: it is something else.
static int alert_of(const Failure *f) {
  int reason = ERR_GET_REASON(f->code);
  bool is_alert =
      ERR_GET_LIB(f->code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET;
  return is_alert ? reason - SSL_AD_REASON_OFFSET : -1;
}

// The reason in words. OpenSSL has none for some alerts.
static const char *reason_of(const Failure *f) {
  if (f->code == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(f->code)) return strerror(ERR_GET_REASON(f->code));
  const char *reason = openssl.ERR_reason_error_string(f->code);
  if (reason != NULL) return reason;
  int alert = alert_of(f);
  return alert >= 0 ? openssl.SSL_alert_desc_string_long(alert)
                    : "unknown error";
}

// OpenSSL 3.0 doesn't know all alerts by their names; some it has as a reason,
// "tlsv13 alert certificate required".
static const char *name_of_alert(int alert, const char *reason) {
  const char *name = openssl.SSL_alert_desc_string_long(alert);
  if (strcmp(name, "unknown") != 0) return name;
  const char *rest = strstr(reason, " alert ");
  return rest != NULL ? rest + strlen(" alert ") : reason;
}

// Push the message; the value on top is what verification said, or nil.
static void push_message(lua_State *L, const Failure *f) {
  const char *reason = reason_of(f);
  int alert = alert_of(f);
  if (!lua_isnil(L, -1)) {
    lua_pushfstring(L, "%s: %s", reason, lua_tostring(L, -1));
  } else if (is_eof(f)) {
    lua_pushliteral(L, "the connection ended without a goodbye (close_notify)");
  } else if (alert >= 0) {
    lua_pushfstring(L, "the peer sent the alert '%s'",
                    name_of_alert(alert, reason));
  } else {
    lua_pushstring(L, reason);
  }
}

// Push the SSLError, its message after `what` (": ").
static void push(lua_State *L, const Failure *f, const char *what,
                 const char *host) {
  luaL_checkstack(L, 6, NULL);
  if (f->verify == X509_V_OK) {
    lua_pushnil(L);
  } else {
    push_verify_message(L, f->verify, host);
  }
  push_message(L, f);
  error_push(L, ERROR_SSL, "%s%s%s", what != NULL ? what : "",
             what != NULL ? ": " : "", lua_tostring(L, -1));
  lua_remove(L, -2);
  const char *library = openssl.ERR_lib_error_string(f->code);
  lua_pushstring(L, library != NULL ? library : "unknown");
  lua_setfield(L, -2, "library");
  lua_pushstring(L, reason_of(f));
  lua_setfield(L, -2, "reason");
  if (f->verify != X509_V_OK) {
    lua_pushinteger(L, f->verify);
    lua_setfield(L, -2, "verify_code");
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "verify_message");
  }
  lua_remove(L, -2);
}

void failure_push(lua_State *L, const Failure *f, const char *host) {
  push(L, f, NULL, host);
}

int failure_raise(lua_State *L, const char *what) {
  Failure f = failure_take(NULL);
  push(L, &f, what, NULL);
  return lua_error(L);
}
