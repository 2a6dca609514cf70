// SPDX-License-Identifier: MIT
// parcel.c: see parcel.h. Packing; parcel_unpack.c is the other end. What
// objects have been met, and in whose content, stands in Lua tables; if a value
// can't be sent, its place is looked up there and put into words.
#include "parcel.h"

#include <lauxlib.h>
#include <string.h>

#include "../api/token_c.h"
#include "../base/mem.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "parcel_wire.h"

typedef struct Box {
  ClassHead head;
  Parcel parcel;
} Box;

// The frame of a packing call: the arguments, then these.
typedef struct Packer {
  lua_State *L;
  Parcel *parcel;
  size_t room;
  int first, count;  // where the values stand
  int seen;          // object -> number; address of an upvalue -> its place
  int order;         // number -> object
  int parents;       // number -> number of the object it was met in; -i: value
  ParcelId objects;
  lua_Integer owner;  // whose content is being packed, as in `parents`
  ParcelRole role;
} Packer;

static int box_gc(lua_State *L) {
  Box *box = lua_touserdata(L, 1);
  parcel_free(&box->parcel);
  return 0;
}

static const luaL_Reg box_meta[] = {{"__gc", box_gc}, {NULL, NULL}};
static const Class box_class = {"trio.parcel", NULL, NULL, box_meta};

void parcel_free(Parcel *p) {
  for (int i = 0; i < p->token_count; i++) token_release(p->tokens[i]);
  mem_free(p->tokens);
  mem_free(p->data);
  memset(p, 0, sizeof *p);
}

void parcel_move(Parcel *from, Parcel *to) {
  *to = *from;
  memset(from, 0, sizeof *from);
}

bool parcel_equals(const Parcel *a, const Parcel *b) {
  if (a->size != b->size || a->token_count != b->token_count) return false;
  for (int i = 0; i < a->token_count; i++) {
    if (a->tokens[i] != b->tokens[i]) return false;
  }
  return memcmp(a->data, b->data, a->size) == 0;
}

// ---- bytes

static bool append(Packer *p, const void *bytes, size_t size) {
  Parcel *parcel = p->parcel;
  if (p->room - parcel->size < size) {
    size_t room = p->room < 128 ? 256 : p->room * 2;
    if (room - parcel->size < size) room = parcel->size + size;
    char *more = mem_realloc(parcel->data, room);
    if (more == NULL) return false;
    parcel->data = more;
    p->room = room;
  }
  if (size > 0) memcpy(parcel->data + parcel->size, bytes, size);
  parcel->size += size;
  return true;
}

static void put(Packer *p, const void *bytes, size_t size) {
  if (!append(p, bytes, size)) luaL_error(p->L, "not enough memory");
}

static void put_tag(Packer *p, ParcelTag tag) {
  char byte = (char)tag;
  put(p, &byte, 1);
}

static void put_id(Packer *p, ParcelId id) { put(p, &id, sizeof id); }

static void put_string(Packer *p, int idx) {
  size_t size;
  const char *bytes = lua_tolstring(p->L, idx, &size);
  put(p, &size, sizeof size);
  put(p, bytes, size);
}

// ---- where is it?

// Push "field 'x'" for the key at idx.
static void push_key_text(lua_State *L, int key) {
  if (lua_type(L, key) == LUA_TSTRING) {
    lua_pushfstring(L, "field '%s'", lua_tostring(L, key));
  } else if (lua_type(L, key) == LUA_TNUMBER) {
    lua_pushfstring(L, "field [%s]", luaL_tolstring(L, key, NULL));
    lua_remove(L, -2);
  } else {
    lua_pushfstring(L, "a field whose key is a %s", luaL_typename(L, key));
  }
}

static void push_upvalue_text(lua_State *L, int i, const char *name) {
  if (name[0] == '\0' || name[0] == '(') {
    lua_pushfstring(L, "upvalue #%d", i);
  } else {
    lua_pushfstring(L, "upvalue '%s'", name);
  }
}

