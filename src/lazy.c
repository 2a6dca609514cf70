// SPDX-License-Identifier: MIT
// lazy.c: see lazy.h.
//
// A file returns a function(trio, kit), which adds its names to the module;
// `kit` is a table for what the files share and nobody else sees. A name is
// looked up by __index of the table in which it is missing: "trio.Path",
// "trio.lowlevel.open_process", "kit.class". .dev/embed.sh finds out which
// names a file has. For the program there is no difference to a module that
// was there all the time: pairs lists every name, assigning to one sticks, and
// what the program changes in the globals doesn't reach the files.
//
// The tables trio.testing, trio.socket and trio.abc are withheld as a whole,
// because their files also change what the C files have put there.
#include "lazy.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/debug.h"
#include "bind/embedded.h"
#include "bind/spawn.h"

// Which files have been run, or are being run.
typedef struct Progress {
  int running;
  bool begun[];
} Progress;

// Upvalues of every function here; PREFIX is the name of its table.
enum { PROGRESS = 1, TRIO, KIT, ENV, WITHHELD, PREFIX };

static int upvalue(int n) { return lua_upvalueindex(n); }

// Push the chunk of an embedded file: compiled, if this Lua takes it.
static void load_chunk(lua_State *L, const EmbeddedLua *file) {
  lua_pushliteral(L, "=");
  luaL_gsub(L, file->name, ".", "/");
  lua_pushliteral(L, ".lua");
  lua_concat(L, 3);
  const char *name = lua_tostring(L, -1);
  int status = LUA_ERRSYNTAX;
  if (file->code_length > 0) {
    status = luaL_loadbufferx(L, file->code, file->code_length, name, "b");
    if (status != LUA_OK) lua_pop(L, 1);
  }
  if (status != LUA_OK) {
    status = luaL_loadbufferx(L, file->source, file->length, name, "t");
  }
  if (status != LUA_OK) lua_error(L);
  lua_remove(L, -2);
}

// (file, trio, kit, env) -> what the file's function returns
static int l_run(lua_State *L) {
  load_chunk(L, lua_touserdata(L, 1));
  lua_pushvalue(L, 4);
  lua_setupvalue(L, -2, 1);
  lua_call(L, 0, 1);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_call(L, 2, 1);
  return 1;
}

// Call l_run in protected mode. [-0, +1, -]
static int run(lua_State *L, const EmbeddedLua *file) {
  lua_pushcfunction(L, l_run);
  lua_pushlightuserdata(L, (void *)file);
  lua_pushvalue(L, upvalue(TRIO));
  lua_pushvalue(L, upvalue(KIT));
  lua_pushvalue(L, upvalue(ENV));
  return lua_pcall(L, 4, 1, 0);
}

static void run_once(lua_State *L, int number) {
  Progress *p = lua_touserdata(L, upvalue(PROGRESS));
  if (p->begun[number]) return;
  p->begun[number] = true;
  p->running++;
  int status = run(L, &embedded_lua[number]);
  p->running--;
  if (status != LUA_OK) {
    p->begun[number] = false;  // no memory, say: it may go well the next time
    lua_error(L);
  }
  lua_pop(L, 1);
}

static bool is_preload(const EmbeddedLua *file) {
  static const char prefix[] = "trio.preload.";
  return strncmp(file->name, prefix, sizeof prefix - 1) == 0;
}

// Run the files that have this name.
static void run_named(lua_State *L, const char *name) {
  lua_pushfstring(L, " %s ", name);
  const char *word = lua_tostring(L, -1);
  for (int i = 0; embedded_lua[i].name != NULL; i++) {
    if (strstr(embedded_lua[i].names, word) != NULL) run_once(L, i);
  }
  lua_pop(L, 1);
}

// The key of the table at 1 is at 2: run the files that have it.
static void run_key(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return;
  const char *prefix = lua_tostring(L, upvalue(PREFIX));
  run_named(L, lua_pushfstring(L, "%s.%s", prefix, lua_tostring(L, 2)));
  lua_pop(L, 1);
}

// Push the withheld table of the name at `key`, or nil. Once its files have
// run it is withheld no longer.
static bool push_withheld(lua_State *L, int key) {
  lua_pushvalue(L, key);
  if (lua_rawget(L, upvalue(WITHHELD)) == LUA_TNIL) return false;
  const Progress *p = lua_touserdata(L, upvalue(PROGRESS));
  if (p->running > 0) return true;
  lua_pushvalue(L, key);
  lua_pushvalue(L, -2);
  lua_rawset(L, upvalue(TRIO));
  lua_pushvalue(L, key);
  lua_pushnil(L);
  lua_rawset(L, upvalue(WITHHELD));
  return true;
}

static int l_index(lua_State *L) {
  lua_settop(L, 2);
  run_key(L);
  if (lua_rawequal(L, 1, upvalue(TRIO)) && push_withheld(L, 2)) return 1;
  lua_settop(L, 2);
  lua_rawget(L, 1);
  return 1;
}

