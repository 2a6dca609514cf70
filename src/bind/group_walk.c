// SPDX-License-Identifier: MIT
// group_walk.c: the depth first walk through a group.
//
// The walk's places on the Lua stack, from walk->value on:
//   value, traceback, seen, then FRAME_SIZE places for each open group
// `seen` has the open groups as keys (with `once`: all that were entered), so
// that a tree which a program tied into a knot comes to an end.
#include "group_walk.h"

#include <lauxlib.h>

#include "error.h"
#include "group.h"

enum { SEEN = 2, FRAMES = 3 };
enum { GROUP, ERRORS, TRACEBACKS, COUNT, NEXT, FRAME_SIZE };

static int frame_of(const Walk *walk) {
  return walk->value + FRAMES + (walk->frames - 1) * FRAME_SIZE;
}

static void mark(const Walk *walk, int group, bool seen) {
  lua_State *L = walk->L;
  lua_pushvalue(L, group);
  if (seen) {
    lua_pushboolean(L, 1);
  } else {
    lua_pushnil(L);
  }
  lua_rawset(L, walk->value + SEEN);
}

static bool is_marked(const Walk *walk, int group) {
  lua_State *L = walk->L;
  lua_pushvalue(L, group);
  bool seen = lua_rawget(L, walk->value + SEEN) != LUA_TNIL;
  lua_pop(L, 1);
  return seen;
}

// Open the group that was reached.
static void enter(Walk *walk) {
  lua_State *L = walk->L;
  luaL_checkstack(L, FRAME_SIZE + 10, "error groups nested too deeply");
  mark(walk, walk->value, true);
  lua_pushvalue(L, walk->value);
  int count = group_push_parts(L, walk->value);
  lua_pushinteger(L, count);
  lua_pushinteger(L, 1);
  walk->frames++;
}

static void leave(Walk *walk) {
  int frame = frame_of(walk);
  if (!walk->once) mark(walk, frame + GROUP, false);
  lua_settop(walk->L, frame - 1);
  walk->frames--;
}

void walk_start(Walk *walk, lua_State *L, int idx, bool once) {
  luaL_checkstack(L, 10, NULL);
  idx = lua_absindex(L, idx);
  *walk = (Walk){.L = L, .value = lua_gettop(L) + 1, .once = once};
  walk->traceback = walk->value + 1;
  lua_pushvalue(L, idx);
  lua_pushnil(L);
  lua_newtable(L);
  walk->is_group = true;
}

bool walk_next(Walk *walk) {
  lua_State *L = walk->L;
  if (walk->is_group && !walk->is_cycle) enter(walk);
  while (walk->frames > 0) {
    int frame = frame_of(walk);
    lua_Integer next = lua_tointeger(L, frame + NEXT);
    lua_Integer count = lua_tointeger(L, frame + COUNT);
    if (next > count) {
      leave(walk);
      continue;
    }
    lua_rawgeti(L, frame + ERRORS, next);
    lua_replace(L, walk->value);
    lua_pushnil(L);
    if (lua_istable(L, frame + TRACEBACKS)) {
      lua_rawgeti(L, frame + TRACEBACKS, next);
      lua_replace(L, -2);
    }
    lua_replace(L, walk->traceback);
    lua_pushinteger(L, next + 1);
    lua_replace(L, frame + NEXT);
    walk->depth = walk->frames;
    walk->is_last = next == count;
    walk->is_group = group_is(L, walk->value);
    walk->is_cycle = walk->is_group && is_marked(walk, walk->value);
    return true;
  }
  walk->is_group = false;
  return false;
}

void walk_end(Walk *walk) { lua_settop(walk->L, walk->value - 1); }
