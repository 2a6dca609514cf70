// SPDX-License-Identifier: MIT
// script.c: see script.h. The order of things and the names of chunks are
// those of lua 5.4, so that messages read the same.
#include "script.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static const char init_variable[] = "LUA_INIT";
static const char init_variable_5_4[] = "LUA_INIT_5_4";

void script_set_arg(lua_State *L, const Args *args) {
  int zero = args->script == args->argc ? 0 : args->script;
  lua_createtable(L, args->argc - zero, zero + 1);
  for (int i = 0; i < args->argc; i++) {
    lua_pushstring(L, args->argv[i]);
    lua_rawseti(L, -2, i - zero);
  }
  lua_setglobal(L, "arg");
}

// Run the chunk that a load with this status left on the stack.
static bool run_loaded(Cli *cli, lua_State *L, int status, bool as_task) {
  if (status == LUA_OK) status = cli_call(cli, L, 0, 0, as_task);
  return cli_report(cli, L, status) == LUA_OK;
}

static bool run_string(Cli *cli, lua_State *L, const char *text,
                       const char *name, bool as_task) {
  int status = luaL_loadbuffer(L, text, strlen(text), name);
  return run_loaded(cli, L, status, as_task);
}

// LUA_INIT never runs as a task: it prepares the state for the script.
bool script_run_init(Cli *cli, lua_State *L) {
  const char *name = "=LUA_INIT_5_4";
  const char *text = getenv(init_variable_5_4);
  if (text == NULL) {
    name = "=LUA_INIT";
    text = getenv(init_variable);
  }
  if (text == NULL) return true;
  if (text[0] != '@') return run_string(cli, L, text, name, false);
  return run_loaded(cli, L, luaL_loadfile(L, text + 1), false);
}

// "global=module" or "module": the global is set to what require returns.
static bool run_require(Cli *cli, lua_State *L, char *text) {
  char *module = strchr(text, '=');
  if (module == NULL) {
    module = text;
  } else {
    *module++ = '\0';
  }
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  int status = cli_call(cli, L, 1, 1, false);
  if (status == LUA_OK) lua_setglobal(L, text);
  return cli_report(cli, L, status) == LUA_OK;
}

static bool run_action(Cli *cli, lua_State *L, const Action *action) {
  switch (action->kind) {
    case ACTION_EXECUTE:
      return run_string(cli, L, action->text, "=(command line)", cli->await);
    case ACTION_REQUIRE:
      return run_require(cli, L, action->text);
    case ACTION_WARNINGS:
      lua_warning(L, "@on", 0);
      return true;
  }
  return true;
}

bool script_run_actions(Cli *cli, lua_State *L, const Args *args) {
  for (int i = 0; i < args->action_count; i++) {
    if (!run_action(cli, L, &args->actions[i])) return false;
  }
  return true;
}

// Push what the table `arg` holds now: the program may have changed it.
static int push_arguments(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE) {
    luaL_error(L, "'arg' is not a table");
  }
  int table = lua_gettop(L);
  int count = (int)luaL_len(L, table);
  luaL_checkstack(L, count + 3, "too many arguments to script");
  for (int i = 1; i <= count; i++) lua_rawgeti(L, table, i);
  lua_remove(L, table);
  return count;
}

bool script_run(Cli *cli, lua_State *L, const Args *args) {
  char **words = args->argv + args->script;
  const char *name = words[0];
  // After "--" a "-" is a file of that name.
  if (strcmp(name, "-") == 0 && strcmp(words[-1], "--") != 0) name = NULL;
  int status = luaL_loadfile(L, name);
  if (status == LUA_OK) {
    int count = push_arguments(L);
    status = cli_call(cli, L, count, LUA_MULTRET, cli->await);
  }
  return cli_report(cli, L, status) == LUA_OK;
}

bool script_run_stdin(Cli *cli, lua_State *L) {
  return run_loaded(cli, L, luaL_loadfile(L, NULL), cli->await);
}
