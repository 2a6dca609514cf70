// SPDX-License-Identifier: MIT
// class.h: userdata classes: registration, construction, typed access.
//
// A class is one static `Class` record. Every userdata made by class_new
// starts with a ClassHead that names its class, so the check of an argument is
// one pointer comparison. Its metatable stands in the registry under the
// record's address, so luaopen may run again and several states may live side
// by side. Only shims for other Lua versions may be added here besides.
#ifndef TRIO_BIND_CLASS_H
#define TRIO_BIND_CLASS_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

// A property. `get` is called with (self) and returns one value; `set` with
// (self, value). A NULL `set` makes it read-only.
typedef struct ClassField {
  const char *name;
  lua_CFunction get;
  lua_CFunction set;
} ClassField;

typedef struct Class {
  const char *name;          // "trio.Lock": __name, and the head of messages
  const luaL_Reg *methods;   // may be NULL
  const ClassField *fields;  // may be NULL, ends with {NULL, NULL, NULL}
  const luaL_Reg *meta;      // extra metamethods (__tostring, __gc...), or NULL
} Class;

// First member of every object's struct.
typedef struct ClassHead {
  const Class *class_of;
} ClassHead;

// Make the class's metatable, once per state. A class without `fields` gets
// its method table as __index (fast); one with fields gets functions: unknown
// reads give nil, unknown or read-only writes raise
// "trio.Lock has no field 'x'" / "field 'x' of trio.Lock is read-only".
// Default __tostring: "<trio.Lock 0x...>". __metatable hides the metatable.
// [-0, +0, m]
void class_register(lua_State *L, const Class *c);

// Push the table of the class's methods, for files that add some written in
// Lua while the module opens. [-0, +1, m]
void class_push_members(lua_State *L, const Class *c);

// New zero-filled object with `uservalues` user values. [-0, +1, m]
void *class_new(lua_State *L, const Class *c, size_t size, int uservalues);

// The same for whoever has the class's metatable at hand, at index `meta`: an
// upvalue is found several times faster than an entry of the registry.
void *class_new_with(lua_State *L, const Class *c, size_t size, int uservalues,
                     int meta);

// Push the metatable of the class, for class_new_with. [-0, +1, -]
void class_push_meta(lua_State *L, const Class *c);

// The object at idx, or NULL. [-0, +0, -]
static inline void *class_test(lua_State *L, int idx, const Class *c) {
  ClassHead *head = lua_touserdata(L, idx);
  // A light userdata has no length.
  if (head == NULL || lua_rawlen(L, idx) < sizeof(ClassHead)) return NULL;
  return head->class_of == c ? head : NULL;
}

// The argument error that names the class. [-0, +0, v]
void class_refuse(lua_State *L, int idx, const Class *c);

// The object at idx, or that error. [-0, +0, v]
static inline void *class_check(lua_State *L, int idx, const Class *c) {
  void *object = class_test(L, idx, c);
  if (object == NULL) class_refuse(L, idx, c);
  return object;
}

// Options tables. opts_check verifies that the value at idx is nil, none or a
// table whose every key is one of `known` (NULL-terminated), and raises
// "bad argument #1 to 'f' (unknown option 'x')" otherwise. [-0, +0, v]
void opts_check(lua_State *L, int idx, const char *const *known);

// Is the value at idx an options table: a table without a metatable?
bool opts_is(lua_State *L, int idx);

// The boolean option `name` of the table at idx (nil table: fallback); any
// other type raises "option 'shield' must be a boolean". [-0, +0, v]
bool opts_boolean(lua_State *L, int idx, const char *name, bool fallback);

// The number option `name`; NaN and other types raise. [-0, +0, v]
lua_Number opts_number(lua_State *L, int idx, const char *name,
                       lua_Number fallback);

// A number argument that is not NaN ("must not be NaN"). [-0, +0, v]
lua_Number arg_number(lua_State *L, int idx);

// A callable argument (function, or a value with __call), or an argument
// error "function expected, got nil". [-0, +0, v]
void arg_callable(lua_State *L, int idx);

#endif
