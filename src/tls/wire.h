// SPDX-License-Identifier: MIT
// wire.h: what stands between OpenSSL and the transport: bytes that came in
// and wait to be read by OpenSSL, and bytes that OpenSSL has written and that
// must go out. One BIO for both directions. Knows nothing of Lua.
#ifndef TRIO_TLS_WIRE_H
#define TRIO_TLS_WIRE_H

#include <stdbool.h>

#include "../io/bytes.h"
#include "openssl.h"

typedef struct Wire {
  const char *input;  // the rest; whoever owns the wire keeps it alive
  size_t input_length;
  bool input_ended;  // nothing comes after it
  bool failed;       // a write was lost for lack of memory
  Bytes output;
} Wire;

// A new BIO over the wire, which must outlive it; NULL: out of memory.
BIO *wire_bio(Wire *w);

#endif
