// SPDX-License-Identifier: MIT
// embedded.h: the Lua files of lua/trio, put into the binary at build time, so
// that the interpreter and the module work from any directory. The array is
// generated (.dev/embed.sh); src/lazy.c runs the files.
#ifndef TRIO_BIND_EMBEDDED_H
#define TRIO_BIND_EMBEDDED_H

#include <stddef.h>

typedef struct EmbeddedLua {
  const char *name;    // "trio.catch" for lua/trio/catch.lua
  const char *names;   // what it adds: " trio.catch kit.class "
  const char *source;  // not terminated by a zero that counts
  size_t length;
  const char *code;  // compiled; code_length is 0 without
  size_t code_length;
} EmbeddedLua;

// Sorted by name; the last entry has a NULL name.
extern const EmbeddedLua embedded_lua[];

#endif
