// SPDX-License-Identifier: MIT
// certificate.c: see certificate.h. A Lua error for lack of memory may leave
// these functions, so what OpenSSL allocates is copied to the stack of C or
// hung on the Lua stack before Lua allocates; see push_owned.
#include "certificate.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../base/debug.h"

// Push copies of what OpenSSL has allocated, and free it, also where Lua has
// no memory for the copy.
typedef struct Owned {
  char *text;
  size_t length;
} Owned;

static int copy_owned(lua_State *L) {
  const Owned *o = lua_touserdata(L, 1);
  lua_pushlstring(L, o->text, o->length);
  return 1;
}

// `text` is OpenSSL's; NULL: "". [-0, +1, m]
static void push_owned(lua_State *L, void *text, size_t length) {
  Owned o = {text, length};
  lua_pushcfunction(L, copy_owned);
  lua_pushlightuserdata(L, &o);
  int status = lua_pcall(L, 1, 1, 0);
  OPENSSL_free(text);
  if (status != LUA_OK) lua_error(L);
}

// ---- names

static void push_object_name(lua_State *L, const ASN1_OBJECT *object) {
  int nid = openssl.OBJ_obj2nid(object);
  if (nid != NID_undef) {
    lua_pushstring(L, openssl.OBJ_nid2ln(nid));
    return;
  }
  char digits[128];
  openssl.OBJ_obj2txt(digits, sizeof digits, object, 1);
  lua_pushstring(L, digits);
}

static void push_text(lua_State *L, const ASN1_STRING *text) {
  unsigned char *utf8 = NULL;
  int length = openssl.ASN1_STRING_to_UTF8(&utf8, text);
  push_owned(L, utf8, length < 0 ? 0 : (size_t)length);
}

// Push {{"commonName", "x"}, ..., commonName = "x"}: the pairs in their order,
// and for each name its first value.
static void push_name(lua_State *L, const X509_NAME *name) {
  int count = openssl.X509_NAME_entry_count(name);
  lua_createtable(L, count, count);
  for (int i = 0; i < count; i++) {
    const X509_NAME_ENTRY *entry = openssl.X509_NAME_get_entry(name, i);
    lua_createtable(L, 2, 0);
    push_object_name(L, openssl.X509_NAME_ENTRY_get_object(entry));
    push_text(L, openssl.X509_NAME_ENTRY_get_data(entry));
    lua_pushvalue(L, -2);
    bool is_first = lua_rawget(L, -5) == LUA_TNIL;
    lua_pop(L, 1);
    if (is_first) {
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_rawset(L, -6);
    }
    lua_rawseti(L, -3, 2);
    lua_rawseti(L, -2, 1);
    lua_rawseti(L, -2, i + 1);
  }
}

// ---- times, numbers

// "Jan  5 09:34:43 2018 GMT", as OpenSSL prints it, whatever the locale.
static void push_time(lua_State *L, const ASN1_TIME *asn1) {
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  struct tm tm;
  if (!openssl.ASN1_TIME_to_tm(asn1, &tm) || tm.tm_mon < 0 || tm.tm_mon > 11) {
    lua_pushnil(L);
    return;
  }
  char text[64];
  snprintf(text, sizeof text, "%.3s %2d %02d:%02d:%02d %d GMT",
           months + (ptrdiff_t)3 * tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min,
           tm.tm_sec, tm.tm_year + 1900);
  lua_pushstring(L, text);
}

static void push_serial_number(lua_State *L, const X509 *certificate) {
  BIGNUM *number = openssl.ASN1_INTEGER_to_BN(
      openssl.X509_get0_serialNumber(certificate), NULL);
  char *digits = number == NULL ? NULL : openssl.BN_bn2hex(number);
  openssl.BN_free(number);
  push_owned(L, digits, digits == NULL ? 0 : strlen(digits));
}

// ---- other names of the subject

