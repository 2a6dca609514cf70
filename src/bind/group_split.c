// SPDX-License-Identifier: MIT
// group_split.c: dividing a group in two, and taking Cancelled out of one.
//
// Both keep the shape: a part has the groups of the original with their
// messages, tracebacks, cause, context and loose mark, without those that
// became empty. A subtree that goes to one side whole is not copied.
//
// The work is one depth first pass with explicit frames on the Lua stack. A
// frame collects its group's members in two pairs of arrays, one for each
// side; when it is left, what it became is handed to the frame below.
// Stripping also collapses loose groups, as Trio's collapse_exception_group.
// It remembers the groups in which there was nothing to do: an error that
// leaves ten thousand nurseries is wrapped and stripped by each, and only the
// outermost group is new. (A Cancelled that a program puts into such a group
// afterwards, by hand, is not found.)
#include <lauxlib.h>

#include "error.h"
#include "group.h"

typedef enum Side { MATCHED, REST } Side;

typedef struct Split {
  lua_State *L;
  int cond;      // index of the condition; 0: is it a Cancelled?
  int seen;      // index of a table: the groups that have a frame
  int base;      // first place of the frames
  int frames;    // how many there are
  bool matched;  // something has matched
  bool loose;    // stripping has entered a loose group
} Split;

// Places of a frame. TRACEBACK is the group's own in the group around it.
enum {
  GROUP,
  TRACEBACK,
  ERRORS,
  TRACEBACKS,
  COUNT,
  NEXT,
  FLAGS,
  PARTS,  // for each side: errors, tracebacks, count
  FRAME_SIZE = PARTS + 6
};
enum { PART_ERRORS, PART_TRACEBACKS, PART_COUNT, PART_SIZE };

// A member didn't go to one side as it was.
enum { CHANGED = 1, COLLAPSED = 2 };

static bool is_strip(const Split *s) { return s->cond == 0; }

static int frame_of(const Split *s) {
  return s->base + (s->frames - 1) * FRAME_SIZE;
}

static int part_of(int frame, Side side) {
  return frame + PARTS + (side == REST ? PART_SIZE : 0);
}

static int get(const Split *s, int place) {
  return (int)lua_tointeger(s->L, place);
}

static void set(const Split *s, int place, int value) {
  lua_pushinteger(s->L, value);
  lua_replace(s->L, place);
}

static void mark(const Split *s, int group, bool seen) {
  lua_pushvalue(s->L, group);
  if (seen) {
    lua_pushboolean(s->L, 1);
  } else {
    lua_pushnil(s->L);
  }
  lua_rawset(s->L, s->seen);
}

static bool is_marked(const Split *s, int group) {
  lua_pushvalue(s->L, group);
  bool seen = lua_rawget(s->L, s->seen) != LUA_TNIL;
  lua_pop(s->L, 1);
  return seen;
}

// Push the table of the groups that hold neither Cancelled nor loose groups.
static void push_clean(lua_State *L) {
  static const char key = 0;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

static bool is_clean(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  push_clean(L);
  lua_pushvalue(L, idx);
  bool clean = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 2);
  return clean;
}