static int l_newindex(lua_State *L) {
  const Progress *p = lua_touserdata(L, upvalue(PROGRESS));
  lua_settop(L, 3);
  if (p->running == 0) {
    run_key(L);
    if (lua_rawequal(L, 1, upvalue(TRIO))) push_withheld(L, 2);
    lua_settop(L, 3);
  }
  lua_rawset(L, 1);
  return 0;
}

// Take the metatable off the table on top, if it is ours. [-1, +0, -]
static void unwatch(lua_State *L) {
  if (luaL_getmetafield(L, -1, "__index") != LUA_TNIL) {
    bool is_ours = lua_tocfunction(L, -1) == l_index;
    lua_pop(L, 1);
    lua_pushnil(L);
    if (is_ours) lua_setmetatable(L, -2);
  }
  lua_settop(L, 1);
}

// All names are there.
static void complete(lua_State *L) {
  lua_pushnil(L);
  while (lua_next(L, upvalue(WITHHELD)) != 0) {
    push_withheld(L, 2);
    lua_settop(L, 2);
  }
  lua_pushvalue(L, upvalue(KIT));
  unwatch(L);
  lua_pushliteral(L, "lowlevel");
  lua_rawget(L, upvalue(TRIO));
  unwatch(L);
  lua_pushvalue(L, upvalue(TRIO));
  unwatch(L);
}

static int l_pairs(lua_State *L) {
  const Progress *p = lua_touserdata(L, upvalue(PROGRESS));
  lua_settop(L, 1);
  for (int i = 0; embedded_lua[i].name != NULL; i++) {
    if (!is_preload(&embedded_lua[i])) run_once(L, i);
  }
  if (p->running == 0) complete(L);
  lua_pushliteral(L, "next");
  lua_rawget(L, upvalue(ENV));
  lua_pushvalue(L, 1);
  return 2;
}

// The loader of lua/trio/preload/x.lua, which is the module trio.x: what the
// file's function returns. In place of PREFIX it has the file.
static int l_preload(lua_State *L) {
  if (run(L, lua_touserdata(L, upvalue(PREFIX))) != LUA_OK) lua_error(L);
  return 1;
}

// ---- opening

// Push a closure with what stands on the stack from `base` on, in the order of
// the upvalues, and the value on top for PREFIX. [-1, +1, m]
static void push_closure(lua_State *L, int base, lua_CFunction function) {
  for (int n = PROGRESS; n < PREFIX; n++) lua_pushvalue(L, base + n - 1);
  lua_rotate(L, -PREFIX, -1);
  lua_pushcclosure(L, function, PREFIX);
}

// Give the table at `table` the metatable that finds its names.
static void watch_table(lua_State *L, int base, int table, const char *name) {
  static const luaL_Reg events[] = {{"__index", l_index},
                                    {"__newindex", l_newindex},
                                    {"__pairs", l_pairs},
                                    {NULL, NULL}};
  lua_createtable(L, 0, 4);
  for (const luaL_Reg *event = events; event->name != NULL; event++) {
    lua_pushstring(L, name);
    push_closure(L, base, event->func);
    lua_setfield(L, -2, event->name);
  }
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, table);
}

// Push the environment of the files: the globals as they are now. Only `print`
// and `warn` are the ones of the moment when they are called.
static void push_env(lua_State *L) {
  lua_pushglobaltable(L);
  spawn_copy_table(L);
  static const char *const late[] = {"print", "warn"};
  for (int i = 0; i < COUNT_OF(late); i++) {
    lua_pushnil(L);
    lua_setfield(L, -2, late[i]);
  }
  lua_createtable(L, 0, 1);
  lua_pushglobaltable(L);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

// Take trio.testing and the like out of the module at `trio`.
static void push_withheld_tables(lua_State *L, int trio) {
  static const char *const names[] = {"abc", "socket", "testing"};
  lua_createtable(L, 0, COUNT_OF(names));
  for (int i = 0; i < COUNT_OF(names); i++) {
    lua_getfield(L, trio, names[i]);
    lua_setfield(L, -2, names[i]);
    lua_pushnil(L);
    lua_setfield(L, trio, names[i]);
  }
}

static void add_preloads(lua_State *L, int base) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const EmbeddedLua *file = embedded_lua; file->name != NULL; file++) {
    if (!is_preload(file)) continue;
    lua_pushfstring(L, "trio.%s", strrchr(file->name, '.') + 1);
    lua_pushlightuserdata(L, (void *)file);
    push_closure(L, base, l_preload);
    lua_rawset(L, -3);
  }
}

void lazy_open(lua_State *L) {
  int trio = lua_gettop(L), base = trio + PROGRESS;
  size_t count = 0;
  while (embedded_lua[count].name != NULL) count++;
  size_t size = sizeof(Progress) + count * sizeof(bool);
  memset(lua_newuserdatauv(L, size, 0), 0, size);
  lua_pushvalue(L, trio);
  lua_newtable(L);
  push_env(L);
  push_withheld_tables(L, trio);
  watch_table(L, base, trio, "trio");
  watch_table(L, base, base + KIT - 1, "kit");
  lua_getfield(L, trio, "lowlevel");
  watch_table(L, base, lua_gettop(L), "trio.lowlevel");
  add_preloads(L, base);
  lua_settop(L, trio);
}
