// SPDX-License-Identifier: MIT
// openssl.c: finds OpenSSL's libraries and the functions in them. They stay
// loaded: OpenSSL registers functions to be called at the end of the process.
#include "openssl.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "../base/debug.h"

#ifdef __APPLE__
#define SSL_LIBRARY "libssl.3.dylib"
#define CRYPTO_LIBRARY "libcrypto.3.dylib"
#else
#define SSL_LIBRARY "libssl.so.3"
#define CRYPTO_LIBRARY "libcrypto.so.3"
#endif

typedef struct Function {
  const char *name;
  size_t place;  // of its pointer in the table
} Function;

// (The names are pasted because some are macros, see the header's end.)
#undef SSL_CTX_ctrl
#undef SSL_ctrl
#undef OPENSSL_sk_num
#undef OPENSSL_sk_value
#undef OPENSSL_sk_find
#undef OPENSSL_sk_free
#undef OPENSSL_sk_pop_free
#undef CRYPTO_free
#define ENTRY(name) {#name, offsetof(OpenSsl, name)},
static const Function ssl_functions[] = {OPENSSL_SSL_FUNCTIONS(ENTRY)};
static const Function crypto_functions[] = {OPENSSL_CRYPTO_FUNCTIONS(ENTRY)};

OpenSsl openssl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[256];  // why it could not be loaded; "" if it was

static bool find_functions(void *library, const Function *functions,
                           int count) {
  for (int i = 0; i < count; i++) {
    void *address = dlsym(library, functions[i].name);
    if (address == NULL) {
      snprintf(problem, sizeof problem, "%s", dlerror());
      return false;
    }
    memcpy((char *)&openssl + functions[i].place, &address, sizeof address);
  }
  return true;
}

static bool load_library(const char *name, const Function *functions,
                         int count) {
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    snprintf(problem, sizeof problem, "%s", dlerror());
    return false;
  }
  return find_functions(library, functions, count);
}

static void load(void) {
  if (load_library(CRYPTO_LIBRARY, crypto_functions,
                   COUNT_OF(crypto_functions))) {
    load_library(SSL_LIBRARY, ssl_functions, COUNT_OF(ssl_functions));
  }
}

void openssl_load(lua_State *L) {
  pthread_once(&once, load);
  if (problem[0] == '\0') return;
  luaL_error(L, "trio.ssl needs OpenSSL 3 (" SSL_LIBRARY "): %s", problem);
}