// Push how the object at index `child` is reached from the one at `parent`.
static void push_step(lua_State *L, int parent, int child) {
  if (lua_isfunction(L, parent)) {
    const char *name;
    for (int i = 1; (name = lua_getupvalue(L, parent, i)) != NULL; i++) {
      bool found = lua_rawequal(L, -1, child);
      lua_pop(L, 1);
      if (found) return push_upvalue_text(L, i, name);
    }
  }
  if (lua_istable(L, parent)) {
    for (lua_pushnil(L); lua_next(L, parent) != 0; lua_pop(L, 1)) {
      int key = lua_gettop(L) - 1;
      if (lua_rawequal(L, -1, child)) {
        push_key_text(L, key);
        lua_replace(L, key);
        return lua_settop(L, key);
      }
      if (!lua_rawequal(L, key, child)) continue;
      lua_settop(L, key - 1);
      lua_pushliteral(L, "a key");
      return;
    }
  }
  lua_pushliteral(L, "a part");
}

// Push what the value itself is called.
static void push_root(const Packer *p, int number) {
  lua_State *L = p->L;
  if (p->role == PARCEL_ERROR) {
    lua_pushliteral(L, "the error");
  } else if (p->role == PARCEL_RESULTS) {
    lua_pushfstring(L, "result %d", number);
  } else if (number == 1) {
    lua_pushliteral(L, "the function");
  } else {
    lua_pushfstring(L, "argument %d", number - 1);
  }
}

// The text on top names a part of the owner: continue it up to the root.
static void finish_path(const Packer *p) {
  lua_State *L = p->L;
  lua_Integer owner = p->owner;
  while (owner > 0) {
    lua_rawgeti(L, p->parents, owner);
    lua_Integer parent = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (parent > 0) {
      lua_rawgeti(L, p->order, parent);
      lua_rawgeti(L, p->order, owner);
      push_step(L, lua_gettop(L) - 1, lua_gettop(L));
      lua_replace(L, -3);
      lua_pop(L, 1);
      lua_pushfstring(L, "%s of %s", lua_tostring(L, -2), lua_tostring(L, -1));
      lua_replace(L, -3);
      lua_pop(L, 1);
    }
    owner = parent;
  }
  push_root(p, (int)-owner);
  if (lua_isnil(L, -2)) {
    lua_replace(L, -2);
    return;
  }
  lua_pushfstring(L, "%s of %s", lua_tostring(L, -2), lua_tostring(L, -1));
}

// The value at idx, reached by the step on top (nil: it is a root), can't be
// sent.
static int refuse(const Packer *p, int idx) {
  lua_State *L = p->L;
  luaL_checkstack(L, 12, NULL);
  finish_path(p);
  const char *path = lua_tostring(L, -1);
  const char *type = lua_typename(L, lua_type(L, idx));
  if (lua_isthread(L, idx)) type = "a coroutine";
  if (lua_istable(L, idx)) type = "a table with a metatable";
  if (lua_iscfunction(L, idx)) {
    type = "a C function that has no name in package.loaded";
  }
  if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING) {
    lua_pushfstring(L, "%s: %s can't be sent to a thread (%s)", path, type,
                    lua_tostring(L, -1));
  } else {
    lua_pushfstring(L, "%s: %s can't be sent to a thread", path, type);
  }
  return lua_error(L);  // the position is the program's, not ours
}

// ---- objects

// Note the object at idx as the next one.
static void introduce(Packer *p, int idx) {
  lua_State *L = p->L;
  p->objects++;
  lua_pushvalue(L, idx);
  lua_pushinteger(L, p->objects);
  lua_rawset(L, p->seen);
  lua_pushvalue(L, idx);
  lua_rawseti(L, p->order, p->objects);
  lua_pushinteger(L, p->owner);
  lua_rawseti(L, p->parents, p->objects);
}

static bool put_seen(Packer *p, int idx) {
  lua_State *L = p->L;
  lua_pushvalue(L, idx);
  ParcelId id = 0;
  if (lua_rawget(L, p->seen) == LUA_TNUMBER)
    id = (ParcelId)lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (id == 0) return false;
  put_tag(p, PARCEL_SEEN);
  put_id(p, id);
  return true;
}

static bool put_named(Packer *p, int idx, bool thorough) {
  if (!parcel_push_path(p->L, idx, thorough)) return false;
  put_tag(p, PARCEL_NAMED);
  put_string(p, -1);
  lua_pop(p->L, 1);
  return true;
}

