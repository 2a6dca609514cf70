// SPDX-License-Identifier: MIT
// certificate.h: what stands in a certificate, as a Lua table.
#ifndef TRIO_TLS_CERTIFICATE_H
#define TRIO_TLS_CERTIFICATE_H

#include "openssl.h"

// Push a table: subject, issuer, version, serialNumber, notBefore, notAfter,
// subjectAltName. [-0, +1, m]
void certificate_push(lua_State *L, X509 *certificate);

// Push the certificate in DER. [-0, +1, m]
void certificate_push_der(lua_State *L, X509 *certificate);

#endif
