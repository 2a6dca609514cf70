// SPDX-License-Identifier: MIT
// trio.h: the C API of trio-lua.
#ifndef TRIO_H
#define TRIO_H

#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TRIO_API __attribute__((visibility("default")))
#else
#define TRIO_API
#endif

// Push the module table, as require "trio" does. Give it to luaL_requiref or
// package.preload. May raise for lack of memory. [-0, +1, m]
TRIO_API int luaopen_trio(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
