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
// [-0, +0, m]
bool group_contains(lua_State *L, int idx, int kind);

// Is the value at idx a group that has members? [-0, +0, -]
bool group_is(lua_State *L, int idx);

// Push the arrays of the group at idx, exceptions and tracebacks (nil where
// there are none), and return the count of members. [-0, +2, -]
int group_push_parts(lua_State *L, int idx);

// Push a new group of the class and message of the group at `model`; the other
// arguments are those of group_push. [-0, +1, m]
void group_push_like(lua_State *L, int model, int exceptions, int tracebacks,
                     int count, bool loose);

// Divide the group at idx by the condition at `cond` (checked before): push
// the part that matches and the rest, nil where there is none. [-0, +2, e]
void group_divide(lua_State *L, int idx, int cond);

// An argument error unless idx holds a class, an array of classes or a
// function. [-0, +0, v]
void group_check_condition(lua_State *L, int idx);

// Push the drawing of the group at idx, one line for each member, with the
// tracebacks of the members where `tracebacks` says so. [-0, +1, e]
void group_push_text(lua_State *L, int idx, bool tracebacks);

// Push the first line of that drawing: class, message, count. [-0, +1, m]
void group_push_title(lua_State *L, int idx);

// The option strict_exception_groups of the options table at idx. Asking for
// loose groups is reported through `warn`, with the place. [-0, +0, v]
bool group_strict_option(lua_State *L, int idx, bool fallback);

// Add ExceptionGroup to the module table on top. Called after error_open.
void group_open(lua_State *L);

#endif
