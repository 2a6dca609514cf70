// SPDX-License-Identifier: MIT
// context_load.c: certificates and keys from files, and whom to trust.
//
// The reading is OpenSSL's and blocks, like Lua's own `require`: it is done
// once, before the program serves anybody.
#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "../base/debug.h"
#include "../io/path.h"
#include "context.h"
#include "failure.h"

static Context *check_context(lua_State *L) {
  return class_check(L, 1, &context_class);
}

// OpenSSL's words for a missing file are poor.
static void check_readable(lua_State *L, const char *path) {
  if (access(path, R_OK) == 0) return;
  path_push_error(L, errno, "open", path);
  lua_error(L);
}

// ---- own certificate and key

enum { SELF = 1, CERT_FILE, KEY_FILE, PASSWORD };

// What on_password needs. It is called by OpenSSL, which no error may leave:
// the error stays on top of the stack.
typedef struct Question {
  lua_State *L;
  bool was_asked, has_error;
} Question;

// Push the password. [-0, +1, e]
static int find_password(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING) lua_call(L, 0, 1);
  if (lua_type(L, -1) != LUA_TSTRING) {
    return luaL_error(L, "the function for the password must return a string");
  }
  return 1;
}

static int on_password(char *buffer, int size, int writing, void *data) {
  UNUSED(writing);
  Question *q = data;
  lua_State *L = q->L;
  q->was_asked = true;
  if (lua_isnil(L, PASSWORD) || !lua_checkstack(L, 3)) return -1;
  lua_pushcfunction(L, find_password);
  lua_pushvalue(L, PASSWORD);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    q->has_error = true;
    return -1;
  }
  size_t length;
  const char *password = lua_tolstring(L, -1, &length);
  if (length > (size_t)size) return -1;
  memcpy(buffer, password, length);
  lua_pop(L, 1);
  return (int)length;
}

static int load_key(lua_State *L, SSL_CTX *ctx, const char *path) {
  Question q = {.L = L};
  openssl.SSL_CTX_set_default_passwd_cb(ctx, on_password);
  openssl.SSL_CTX_set_default_passwd_cb_userdata(ctx, &q);
  int ok = openssl.SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM);
  openssl.SSL_CTX_set_default_passwd_cb(ctx, NULL);
  openssl.SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
  if (ok) return 0;
  if (q.has_error) {
    openssl.ERR_clear_error();
    return lua_error(L);
  }
  if (!q.was_asked) return failure_raise(L, path);
  const char *what =
      lua_pushfstring(L, "%s: %s", path,
                      lua_isnil(L, PASSWORD) ? "the key needs a password"
                                             : "wrong password for the key");
  return failure_raise(L, what);
}

// context:load_cert_chain(certfile [, keyfile [, password]])
int context_load_cert_chain(lua_State *L) {
  Context *c = check_context(L);
  lua_settop(L, PASSWORD);
  const char *certificate = path_check(L, CERT_FILE);
  if (lua_isnil(L, KEY_FILE)) {
    lua_pushvalue(L, CERT_FILE);
    lua_replace(L, KEY_FILE);
  }
  const char *key = path_check(L, KEY_FILE);
  if (!lua_isnil(L, PASSWORD) && lua_type(L, PASSWORD) != LUA_TSTRING) {
    arg_callable(L, PASSWORD);
  }
  check_readable(L, certificate);
  check_readable(L, key);
  openssl.ERR_clear_error();
  if (!openssl.SSL_CTX_use_certificate_chain_file(c->ssl_ctx, certificate)) {
    return failure_raise(L, certificate);
  }
  load_key(L, c->ssl_ctx, key);
  if (!openssl.SSL_CTX_check_private_key(c->ssl_ctx)) {
    return failure_raise(L, "the key doesn't belong to the certificate");
  }
  return 0;
}

// ---- whom to trust

// Read one certificate of PEM text; NULL at the end.
static X509 *next_pem(BIO *bio) {
  return openssl.PEM_read_bio_X509(bio, NULL, NULL, NULL);
}

static bool add_root(SSL_CTX *ctx, X509 *certificate) {
  X509_STORE *store = openssl.SSL_CTX_get_cert_store(ctx);
  int ok = openssl.X509_STORE_add_cert(store, certificate);
  openssl.X509_free(certificate);
  return ok;
}

