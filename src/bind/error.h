// SPDX-License-Identifier: MIT
// error.h: the error classes and how C code makes, raises and tests them.
//
// An error object is a Lua table whose metatable belongs to an error class
// (trio.WouldBlock, ...). The library builds them here and nowhere else.
// Values that users raise are opaque: never changed, never turned to text.
#ifndef TRIO_BIND_ERROR_H
#define TRIO_BIND_ERROR_H

#include <lua.h>
#include <stdbool.h>

typedef enum ErrorKind {
  ERROR_BASE,  // trio.Error, the root of the ordinary ones
  ERROR_TOO_SLOW,
  ERROR_WOULD_BLOCK,
  ERROR_END_OF_CHANNEL,
  ERROR_BUSY_RESOURCE,
  ERROR_CLOSED_RESOURCE,
  ERROR_BROKEN_RESOURCE,
  ERROR_RUN_FINISHED,
  ERROR_INTERNAL,
  ERROR_NEED_HANDSHAKE,
  ERROR_OS,
  ERROR_SSL,
  ERROR_CALLED_PROCESS,
  ERROR_DEADLOCK,
  ERROR_CANCELLED,           // not under trio.Error, not constructible
  ERROR_KEYBOARD_INTERRUPT,  // not under trio.Error
  ERROR_GROUP,               // trio.ExceptionGroup, not under trio.Error
  ERROR_KIND_COUNT
} ErrorKind;

// Push an error object of this kind with a formatted message (formats of
// lua_pushfstring). [-0, +1, m]
void error_push(lua_State *L, ErrorKind kind, const char *format, ...);

// error_push and raise it. Write `return error_raise(...)`. [-0, +0, v]
int error_raise(lua_State *L, ErrorKind kind, const char *format, ...);

// Push a Cancelled. `reason` and `source_task` may be NULL. Its text is
// "Cancelled: cancelled due to explicit with reason 'r' from task <t>".
// [-0, +1, m]
void error_push_cancelled(lua_State *L, const char *source, const char *reason,
                          const char *source_task);

// Replace the Cancelled on top by a metatable: a table that gets it is a
// Cancelled too and reads its fields from there. For many of one origin.
// [-1, +1, m]
void error_make_shape(lua_State *L);
// Give the Cancelled at idx the fields that it reads from its shape as its own.
// [-0, +0, m]
void error_own_fields(lua_State *L, int idx);

// Is the value at idx an error object of this kind or of a subclass of it?
// [-0, +0, -]
bool error_is(lua_State *L, int idx, ErrorKind kind);

// A message handler's work for the value on top: where it is an error object
// without `traceback` (never a Cancelled), set that field to `traceback`, the
// string at idx. [-0, +0, m]
void error_attach_traceback(lua_State *L, int err, int traceback);

// Push text that describes any error value, for messages and reports: strings
// as they are, tostring() where the value has __tostring, else
// "(error object is a table value)". Runs Lua. [-0, +1, e]
void error_push_text(lua_State *L, int idx);

// Is the value at idx an error class (trio.WouldBlock, a subclass of it...)?
// [-0, +0, -]
bool error_is_class(lua_State *L, int idx);

// Is the value at idx an instance of the class at `class_idx`, for which
// error_is_class holds? [-0, +0, -]
bool error_is_instance(lua_State *L, int idx, int class_idx);

// Push the metatable of this kind's objects. [-0, +1, -]
void error_push_metatable(lua_State *L, ErrorKind kind);

// Push the class of this kind. [-0, +1, -]
void error_push_class(lua_State *L, ErrorKind kind);

// Push the metatable for objects of the class at idx. [-0, +1, -]
void error_push_class_metatable(lua_State *L, int idx);

// Push the name of the class of the error object at idx, as tostring shows
// it: "WouldBlock". [-0, +1, m]
void error_push_class_name(lua_State *L, int idx);

// Add the classes and isinstance to the module table on top. [-0, +0, m]
void error_open(lua_State *L);

#endif
