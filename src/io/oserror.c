// SPDX-License-Identifier: MIT
// oserror.c: see oserror.h. libuv knows the names of error codes.
#include "oserror.h"

#include <errno.h>
#include <uv.h>

#include "../bind/error.h"

void oserror_push_name(lua_State *L, int number) {
  char name[32];
  uv_err_name_r(uv_translate_sys_error(number), name, sizeof name);
  lua_pushstring(L, name);
}

void oserror_push(lua_State *L, int number, const char *what,
                  const char *detail) {
  int code = uv_translate_sys_error(number);
  char name[32], text[128];
  uv_err_name_r(code, name, sizeof name);
  uv_strerror_r(code, text, sizeof text);
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
