// SPDX-License-Identifier: MIT
// oserror.c: see oserror.h. The C library knows the names of all errors, where
// it tells them; libuv those that it has met.
#define _GNU_SOURCE  // strerrorname_np
#include "oserror.h"

#include <errno.h>
#include <string.h>
#include <uv.h>

#include "../bind/error.h"

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
static const char *system_name(int number) { return strerrorname_np(number); }
#else
static const char *system_name(int number) {
  (void)number;
  return NULL;
}
#endif

// The name and the text of an error number, or of a status of libuv.
static void describe(int number, char name[32], char text[128]) {
  int status = number < 0 ? number : uv_translate_sys_error(number);
  uv_err_name_r(status, name, 32);
  uv_strerror_r(status, text, 128);
  const char *known = system_name(-status);
  if (known == NULL) return;
  if (strncmp(name, "Unknown", 7) == 0) {
    snprintf(text, 128, "%s", strerror(-status));
  }
  snprintf(name, 32, "%s", known);
}

void oserror_push_name(lua_State *L, int number) {
  char name[32], text[128];
  describe(number, name, text);
  lua_pushstring(L, name);
}

void oserror_push(lua_State *L, int number, const char *what,
                  const char *detail) {
  char name[32], text[128];
  describe(number, name, text);
  error_push(L, ERROR_OS, "[%s] %s: %s%s%s", name, what, text,
             detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "code");
  lua_pushinteger(L, number < 0 ? -number : number);
  lua_setfield(L, -2, "errno");
  lua_pushstring(L, what);
  lua_setfield(L, -2, "syscall");
}

int oserror_raise(lua_State *L, int number, const char *what,
                  const char *detail) {
  oserror_push(L, number, what, detail);
  return lua_error(L);
}

int oserror_raise_broken(lua_State *L, int number, const char *what) {
  if (number == EBADF || number == ENOTSOCK) {
    return error_raise(L, ERROR_CLOSED_RESOURCE,
                       "this resource was closed by its own side");
  }
  error_push(L, ERROR_BROKEN_RESOURCE, "the connection is broken");
  oserror_push(L, number, what, NULL);
  lua_setfield(L, -2, "cause");
  return lua_error(L);
}