static void push_ip_address(lua_State *L, const ASN1_OCTET_STRING *address) {
  int length = openssl.ASN1_STRING_length(address);
  char text[INET6_ADDRSTRLEN] = "<invalid>";
  if (length == 4 || length == 16) {
    inet_ntop(length == 4 ? AF_INET : AF_INET6,
              openssl.ASN1_STRING_get0_data(address), text, sizeof text);
  }
  lua_pushstring(L, text);
}

static void push_ia5(lua_State *L, const ASN1_IA5STRING *text) {
  lua_pushlstring(L, (const char *)openssl.ASN1_STRING_get0_data(text),
                  (size_t)openssl.ASN1_STRING_length(text));
}

// Push the name of its kind, then its value; false: a kind that we skip.
static bool push_general_name(lua_State *L, const GENERAL_NAME *name) {
  switch (name->type) {
    case GEN_DNS:
      lua_pushliteral(L, "DNS");
      push_ia5(L, name->d.dNSName);
      return true;
    case GEN_EMAIL:
      lua_pushliteral(L, "email");
      push_ia5(L, name->d.rfc822Name);
      return true;
    case GEN_URI:
      lua_pushliteral(L, "URI");
      push_ia5(L, name->d.uniformResourceIdentifier);
      return true;
    case GEN_IPADD:
      lua_pushliteral(L, "IP Address");
      push_ip_address(L, name->d.iPAddress);
      return true;
    case GEN_DIRNAME:
      lua_pushliteral(L, "DirName");
      push_name(L, name->d.directoryName);
      return true;
    default:
      return false;
  }
}

// (names) -> {{"DNS", "example.org"}, ...}
static int copy_general_names(lua_State *L) {
  const GENERAL_NAMES *names = lua_touserdata(L, 1);
  int count = sk_GENERAL_NAME_num(names), place = 0;
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_createtable(L, 2, 0);
    if (push_general_name(L, sk_GENERAL_NAME_value(names, i))) {
      lua_rawseti(L, -3, 2);
      lua_rawseti(L, -2, 1);
      lua_rawseti(L, -2, ++place);
    } else {
      lua_pop(L, 1);
    }
  }
  return 1;
}

// Push the array, or nil where there are none.
static void push_alt_names(lua_State *L, const X509 *certificate) {
  GENERAL_NAMES *names =
      openssl.X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  if (names == NULL) {
    lua_pushnil(L);
    return;
  }
  lua_pushcfunction(L, copy_general_names);
  lua_pushlightuserdata(L, names);
  int status = lua_pcall(L, 1, 1, 0);
  sk_GENERAL_NAME_pop_free(names, openssl.GENERAL_NAME_free);
  if (status != LUA_OK) lua_error(L);
}

void certificate_push(lua_State *L, X509 *certificate) {
  luaL_checkstack(L, 12, NULL);
  lua_createtable(L, 0, 8);
  push_name(L, openssl.X509_get_subject_name(certificate));
  lua_setfield(L, -2, "subject");
  push_name(L, openssl.X509_get_issuer_name(certificate));
  lua_setfield(L, -2, "issuer");
  lua_pushinteger(L, openssl.X509_get_version(certificate) + 1);
  lua_setfield(L, -2, "version");
  push_serial_number(L, certificate);
  lua_setfield(L, -2, "serialNumber");
  push_time(L, openssl.X509_get0_notBefore(certificate));
  lua_setfield(L, -2, "notBefore");
  push_time(L, openssl.X509_get0_notAfter(certificate));
  lua_setfield(L, -2, "notAfter");
  push_alt_names(L, certificate);
  lua_setfield(L, -2, "subjectAltName");
}

void certificate_push_der(lua_State *L, X509 *certificate) {
  unsigned char *der = NULL;
  int length = openssl.i2d_X509(certificate, &der);
  push_owned(L, der, length < 0 ? 0 : (size_t)length);
}