// Returns how many there were; -1: one of them is bad.
static int trust_pem(SSL_CTX *ctx, const char *data, int length) {
  BIO *bio = openssl.BIO_new_mem_buf(data, length);
  if (bio == NULL) return -1;
  int count = 0;
  X509 *certificate;
  while (count >= 0 && (certificate = next_pem(bio)) != NULL) {
    count = add_root(ctx, certificate) ? count + 1 : -1;
  }
  openssl.BIO_free(bio);
  unsigned long code = openssl.ERR_peek_last_error();
  bool is_end = ERR_GET_LIB(code) == ERR_LIB_PEM &&
                ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  if (count <= 0 || !is_end) return -1;
  openssl.ERR_clear_error();
  return count;
}

static int trust_der(SSL_CTX *ctx, const char *data, int length) {
  const unsigned char *at = (const unsigned char *)data;
  const unsigned char *end = at + length;
  int count = 0;
  while (at < end) {
    X509 *certificate = openssl.d2i_X509(NULL, &at, end - at);
    if (certificate == NULL || !add_root(ctx, certificate)) return -1;
    count++;
  }
  return count;
}

static void trust_data(lua_State *L, SSL_CTX *ctx, int idx) {
  size_t length;
  const char *data = lua_tolstring(L, idx, &length);
  openssl.ERR_clear_error();
  int count = -1;
  if (length <= INT_MAX) {
    count = strstr(data, "-----BEGIN") != NULL
                ? trust_pem(ctx, data, (int)length)
                : trust_der(ctx, data, (int)length);
  }
  if (count > 0) return;
  if (openssl.ERR_peek_error() != 0) failure_raise(L, "cadata");
  luaL_error(L, "cadata has no certificate");
}

// Push the option `name` of the table at idx, a path or nil; as text.
static const char *push_path(lua_State *L, int idx, const char *name) {
  if (lua_getfield(L, idx, name) == LUA_TNIL) return NULL;
  const char *path = path_test(L, lua_gettop(L));
  if (path != NULL) return path;
  luaL_argerror(L, idx, lua_pushfstring(L, "option '%s' must be a path", name));
  return NULL;
}

bool context_trust(lua_State *L, Context *c, int idx) {
  const char *file = push_path(L, idx, "cafile");
  const char *folder = push_path(L, idx, "capath");
  bool has_data = lua_getfield(L, idx, "cadata") != LUA_TNIL;
  if (has_data && lua_type(L, -1) != LUA_TSTRING) {
    luaL_argerror(L, idx, "option 'cadata' must be a string");
  }
  openssl.ERR_clear_error();
  if (file != NULL) {
    check_readable(L, file);
    if (!openssl.SSL_CTX_load_verify_file(c->ssl_ctx, file)) {
      failure_raise(L, file);
    }
  }
  if (folder != NULL) {
    check_readable(L, folder);
    if (!openssl.SSL_CTX_load_verify_dir(c->ssl_ctx, folder)) {
      failure_raise(L, folder);
    }
  }
  if (has_data) trust_data(L, c->ssl_ctx, lua_gettop(L));
  lua_pop(L, 3);
  return file != NULL || folder != NULL || has_data;
}

// context:load_verify_locations(opts), or (cafile, capath, cadata)
int context_load_verify_locations(lua_State *L) {
  static const char *const names[] = {"cafile", "capath", "cadata", NULL};
  Context *c = check_context(L);
  lua_settop(L, 4);
  if (lua_istable(L, 2)) {
    opts_check(L, 2, names);
  } else {
    lua_createtable(L, 0, 3);
    for (int i = 0; names[i] != NULL; i++) {
      lua_pushvalue(L, 2 + i);
      lua_setfield(L, -2, names[i]);
    }
    lua_replace(L, 2);
  }
  if (!context_trust(L, c, 2)) {
    return luaL_argerror(L, 2, "cafile, capath or cadata expected");
  }
  return 0;
}

// context:load_default_certs(): the system's roots, besides what is trusted
int context_load_default_certs(lua_State *L) {
  Context *c = check_context(L);
  if (!openssl.SSL_CTX_set_default_verify_paths(c->ssl_ctx)) {
    return failure_raise(L, "load_default_certs");
  }
  return 0;
}
