// SPDX-License-Identifier: MIT
// resource.h: things that the program must close: sockets, files, processes.
//
// A Resource is embedded in the object. While open it stands in a list of its
// Lua state; one that is collected open, or left open at the end of a run, is
// closed and reported through `warn` with the line that created it.
#ifndef TRIO_BIND_RESOURCE_H
#define TRIO_BIND_RESOURCE_H

#include <lua.h>
#include <luaconf.h>
#include <stdbool.h>

#include "../base/list.h"

typedef struct Resource {
  Link link;  // in the state's list while open
  const char *kind;
  // Close it for real. Must not raise.
  void (*close)(lua_State *L, struct Resource *r);
  char where[LUA_IDSIZE + 16];  // "file:line: " of its creation
} Resource;

// It is open now. `kind` ("a socket") is a static text. No failure.
void resource_open(lua_State *L, Resource *r, const char *kind,
                   void (*close)(lua_State *L, Resource *r));
// Note the line that runs at this level of the stack, or at the first one
// above that is not in the library's own Lua, as its creator; where there is
// none, in the tasks that wait for this one. No failure.
void resource_origin(lua_State *L, Resource *r, int level);
// The same in this coroutine only: false where it has no such line. No failure.
bool resource_line(lua_State *co, Resource *r, int level);
// It was closed properly. Idempotent.
void resource_done(Resource *r);
// For __gc: warn and close if it is open.
void resource_collected(lua_State *L, Resource *r);
// Warn about everything that is open, and close it. At the end of a run.
void resource_close_all(lua_State *L);

// Does the Resource count as open?
static inline bool resource_is_open(const Resource *r) {
  return link_is_linked(&r->link);
}

#endif
