// SPDX-License-Identifier: MIT
// parcel_unpack.c: the other end of a parcel, see parcel_wire.h. What it reads
// was written by parcel.c of the same process, so it is trusted.
#include <lauxlib.h>
#include <string.h>

#include "../api/token_c.h"
#include "../bind/error.h"
#include "parcel_wire.h"

typedef struct Reader {
  lua_State *L;
  const Parcel *parcel;
  const char *at;
  int objects;  // index of the table: number -> object
  ParcelId count;
} Reader;

static void get(Reader *r, void *bytes, size_t size) {
  memcpy(bytes, r->at, size);
  r->at += size;
}

static unsigned char get_byte(Reader *r) { return (unsigned char)*r->at++; }

static ParcelId get_id(Reader *r) {
  ParcelId id;
  get(r, &id, sizeof id);
  return id;
}

static const char *get_bytes(Reader *r, size_t *size) {
  get(r, size, sizeof *size);
  const char *bytes = r->at;
  r->at += *size;
  return bytes;
}

// The object on top gets the next number.
static void introduce(Reader *r) {
  lua_pushvalue(r->L, -1);
  lua_rawseti(r->L, r->objects, ++r->count);
}

static void push_class(Reader *r) {
  lua_State *L = r->L;
  ErrorKind kind = (ErrorKind)get_byte(r);
  int names = get_byte(r);
  error_push_class(L, kind);
  for (int i = 0; i < names; i++) {
    size_t size;
    const char *name = get_bytes(r, &size);
    lua_pushlstring(L, name, size);
    lua_insert(L, -2);
    parcel_push_subclass(L, lua_tostring(L, -2));
    lua_remove(L, -2);
  }
}

static void push_error_object(Reader *r) {
  lua_State *L = r->L;
  lua_newtable(L);
  push_class(r);
  error_push_class_metatable(L, lua_gettop(L));
  lua_remove(L, -2);
  lua_setmetatable(L, -2);
  introduce(r);
}

static void push_function(Reader *r) {
  lua_State *L = r->L;
  size_t size;
  const char *code = get_bytes(r, &size);
  if (luaL_loadbufferx(L, code, size, "=(sent)", "b") != LUA_OK) lua_error(L);
  introduce(r);
}

static void push_globals(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
}

static void push_number(Reader *r, ParcelTag tag) {
  if (tag == PARCEL_INTEGER) {
    lua_Integer n;
    get(r, &n, sizeof n);
    lua_pushinteger(r->L, n);
  } else {
    lua_Number n;
    get(r, &n, sizeof n);
    lua_pushnumber(r->L, n);
  }
}

static void push_string(Reader *r, bool is_path) {
  size_t size;
  const char *bytes = get_bytes(r, &size);
  if (is_path) {
    parcel_push_named(r->L, bytes, size);
  } else {
    lua_pushlstring(r->L, bytes, size);
  }
}

// Push the next atom. [-0, +1, e]
static void push_atom(Reader *r) {
  lua_State *L = r->L;
  ParcelTag tag = (ParcelTag)get_byte(r);
  switch (tag) {
    case PARCEL_FALSE:
    case PARCEL_TRUE:
      return lua_pushboolean(L, tag == PARCEL_TRUE);
    case PARCEL_INTEGER:
    case PARCEL_FLOAT:
      return push_number(r, tag);
    case PARCEL_STRING:
    case PARCEL_NAMED:
      return push_string(r, tag == PARCEL_NAMED);
    case PARCEL_GLOBALS:
      return push_globals(L);
    case PARCEL_TOKEN:
      return token_push(L, r->parcel->tokens[get_id(r)]);
    case PARCEL_SEEN:
      lua_rawgeti(L, r->objects, get_id(r));
      return;
    case PARCEL_TABLE:
      lua_newtable(L);
      return introduce(r);
    case PARCEL_FUNCTION:
      return push_function(r);
    case PARCEL_OBJECT:
      return push_error_object(r);
    case PARCEL_CLASS:
      return push_class(r);
    case PARCEL_NIL:
    case PARCEL_JOIN:
    case PARCEL_END:
      lua_pushnil(L);
  }
}

static void fill_function(Reader *r, int function) {
  lua_State *L = r->L;
  lua_Debug ar;
  lua_pushvalue(L, function);
  lua_getinfo(L, ">u", &ar);
  for (int i = 1; i <= ar.nups; i++) {
    if ((ParcelTag)*r->at == PARCEL_JOIN) {
      r->at++;
      lua_rawgeti(L, r->objects, get_id(r));
      lua_upvaluejoin(L, function, i, lua_gettop(L), get_byte(r));
      lua_pop(L, 1);
    } else {
      push_atom(r);
      lua_setupvalue(L, function, i);
    }
  }
}

static void fill_table(Reader *r, int table) {
  while ((ParcelTag)*r->at != PARCEL_END) {
    push_atom(r);
    push_atom(r);
    lua_rawset(r->L, table);
  }
  r->at++;
}

int parcel_unpack(lua_State *L, const Parcel *p) {
  Reader r = {.L = L, .parcel = p, .at = p->data};
  int count = (int)get_id(&r);
  luaL_checkstack(L, count + LUA_MINSTACK, "too many values for a thread");
  lua_newtable(L);
  r.objects = lua_gettop(L);
  for (int i = 0; i < count; i++) push_atom(&r);
  for (ParcelId id = 1; id <= r.count; id++) {
    lua_rawgeti(L, r.objects, id);
    int object = lua_gettop(L);
    if (lua_isfunction(L, object)) {
      fill_function(&r, object);
    } else {
      fill_table(&r, object);
    }
    lua_pop(L, 1);
  }
  lua_remove(L, r.objects);
  return count;
}