// Which of the library's own classes is on top? -1: none.
static int kind_of_class(lua_State *L) {
  for (int kind = 0; kind < ERROR_KIND_COUNT; kind++) {
    error_push_class(L, (ErrorKind)kind);
    bool found = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (found) return kind;
  }
  return -1;
}

// The class on top: the kind it descends from, and the names below. [-1]
static void put_class(Packer *p) {
  lua_State *L = p->L;
  int base = lua_gettop(L);
  unsigned char kind, count = 0;
  int found;
  while ((found = kind_of_class(L)) < 0) {
    luaL_checkstack(L, 8, NULL);
    parcel_note_class(L);
    if (++count > 200) luaL_error(L, "too many levels of error classes");
    lua_getmetatable(L, -1);
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  kind = (unsigned char)found;
  put(p, &kind, 1);
  put(p, &count, 1);
  for (int i = count - 1; i >= 0; i--) {
    error_push_class_metatable(L, base + i);
    lua_getfield(L, -1, "__name");
    put_string(p, -1);
    lua_pop(L, 2);
  }
  lua_settop(L, base - 1);
}

// Push the class of the error object at idx and return true, or push nothing.
static bool push_class_of(lua_State *L, int idx) {
  if (luaL_getmetafield(L, idx, "__metatable") == LUA_TNIL) return false;
  if (error_is_class(L, -1) && error_is_instance(L, idx, -1)) return true;
  lua_pop(L, 1);
  return false;
}

static bool put_table(Packer *p, int idx) {
  lua_State *L = p->L;
  lua_pushvalue(L, LUA_REGISTRYINDEX);
  lua_rawgeti(L, -1, LUA_RIDX_GLOBALS);
  bool is_globals = lua_rawequal(L, -1, idx);
  lua_pop(L, 2);
  if (is_globals) {
    put_tag(p, PARCEL_GLOBALS);
  } else if (put_seen(p, idx) || put_named(p, idx, p->objects == 0)) {
    return true;
  } else if (!lua_getmetatable(L, idx)) {
    put_tag(p, PARCEL_TABLE);
    introduce(p, idx);
  } else {
    lua_pop(L, 1);
    if (error_is_class(L, idx)) {
      put_tag(p, PARCEL_CLASS);
      lua_pushvalue(L, idx);
      put_class(p);
    } else if (push_class_of(L, idx)) {
      put_tag(p, PARCEL_OBJECT);
      put_class(p);
      if (error_is(L, idx, ERROR_CANCELLED)) error_own_fields(L, idx);
      introduce(p, idx);
    } else {
      return put_named(p, idx, true);
    }
  }
  return true;
}

static int write_chunk(lua_State *L, const void *bytes, size_t size,
                       void *packer) {
  UNUSED(L);
  return append(packer, bytes, size) ? 0 : 1;
}

static bool put_function(Packer *p, int idx) {
  lua_State *L = p->L;
  if (put_seen(p, idx)) return true;
  if (put_named(p, idx, lua_iscfunction(L, idx))) return true;
  if (lua_iscfunction(L, idx)) return false;
  put_tag(p, PARCEL_FUNCTION);
  size_t size = 0, at = p->parcel->size;
  put(p, &size, sizeof size);
  lua_pushvalue(L, idx);
  if (lua_dump(L, write_chunk, p, 0) != 0) luaL_error(L, "not enough memory");
  lua_pop(L, 1);
  size = p->parcel->size - at - sizeof size;
  memcpy(p->parcel->data + at, &size, sizeof size);
  introduce(p, idx);
  return true;
}

static bool put_userdata(Packer *p, int idx) {
  lua_State *L = p->L;
  TokenQueue *q = token_at(L, idx);
  if (q == NULL) return put_named(p, idx, true);
  Parcel *parcel = p->parcel;
  size_t count = (size_t)parcel->token_count + 1;
  TokenQueue **more = mem_realloc(parcel->tokens, count * sizeof *more);
  if (more == NULL) luaL_error(L, "not enough memory");
  parcel->tokens = more;
  token_retain(q);
  parcel->tokens[parcel->token_count] = q;
  put_tag(p, PARCEL_TOKEN);
  put_id(p, (ParcelId)parcel->token_count++);
  return true;
}

// ---- atoms

static bool put_number(Packer *p, int idx) {
  if (lua_isinteger(p->L, idx)) {
    lua_Integer n = lua_tointeger(p->L, idx);
    put_tag(p, PARCEL_INTEGER);
    put(p, &n, sizeof n);
  } else {
    lua_Number n = lua_tonumber(p->L, idx);
    put_tag(p, PARCEL_FLOAT);
    put(p, &n, sizeof n);
  }
  return true;
}

// Put the value at the absolute index; false: it can't be sent.
static bool put_atom(Packer *p, int idx) {
  switch (lua_type(p->L, idx)) {
    case LUA_TNIL:
      put_tag(p, PARCEL_NIL);
      return true;
    case LUA_TBOOLEAN:
      put_tag(p, lua_toboolean(p->L, idx) ? PARCEL_TRUE : PARCEL_FALSE);
      return true;
    case LUA_TNUMBER:
      return put_number(p, idx);
    case LUA_TSTRING:
      put_tag(p, PARCEL_STRING);
      put_string(p, idx);
      return true;
    case LUA_TTABLE:
      return put_table(p, idx);
    case LUA_TFUNCTION:
      return put_function(p, idx);
    case LUA_TUSERDATA:
      return put_userdata(p, idx);
    default:
      return false;
  }
}

// Upvalue i of the function at idx, whose value is on top.
static void put_upvalue(Packer *p, int idx, int i, const char *name) {
  lua_State *L = p->L;
  if (strcmp(name, "_ENV") == 0) return put_tag(p, PARCEL_GLOBALS);
  void *identity = lua_upvalueid(L, idx, i);
  if (lua_rawgetp(L, p->seen, identity) != LUA_TNIL) {
    lua_Integer place = lua_tointeger(L, -1);
    unsigned char number = (unsigned char)(place & 255);
    put_tag(p, PARCEL_JOIN);
    put_id(p, (ParcelId)(place >> 8));
    put(p, &number, 1);
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  lua_pushinteger(L, (lua_Integer)p->owner << 8 | i);
  lua_rawsetp(L, p->seen, identity);
  int value = lua_gettop(L);
  if (put_atom(p, value)) return;
  push_upvalue_text(L, i, name);
  refuse(p, value);
}

static void put_pairs(Packer *p, int idx) {
  lua_State *L = p->L;
  for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
    int key = lua_gettop(L) - 1;
    if (!put_atom(p, key)) {
      lua_pushliteral(L, "a key");
      refuse(p, key);
    }
    if (!put_atom(p, key + 1)) {
      push_key_text(L, key);
      refuse(p, key + 1);
    }
  }
  put_tag(p, PARCEL_END);
}

static void put_content(Packer *p) {
  lua_State *L = p->L;
  lua_rawgeti(L, p->order, p->owner);
  int idx = lua_gettop(L);
  const char *name;
  if (lua_istable(L, idx)) {
    put_pairs(p, idx);
  } else {
    for (int i = 1; (name = lua_getupvalue(L, idx, i)) != NULL; i++) {
      put_upvalue(p, idx, i, name);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

Parcel *parcel_push(lua_State *L, int count, ParcelRole role) {
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  Packer p = {.L = L, .count = count, .role = role};
  p.first = lua_gettop(L) - count + 1;
  Box *box = class_new(L, &box_class, sizeof(Box), 0);
  p.parcel = &box->parcel;
  p.seen = p.first + count + 1;
  p.order = p.seen + 1;
  p.parents = p.seen + 2;
  for (int i = 0; i < 3; i++) lua_newtable(L);
  put_id(&p, (ParcelId)count);
  for (int i = 0; i < count; i++) {
    p.owner = -(i + 1);
    if (put_atom(&p, p.first + i)) continue;
    lua_pushnil(L);
    refuse(&p, p.first + i);
  }
  for (p.owner = 1; p.owner <= p.objects; p.owner++) put_content(&p);
  if (count > 0) {
    lua_pushvalue(L, p.first + count);
    lua_replace(L, p.first);
  }
  lua_settop(L, p.first);
  return p.parcel;
}

void parcel_open(lua_State *L) { class_register(L, &box_class); }
