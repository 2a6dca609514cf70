// SPDX-License-Identifier: MIT
// failure.h: what OpenSSL says about a failed call, and the trio.SSLError for
// it: fields `library`, `reason`, and of certificates that were refused
// `verify_code` and `verify_message`.
#ifndef TRIO_TLS_FAILURE_H
#define TRIO_TLS_FAILURE_H

#include <stdbool.h>

#include "openssl.h"

typedef struct Failure {
  unsigned long code;  // the first one in OpenSSL's queue, 0: none
  long verify;         // why a certificate was refused, X509_V_OK: wasn't
} Failure;

// Take the failure from OpenSSL's queue, which is empty then. `ssl`: of this
// connection, or NULL. No failure.
Failure failure_take(const SSL *ssl);

// The peer said goodbye where it must not: for OpenSSL that is no failure.
Failure failure_of_goodbye(void);

// Push the SSLError. `host`: the name that the certificate should have had, or
// NULL. [-0, +1, m]
void failure_push(lua_State *L, const Failure *f, const char *host);

// Take the failure of a call that belongs to no connection, and raise it as
// "what: ...". [-0, +0, v]
int failure_raise(lua_State *L, const char *what);

#endif
