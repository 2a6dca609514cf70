// SPDX-License-Identifier: MIT
// parcel.h: values on their way from one Lua state to another.
//
// A parcel is plain C memory: it belongs to no Lua state and may change hands
// between threads. What can be sent: nil, booleans, numbers, strings, tables
// without a metatable, Lua functions with their upvalues, error classes and
// objects, TrioTokens, and whatever is found by name in package.loaded. What
// is shared or refers to itself is so again at the other end; an `_ENV`
// becomes the globals of the state that unpacks.
// Errors are raised with the parcel's memory in the hands of a Lua object, so
// that no error can lose it.
#ifndef TRIO_IO_PARCEL_H
#define TRIO_IO_PARCEL_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

struct TokenQueue;

typedef struct Parcel {
  char *data;
  size_t size;
  struct TokenQueue **tokens;  // a reference each
  int token_count;
} Parcel;

// What the values are called in errors.
typedef enum ParcelRole {
  PARCEL_CALL,     // "the function", "argument 1"...
  PARCEL_RESULTS,  // "result 1"...
  PARCEL_ERROR     // "the error"
} ParcelRole;

// Pack the `count` values on top; raises a string that names what can't be
// sent. Pushes a Lua object that owns the parcel. [-count, +1, v]
Parcel *parcel_push(lua_State *L, int count, ParcelRole role);

// Move the content out of the object's hands. `to` is empty before.
void parcel_move(Parcel *from, Parcel *to);

// Push the values and return how many they are; the parcel stays as it is.
// May load modules. [-0, +n, e]
int parcel_unpack(lua_State *L, const Parcel *p);

// Free the content. Any thread.
void parcel_free(Parcel *p);

// Are these the same bytes?
bool parcel_equals(const Parcel *a, const Parcel *b);

// Make the classes of this file known to the state. [-0, +0, m]
void parcel_open(lua_State *L);

#endif
