// SPDX-License-Identifier: MIT
// group.h: ExceptionGroup: building, splitting, printing.
//
// A group is an error object (see error.h) with the fields message,
// exceptions (array of values of any type; field n where one of them is nil)
// and tracebacks (same indices). A *loose* group was made by a nursery with
// strict_exception_groups = false and may collapse to its only member.
#ifndef TRIO_BIND_GROUP_H
#define TRIO_BIND_GROUP_H

#include <lua.h>
#include <stdbool.h>

// Push a new group. The arrays stand at the absolute indices `exceptions` and
// `tracebacks` (0: none) and become the group's own; `count` is their length
// (values may be nil). [-0, +1, m]
void group_push(lua_State *L, const char *message, int exceptions,
                int tracebacks, int count, bool loose);

typedef enum StripResult {
  STRIP_NOTHING,  // no Cancelled inside: nothing pushed
  STRIP_SOME,     // pushed what is left (Trio: split, then collapse)
  STRIP_ALL       // nothing but Cancelled inside: nothing pushed
} StripResult;

// Take every Cancelled out of the error at idx (bare or in a group of any
// depth), keeping shape and messages; collapse loose groups. [-0, +0|1, m]
StripResult group_strip_cancelled(lua_State *L, int idx);

// Is the error at idx of this kind, or a group that contains one at any depth?
bool group_contains(lua_State *L, int idx, int kind);

// Add ExceptionGroup to the module table on top. Called after error_open.
void group_open(lua_State *L);

#endif