static void note_clean(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (!lua_istable(L, idx)) return;
  push_clean(L);
  lua_pushvalue(L, idx);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

// Does the value at `idx` match by itself?
static bool matches(const Split *s, int idx) {
  lua_State *L = s->L;
  if (is_strip(s)) return error_is(L, idx, ERROR_CANCELLED);
  if (error_is_class(L, s->cond)) return error_is_instance(L, idx, s->cond);
  bool found = false;
  if (lua_istable(L, s->cond) &&
      luaL_getmetafield(L, s->cond, "__call") == LUA_TNIL) {
    for (int i = 1; !found; i++) {
      bool more = lua_rawgeti(L, s->cond, i) != LUA_TNIL;
      found = more && error_is_instance(L, idx, lua_gettop(L));
      lua_pop(L, 1);
      if (!more) break;
    }
    return found;
  }
  if (lua_istable(L, s->cond)) lua_pop(L, 1);
  lua_pushvalue(L, s->cond);
  lua_pushvalue(L, idx);
  lua_call(L, 1, 1);
  found = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return found;
}

static bool is_loose(const Split *s, int group) {
  lua_pushliteral(s->L, "loose");
  lua_rawget(s->L, group);
  bool loose = lua_toboolean(s->L, -1);
  lua_pop(s->L, 1);
  return loose;
}

// Open a frame for the group and its traceback on top. [-2, +FRAME_SIZE, v]
static void enter(Split *s) {
  lua_State *L = s->L;
  luaL_checkstack(L, FRAME_SIZE + 16, "error groups nested too deeply");
  int group = lua_gettop(L) - 1;
  mark(s, group, true);
  s->loose = s->loose || is_loose(s, group);
  int count = group_push_parts(L, group);
  lua_pushinteger(L, count);
  lua_pushinteger(L, 1);
  lua_pushinteger(L, 0);
  for (int side = 0; side < 2; side++) {
    lua_newtable(L);
    lua_newtable(L);
    lua_pushinteger(L, 0);
  }
  s->frames++;
}

// Give the frame a member for one side: the value and its traceback on top.
// What stripping takes out is only counted. [-2, +0, m]
static void give(const Split *s, int frame, Side side) {
  lua_State *L = s->L;
  int part = part_of(frame, side);
  int count = get(s, part + PART_COUNT) + 1;
  set(s, part + PART_COUNT, count);
  if (is_strip(s) && side == MATCHED) {
    lua_pop(L, 2);
  } else {
    lua_rawseti(L, part + PART_TRACEBACKS, count);
    lua_rawseti(L, part + PART_ERRORS, count);
  }
}

// Push a copy of the frame's group that holds one side only. [-0, +1, m]
static void push_part(const Split *s, int frame, Side side, bool loose) {
  static const char *const fields[] = {"traceback", "cause", "context", NULL};
  lua_State *L = s->L;
  int part = part_of(frame, side);
  group_push_like(L, frame + GROUP, part + PART_ERRORS, part + PART_TRACEBACKS,
                  get(s, part + PART_COUNT), loose);
  for (const char *const *name = fields; *name != NULL; name++) {
    lua_pushstring(L, *name);
    lua_pushvalue(L, -1);
    lua_rawget(L, frame + GROUP);
    lua_rawset(L, -3);
  }
}

// Push what the frame's group becomes on one side, and its traceback; returns
// false and pushes nothing where that is nothing. Notes in *flags what the
// frame below must know. [-0, +0|2, m]
static bool push_side(const Split *s, int frame, Side side, int *flags) {
  lua_State *L = s->L;
  int part = part_of(frame, side);
  int own = get(s, frame + FLAGS);
  int count = get(s, part + PART_COUNT);
  if (count == 0) return false;
  if (is_strip(s) && side == MATCHED) {
    lua_pushnil(L);
    lua_pushnil(L);
    return true;
  }
  bool loose = is_loose(s, frame + GROUP);
  if (is_strip(s) && count == 1 && loose) {
    lua_rawgeti(L, part + PART_ERRORS, 1);
    lua_rawgeti(L, part + PART_TRACEBACKS, 1);
    *flags |= CHANGED | COLLAPSED;
    return true;
  }
  if ((own & CHANGED) == 0 && count == get(s, frame + COUNT)) {
    lua_pushvalue(L, frame + GROUP);
  } else {
    push_part(s, frame, side, loose && (own & COLLAPSED) == 0);
    *flags |= CHANGED | (own & COLLAPSED);
  }
  lua_pushvalue(L, frame + TRACEBACK);
  return true;
}

// Close the last frame: its two sides go to the frame below. [-n, +0, m]
static void leave(Split *s) {
  lua_State *L = s->L;
  int frame = frame_of(s);
  mark(s, frame + GROUP, false);
  s->frames--;
  int below = frame_of(s);
  int flags = 0;
  bool matched = push_side(s, frame, MATCHED, &flags);
  if (matched) give(s, below, MATCHED);
  bool rest = push_side(s, frame, REST, &flags);
  if (rest) give(s, below, REST);
  if (matched && rest) flags |= CHANGED;
  set(s, below + FLAGS, get(s, below + FLAGS) | flags);
  lua_settop(L, frame - 1);
}

// Close the only frame: push its two sides, nil where there is nothing.
// [-n, +2, m]
static void finish(Split *s) {
  lua_State *L = s->L;
  int flags = 0;
  for (int side = 0; side < 2; side++) {
    if (push_side(s, s->base, (Side)side, &flags)) {
      lua_pop(L, 1);
    } else {
      lua_pushnil(L);
    }
  }
  lua_replace(L, s->base + 1);
  lua_replace(L, s->base);
  lua_settop(L, s->base + 1);
  s->frames = 0;
}

// Is the value at idx a group whose members must be looked at?
static bool must_enter(const Split *s, int idx) {
  return group_is(s->L, idx) && !is_marked(s, idx) &&
         !(is_strip(s) && is_clean(s->L, idx));
}

// Take the next member of the last frame; false where there is none.
static bool step(Split *s) {
  lua_State *L = s->L;
  int frame = frame_of(s);
  int next = get(s, frame + NEXT);
  if (next > get(s, frame + COUNT)) return false;
  set(s, frame + NEXT, next + 1);
  lua_rawgeti(L, frame + ERRORS, next);
  if (lua_istable(L, frame + TRACEBACKS)) {
    lua_rawgeti(L, frame + TRACEBACKS, next);
  } else {
    lua_pushnil(L);
  }
  int value = lua_gettop(L) - 1;
  if (matches(s, value)) {
    s->matched = true;
    give(s, frame, MATCHED);
  } else if (must_enter(s, value)) {
    enter(s);
  } else {
    give(s, frame, REST);
  }
  return true;
}

// Divide the group at idx. [-0, +2, e]
static void divide(Split *s, int idx) {
  lua_State *L = s->L;
  luaL_checkstack(L, 16, NULL);
  idx = lua_absindex(L, idx);
  lua_newtable(L);
  s->seen = lua_gettop(L);
  s->base = s->seen + 1;
  lua_pushvalue(L, idx);
  lua_pushnil(L);
  enter(s);
  for (;;) {
    if (step(s)) continue;
    if (s->frames == 1) break;
    leave(s);
  }
  finish(s);
  lua_remove(L, s->seen);
}

void group_divide(lua_State *L, int idx, int cond) {
  Split s = {.L = L, .cond = lua_absindex(L, cond)};
  idx = lua_absindex(L, idx);
  if (matches(&s, idx)) {
    lua_pushvalue(L, idx);
    lua_pushnil(L);
  } else if (!group_is(L, idx)) {
    lua_pushnil(L);
    lua_pushvalue(L, idx);
  } else {
    divide(&s, idx);
  }
}

StripResult group_strip_cancelled(lua_State *L, int idx) {
  if (error_is(L, idx, ERROR_CANCELLED)) return STRIP_ALL;
  if (!group_is(L, idx) || is_clean(L, idx)) return STRIP_NOTHING;
  idx = lua_absindex(L, idx);
  Split s = {.L = L};
  divide(&s, idx);
  lua_remove(L, -2);
  if (!s.loose) note_clean(L, s.matched ? -1 : idx);
  if (!s.matched) {
    lua_pop(L, 1);
    return STRIP_NOTHING;
  }
  if (!lua_isnil(L, -1)) return STRIP_SOME;
  lua_pop(L, 1);
  return STRIP_ALL;
}

// An array of no class matches nothing; fields are a mistake.
static bool is_array(lua_State *L, int idx) {
  if (!lua_istable(L, idx)) return false;
  if (lua_rawlen(L, idx) > 0) return true;
  lua_pushnil(L);
  if (lua_next(L, idx) == 0) return true;
  lua_pop(L, 2);
  return false;
}

void group_check_condition(lua_State *L, int idx) {
  if (lua_isfunction(L, idx) || error_is_class(L, idx)) return;
  if (luaL_getmetafield(L, idx, "__call") != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  if (!is_array(L, idx)) {
    luaL_typeerror(L, idx, "error class, array of classes or function");
  }
  int count = (int)lua_rawlen(L, idx);
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, idx, i);
    if (!error_is_class(L, -1)) {
      luaL_argerror(L, idx,
                    lua_pushfstring(L,
                                    "place %d of the array has no class "
                                    "but a %s",
                                    i, luaL_typename(L, -1)));
    }
    lua_pop(L, 1);
  }
}
