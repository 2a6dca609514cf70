// SPDX-License-Identifier: MIT
// parcel_wire.h: what the two ends of a parcel agree on, for parcel*.c only.
//
// A parcel is a count and that many atoms, then the content of every object
// in the order in which the objects first appeared. An atom is a tag and its
// operands; one that introduces an object gives it the next number, counted
// from 1. Sizes and numbers are in the machine's own representation.
//   content of a function   an atom for each upvalue, or JOIN
//   content of any other    pairs of atoms, then END
// Nothing here recurses, so that a long list is no deep stack.
#ifndef TRIO_IO_PARCEL_WIRE_H
#define TRIO_IO_PARCEL_WIRE_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "parcel.h"

typedef enum ParcelTag {
  PARCEL_NIL,
  PARCEL_FALSE,
  PARCEL_TRUE,
  PARCEL_INTEGER,   // lua_Integer
  PARCEL_FLOAT,     // lua_Number
  PARCEL_STRING,    // size, bytes
  PARCEL_GLOBALS,   // the table of globals
  PARCEL_NAMED,     // string: path of names below package.loaded
  PARCEL_TOKEN,     // ParcelId: index into `tokens`
  PARCEL_SEEN,      // ParcelId: an object introduced before
  PARCEL_TABLE,     // a new table
  PARCEL_FUNCTION,  // a new function: size, binary chunk
  PARCEL_OBJECT,    // a new error object: its class, as for CLASS
  PARCEL_CLASS,     // kind, count of names, strings: subclasses of that kind
  PARCEL_JOIN,      // ParcelId, byte: shares that upvalue of that function
  PARCEL_END
} ParcelTag;

typedef uint32_t ParcelId;

// Names, in parcel_names.c. A path is its parts with a zero byte after each.

// Push the path by which the value at idx is found below package.loaded and
// return true, or push nothing. `thorough`: look again for what came since
// the last look. [-0, +0|1, m]
bool parcel_push_path(lua_State *L, int idx, bool thorough);

// Push what is found at the path, loading the module if need be; raises if
// nothing is. [-0, +1, e]
void parcel_push_named(lua_State *L, const char *path, size_t size);

// Push the class `name` below the class on top, made at the first call.
// [-1, +1, e]
void parcel_push_subclass(lua_State *L, const char *name);

// Note that the class on top goes by its names, so that it is found when it
// comes back. [-0, +0, m]
void parcel_note_class(lua_State *L);

#endif
