// SPDX-License-Identifier: MIT
// error.c: error classes and error objects.
//
// A class is three tables:
//   class      what the program holds: trio.WouldBlock, and its own methods
//   meta       the class's metatable: __call makes objects, __index goes to
//              the parent class; holds `instance` under &instance_key
//   instance   the metatable of the objects: __index is the class; holds the
//              class under &class_key, the parent's under &parent_key; that
//              of Cancelled says so under &cancelled_key
// The instance metatables of the library's own kinds stand in the registry
// under static addresses, so that a test is one comparison of pointers and
// every state has its own. getmetatable(err) gives the class.
//
// A Cancelled is made for every sleeper of a cancelled scope, maybe a hundred
// thousand at once: it is an empty table, its fields are shared with all of the
// same origin, and its text is put together only when somebody asks for it.
#include "error.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

#include "../base/debug.h"

#define NO_PARENT ERROR_KIND_COUNT

static const struct {
  const char *name;
  ErrorKind parent;
} kinds[ERROR_KIND_COUNT] = {
    [ERROR_BASE] = {"trio.Error", NO_PARENT},
    [ERROR_TOO_SLOW] = {"trio.TooSlowError", ERROR_BASE},
    [ERROR_WOULD_BLOCK] = {"trio.WouldBlock", ERROR_BASE},
    [ERROR_END_OF_CHANNEL] = {"trio.EndOfChannel", ERROR_BASE},
    [ERROR_BUSY_RESOURCE] = {"trio.BusyResourceError", ERROR_BASE},
    [ERROR_CLOSED_RESOURCE] = {"trio.ClosedResourceError", ERROR_BASE},
    [ERROR_BROKEN_RESOURCE] = {"trio.BrokenResourceError", ERROR_BASE},
    [ERROR_RUN_FINISHED] = {"trio.RunFinishedError", ERROR_BASE},
    [ERROR_INTERNAL] = {"trio.TrioInternalError", ERROR_BASE},
    [ERROR_NEED_HANDSHAKE] = {"trio.NeedHandshakeError", ERROR_BASE},
    [ERROR_OS] = {"trio.OSError", ERROR_BASE},
    [ERROR_SSL] = {"trio.SSLError", ERROR_BASE},
    [ERROR_CALLED_PROCESS] = {"trio.CalledProcessError", ERROR_BASE},
    [ERROR_DEADLOCK] = {"trio.DeadlockError", ERROR_BASE},
    [ERROR_CANCELLED] = {"trio.Cancelled", NO_PARENT},
    [ERROR_KEYBOARD_INTERRUPT] = {"trio.KeyboardInterrupt", NO_PARENT},
    [ERROR_GROUP] = {"trio.ExceptionGroup", NO_PARENT},
};

// Registry keys: the address of the kind's byte.
static const char kind_keys[ERROR_KIND_COUNT];

static const char instance_key, class_key, parent_key, cancelled_key;

void error_push_metatable(lua_State *L, ErrorKind kind) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kind_keys[kind]);
}

// Push the instance metatable of the class at idx, if it is one.
static bool push_instance_of(lua_State *L, int idx) {
  if (!lua_istable(L, idx) || !lua_getmetatable(L, idx)) return false;
  if (lua_rawgetp(L, -1, &instance_key) == LUA_TTABLE) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 2);
  return false;
}

void error_push_class(lua_State *L, ErrorKind kind) {
  error_push_metatable(L, kind);
  lua_rawgetp(L, -1, &class_key);
  lua_remove(L, -2);
}

void error_push_class_metatable(lua_State *L, int idx) {
  if (!push_instance_of(L, idx)) lua_pushnil(L);
}

bool error_is_class(lua_State *L, int idx) {
  if (!push_instance_of(L, idx)) return false;
  lua_pop(L, 1);
  return true;
}

