// SPDX-License-Identifier: MIT
// group_walk.h: going through every member of a group of any depth.
//
// A walk keeps its place on the Lua stack, above what stands there when it
// starts, and touches no C stack however deep the tree is. A group that
// contains itself is not entered a second time. Between two steps the caller
// may push values, if it pops them again before the next.
#ifndef TRIO_BIND_GROUP_WALK_H
#define TRIO_BIND_GROUP_WALK_H

#include <lua.h>
#include <stdbool.h>

typedef struct Walk {
  lua_State *L;
  int value;      // index of the member that was reached
  int traceback;  // index of its traceback, a string or nil
  int depth;      // its depth: 1 for the members of the root
  int frames;     // groups that are open
  bool once;      // enter each group only once, wherever it stands
  bool is_group;  // the member is a group and comes before its own members
  bool is_cycle;  // it is one that won't be entered (again)
  bool is_last;   // no sibling follows
} Walk;

// Begin at the group at idx, whose members come first. [-0, +n, m]
void walk_start(Walk *walk, lua_State *L, int idx, bool once);
// Go to the next member, depth first; false at the end. [-0, +n, v]
bool walk_next(Walk *walk);
// Take everything of the walk off the stack. [-n, +0, -]
void walk_end(Walk *walk);

#endif