// Does the object at idx belong to the class whose instance metatable is on
// top, or to a subclass of it? Pops that metatable.
static bool is_under(lua_State *L, int idx) {
  bool found = false;
  if (lua_istable(L, idx) && lua_getmetatable(L, idx)) {
    found = lua_rawequal(L, -1, -2);
    while (!found && lua_rawgetp(L, -1, &parent_key) == LUA_TTABLE) {
      lua_remove(L, -2);
      found = lua_rawequal(L, -1, -2);
    }
    if (!lua_istable(L, -1)) lua_pop(L, 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return found;
}

static bool is_cancelled(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TTABLE || !lua_getmetatable(L, idx)) return false;
  bool found = lua_rawgetp(L, -1, &cancelled_key) != LUA_TNIL;
  lua_pop(L, 2);
  return found;
}

bool error_is(lua_State *L, int idx, ErrorKind kind) {
  if (kind == ERROR_CANCELLED) return is_cancelled(L, idx);
  if (!lua_istable(L, idx)) return false;
  idx = lua_absindex(L, idx);
  error_push_metatable(L, kind);
  return is_under(L, idx);
}

bool error_is_instance(lua_State *L, int idx, int class_idx) {
  idx = lua_absindex(L, idx);
  return push_instance_of(L, class_idx) && is_under(L, idx);
}

// Making error objects

static void push_error(lua_State *L, ErrorKind kind, const char *format,
                       va_list arguments) {
  lua_createtable(L, 0, 2);
  lua_pushvfstring(L, format, arguments);
  lua_setfield(L, -2, "message");
  error_push_metatable(L, kind);
  lua_setmetatable(L, -2);
}

void error_push(lua_State *L, ErrorKind kind, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  push_error(L, kind, format, arguments);
  va_end(arguments);
}

int error_raise(lua_State *L, ErrorKind kind, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  push_error(L, kind, format, arguments);
  va_end(arguments);
  return lua_error(L);
}

void error_push_cancelled(lua_State *L, const char *source, const char *reason,
                          const char *source_task) {
  lua_createtable(L, 0, 1 + (reason != NULL) + (source_task != NULL));
  lua_pushstring(L, source);
  lua_setfield(L, -2, "source");
  if (reason != NULL) {
    lua_pushstring(L, reason);
    lua_setfield(L, -2, "reason");
  }
  if (source_task != NULL) {
    lua_pushstring(L, source_task);
    lua_setfield(L, -2, "source_task");
  }
  error_push_metatable(L, ERROR_CANCELLED);
  lua_setmetatable(L, -2);
}

// A shape is to the instance metatable of Cancelled what that of a subclass
// would be, except that it goes to the Cancelled that was there first.
void error_make_shape(lua_State *L) {
  int original = lua_gettop(L);
  lua_createtable(L, 0, 8);
  lua_getmetatable(L, original);
  static const char *const names[] = {"__name", "__tostring", "__metatable"};
  for (int i = 0; i < 3; i++) {
    lua_getfield(L, original + 2, names[i]);
    lua_setfield(L, original + 1, names[i]);
  }
  lua_rawgetp(L, original + 2, &class_key);
  lua_rawsetp(L, original + 1, &class_key);
  lua_rawsetp(L, original + 1, &parent_key);
  lua_pushboolean(L, true);
  lua_rawsetp(L, original + 1, &cancelled_key);
  lua_insert(L, original);
  lua_setfield(L, original, "__index");
}

void error_own_fields(lua_State *L, int idx) {
  static const char *const names[] = {"source", "reason", "source_task"};
  idx = lua_absindex(L, idx);
  for (int i = 0; i < 3; i++) {
    lua_pushstring(L, names[i]);
    lua_getfield(L, idx, names[i]);
    lua_rawset(L, idx);
  }
}

// Push the text of the field `name` of the table at idx, or nil.
static bool push_text_field(lua_State *L, int idx, const char *name) {
  if (lua_getfield(L, idx, name) == LUA_TSTRING) return true;
  lua_pop(L, 1);
  return false;
}

static void push_cancelled_message(lua_State *L, int idx) {
  int top = lua_gettop(L);
  lua_pushliteral(L, "cancelled due to ");
  if (!push_text_field(L, idx, "source")) lua_pushliteral(L, "unknown");
  if (push_text_field(L, idx, "reason")) {
    lua_pushliteral(L, " with reason '");
    lua_insert(L, -2);
    lua_pushliteral(L, "'");
  }
  if (push_text_field(L, idx, "source_task")) {
    lua_pushliteral(L, " from task ");
    lua_insert(L, -2);
  }
  lua_concat(L, lua_gettop(L) - top);
}

// __index of Cancelled. Upvalue 1: the class.
static int l_cancelled_index(lua_State *L) {
  lua_settop(L, 2);
  lua_pushliteral(L, "message");
  if (lua_rawequal(L, 2, 3) && lua_istable(L, 1)) {
    push_cancelled_message(L, 1);
  } else {
    lua_settop(L, 2);
    lua_gettable(L, lua_upvalueindex(1));
  }
  return 1;
}

// An argument error of a call `Class(...)`, where the stack's first place
// holds the class and the program's arguments follow.
static int bad_argument(lua_State *L, int argument, const char *expected) {
  luaL_tolstring(L, 1, NULL);
  return luaL_error(L, "bad argument #%d to '%s' (%s expected, got %s)",
                    argument, lua_tostring(L, -1), expected,
                    luaL_typename(L, argument + 1));
}

// Class(message [, fields])
static int l_new(lua_State *L) {
  lua_settop(L, 3);
  if (!lua_isnil(L, 2) && !lua_isstring(L, 2)) {
    return bad_argument(L, 1, "string");
  }
  if (!lua_isnil(L, 3) && !lua_istable(L, 3)) {
    return bad_argument(L, 2, "table");
  }
  if (!push_instance_of(L, 1)) return bad_argument(L, 0, "error class");
  lua_createtable(L, 0, 2);
  if (lua_istable(L, 3)) {
    lua_pushnil(L);
    while (lua_next(L, 3) != 0) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, 5);
    }
  }
  lua_pushliteral(L, "message");
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "");
  } else {
    lua_pushvalue(L, 2);
    lua_tostring(L, -1);
  }
  lua_rawset(L, 5);
  lua_pushvalue(L, 4);
  lua_setmetatable(L, 5);
  return 1;
}

static int l_refuse_new(lua_State *L) {
  return luaL_error(L,
                    "trio.Cancelled cannot be constructed: "
                    "call the cancel method of a cancel scope");
}

// Texts

// Push the name in the instance metatable at idx without "trio.".
static void push_short_name(lua_State *L, int idx) {
  lua_pushliteral(L, "__name");
  lua_rawget(L, idx < 0 ? idx - 1 : idx);
  const char *name = lua_tostring(L, -1);
  if (name != NULL && strncmp(name, "trio.", 5) == 0) {
    lua_pushstring(L, name + 5);
    lua_remove(L, -2);
  }
}

void error_push_class_name(lua_State *L, int idx) {
  if (!lua_getmetatable(L, idx)) {
    lua_pushstring(L, luaL_typename(L, idx));
    return;
  }
  push_short_name(L, -1);
  lua_remove(L, -2);
}

// tostring(err): the class's name, and the message where there is one.
static int l_tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  error_push_class_name(L, 1);
  int type = lua_getfield(L, 1, "message");
  size_t length = 0;
  if (lua_tolstring(L, -1, &length) == NULL && type != LUA_TNIL) {
    lua_pushfstring(L, "(a %s value)", lua_typename(L, type));
    lua_replace(L, -2);
    length = 1;
  }
  if (length == 0) {
    lua_settop(L, 2);
    return 1;
  }
  lua_pushliteral(L, ": ");
  lua_insert(L, -2);
  lua_concat(L, 3);
  return 1;
}

static int l_class_tostring(lua_State *L) {
  if (!push_instance_of(L, 1)) return luaL_typeerror(L, 1, "error class");
  lua_getfield(L, -1, "__name");
  return 1;
}

void error_push_text(lua_State *L, int idx) {
  if (luaL_getmetafield(L, idx, "__tostring") != LUA_TNIL) {
    lua_pop(L, 1);
    luaL_tolstring(L, idx, NULL);
  } else if (lua_isstring(L, idx)) {
    luaL_tolstring(L, idx, NULL);
  } else {
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, idx));
  }
}

void error_attach_traceback(lua_State *L, int err, int traceback) {
  if (!lua_istable(L, err) || !lua_getmetatable(L, err)) return;
  int is_ours = lua_rawgetp(L, -1, &class_key) == LUA_TTABLE;
  lua_pop(L, 2);
  if (!is_ours || error_is(L, err, ERROR_CANCELLED)) return;
  err = lua_absindex(L, err);
  traceback = lua_absindex(L, traceback);
  lua_pushliteral(L, "traceback");
  if (lua_rawget(L, err) == LUA_TNIL) {
    lua_pushliteral(L, "traceback");
    lua_pushvalue(L, traceback);
    lua_rawset(L, err);
  }
  lua_pop(L, 1);
}

// Classes

// The parts of a new class, at consecutive places of the stack.
enum { NAME, CLASS, META, INSTANCE, PARENT, PARENT_META, PART_COUNT };

// Copy the metamethod `name` from one part to another.
static void inherit(lua_State *L, int base, int from, int to,
                    const char *name) {
  lua_pushstring(L, name);
  lua_pushvalue(L, -1);
  lua_rawget(L, base + from);
  lua_rawset(L, base + to);
}

static void set_function(lua_State *L, int table, const char *name,
                         lua_CFunction f) {
  lua_pushcfunction(L, f);
  lua_setfield(L, table, name);
}

// Tie a new class to the class on top of the parts, its parent.
static void set_parent(lua_State *L, int base) {
  lua_getmetatable(L, base + PARENT);
  lua_pushvalue(L, base + PARENT);
  lua_setfield(L, base + META, "__index");
  inherit(L, base, PARENT_META, META, "__call");
  lua_rawgetp(L, base + PARENT_META, &instance_key);
  lua_pushliteral(L, "__tostring");
  lua_rawget(L, -2);
  lua_setfield(L, base + INSTANCE, "__tostring");
  lua_rawsetp(L, base + INSTANCE, &parent_key);
}

static int l_subclass(lua_State *L);

// Replace the name on top by a new class of that name. `parent` is the index
// of the parent class, or 0. [-1, +1, m]
static void make_class(lua_State *L, int parent) {
  luaL_checkstack(L, PART_COUNT + 6, NULL);
  int base = lua_gettop(L);
  if (parent != 0) parent = lua_absindex(L, parent);
  lua_newtable(L);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushvalue(L, base + NAME);
  lua_setfield(L, base + INSTANCE, "__name");
  lua_pushvalue(L, base + CLASS);
  lua_setfield(L, base + INSTANCE, "__index");
  lua_pushvalue(L, base + CLASS);
  lua_setfield(L, base + INSTANCE, "__metatable");
  lua_pushvalue(L, base + CLASS);
  lua_rawsetp(L, base + INSTANCE, &class_key);
  lua_pushvalue(L, base + INSTANCE);
  lua_rawsetp(L, base + META, &instance_key);
  lua_pushboolean(L, 0);
  lua_setfield(L, base + META, "__metatable");
  lua_pushliteral(L, "error class");
  lua_setfield(L, base + META, "__name");
  set_function(L, base + META, "__tostring", l_class_tostring);
  if (parent != 0) {
    lua_pushvalue(L, parent);
    set_parent(L, base);
  } else {
    set_function(L, base + META, "__call", l_new);
    set_function(L, base + INSTANCE, "__tostring", l_tostring);
    set_function(L, base + CLASS, "subclass", l_subclass);
  }
  lua_pushvalue(L, base + META);
  lua_setmetatable(L, base + CLASS);
  lua_settop(L, base + CLASS);
  lua_remove(L, base + NAME);
}

// Class:subclass(name)
static int l_subclass(lua_State *L) {
  if (!push_instance_of(L, 1)) return luaL_typeerror(L, 1, "error class");
  error_push_metatable(L, ERROR_CANCELLED);
  if (lua_rawequal(L, -1, -2)) {
    return luaL_error(L, "trio.Cancelled cannot be subclassed");
  }
  size_t length;
  luaL_checklstring(L, 2, &length);
  luaL_argcheck(L, length > 0, 2, "empty name");
  lua_settop(L, 2);
  make_class(L, 1);
  return 1;
}

// trio.isinstance(value, Class)
static int l_isinstance(lua_State *L) {
  luaL_checkany(L, 1);
  if (!error_is_class(L, 2)) luaL_typeerror(L, 2, "error class");
  lua_pushboolean(L, error_is_instance(L, 1, 2));
  return 1;
}

// A Cancelled has its text made on demand and is made by scopes alone. The
// class is on top.
static void specialise_cancelled(lua_State *L) {
  lua_getmetatable(L, -1);
  set_function(L, lua_absindex(L, -1), "__call", l_refuse_new);
  lua_rawgetp(L, -1, &instance_key);
  lua_pushvalue(L, -3);
  lua_pushcclosure(L, l_cancelled_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, true);
  lua_rawsetp(L, -2, &cancelled_key);
  lua_pop(L, 2);
}

// Push the class of a kind, made at the first call. Parents come first.
static void push_kind(lua_State *L, ErrorKind kind) {
  error_push_metatable(L, kind);
  bool is_made = lua_istable(L, -1);
  lua_pop(L, 1);
  if (is_made) {
    error_push_class(L, kind);
    return;
  }
  if (kinds[kind].parent == NO_PARENT) {
    lua_pushstring(L, kinds[kind].name);
    make_class(L, 0);
  } else {
    push_kind(L, kinds[kind].parent);
    lua_pushstring(L, kinds[kind].name);
    make_class(L, -2);
    lua_remove(L, -2);
  }
  if (kind == ERROR_CANCELLED) specialise_cancelled(L);
  push_instance_of(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kind_keys[kind]);
}

void error_open(lua_State *L) {
  luaL_checkstack(L, 8, NULL);
  for (int kind = 0; kind < ERROR_KIND_COUNT; kind++) {
    push_kind(L, (ErrorKind)kind);
    lua_setfield(L, -2, kinds[kind].name + strlen("trio."));
  }
  set_function(L, lua_absindex(L, -1), "isinstance", l_isinstance);
}
