// SPDX-License-Identifier: MIT
// main.c: the interpreter trio-lua: lua 5.4 with trio built in.
//
// Makes the Lua state, prepares it, and takes the steps that the command line
// asks for; each step is a file of cli/. Exit statuses: 0, 1 after an error,
// 130 after a Ctrl+C that nobody handled.
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/monitor.h"
#include "cli/repl.h"
#include "cli/script.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

// Give the options of the command line to the runtime.
static void set_defaults(lua_State *L, const Args *args) {
  if (cli_push_trio(L, "_defaults") == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_createtable(L, 0, 4);
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "catch_sigint");
  if (args->has_seed) {
    lua_pushinteger(L, args->seed);
    lua_setfield(L, -2, "seed");
  }
  if (args->on_deadlock != NULL) {
    lua_pushstring(L, args->on_deadlock);
    lua_setfield(L, -2, "on_deadlock");
  }
  if (args->trace != NULL) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "trio.trace");
    lua_call(L, 1, 1);
    lua_pushstring(L, args->trace);
    lua_call(L, 1, 1);
    lua_setfield(L, -2, "instrument");
  }
  for (int i = 0; i < args->action_count; i++) {
    if (args->actions[i].kind != ACTION_WARNINGS) continue;
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "warnings");
  }
  lua_call(L, 1, 0);
}

// Print what trio._watch_steps found: (task, traceback).
static int report_step(lua_State *L) {
  fprintf(stderr, "trio-lua: %s holds the loop\n%s\n", luaL_checkstring(L, 1),
          luaL_checkstring(L, 2));
  return 0;
}

static void watch_steps(lua_State *L, double seconds) {
  cli_push_trio(L, "_watch_steps");
  lua_pushnumber(L, seconds);
  lua_pushcfunction(L, report_step);
  lua_call(L, 2, 0);
}

static void prepare_trio(lua_State *L, const Args *args) {
  cli_open_trio(L);
  if (cli_push_trio(L, "install") == LUA_TNIL) {
    lua_pop(L, 1);
  } else {
    lua_call(L, 0, 0);
  }
  set_defaults(L, args);
  if (args->monitor) monitor_start(L);
  if (args->slow_step > 0) watch_steps(L, args->slow_step);
}

static void print_lua_version(void) {
  puts(LUA_COPYRIGHT);
  fflush(stdout);
}

static void print_version(lua_State *L) {
  cli_push_trio(L, "version");
  const char *version = lua_tostring(L, -1);
  printf("trio-lua %s (%s)\n", version != NULL ? version : "?", LUA_RELEASE);
  fflush(stdout);
  lua_pop(L, 1);
}

// Returns whether all went well.
static bool run_steps(Cli *cli, lua_State *L, const Args *args) {
  if (!args->ignore_environment && !script_run_init(cli, L)) return false;
  if (!script_run_actions(cli, L, args)) return false;
  bool has_script = args->script < args->argc;
  if (has_script && !script_run(cli, L, args)) return false;
  if (args->interactive) {
    repl_run(cli, L);
  } else if (!has_script && !args->executes && !args->show_lua_version) {
    if (!isatty(STDIN_FILENO)) return script_run_stdin(cli, L);
    print_lua_version();
    repl_run(cli, L);
  }
  return true;
}

// The work of main in protected mode: takes the Args and the Cli, returns
// whether all went well.
static int l_main(lua_State *L) {
  const Args *args = lua_touserdata(L, 1);
  Cli *cli = lua_touserdata(L, 2);
  luaL_checkversion(L);
  if (args->ignore_environment) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  prepare_trio(L, args);
  if (args->show_version) {
    print_version(L);
    lua_pushboolean(L, 1);
    return 1;
  }
  if (args->show_lua_version) print_lua_version();
  script_set_arg(L, args);
  lua_gc(L, LUA_GCGEN, 0, 0);
  lua_pushboolean(L, run_steps(cli, L, args));
  return 1;
}

static int run(Args *args) {
  if (args->complaint != NULL) {
    args_complain(args);
    return EXIT_FAILURE;
  }
  if (args->show_help) {
    args_usage(args, stdout);
    return EXIT_SUCCESS;
  }
  lua_State *L = luaL_newstate();
  if (L == NULL) {
    fprintf(stderr, "%s: cannot create state: not enough memory\n",
            args->progname);
    return EXIT_FAILURE;
  }
  Cli cli = {.progname = args->progname, .await = args->await};
  lua_pushcfunction(L, l_main);
  lua_pushlightuserdata(L, args);
  lua_pushlightuserdata(L, &cli);
  int status = lua_pcall(L, 2, 1, 0);
  bool ok = status == LUA_OK && lua_toboolean(L, -1);
  cli_report(&cli, L, status);
  lua_close(L);
  if (ok) return EXIT_SUCCESS;
  return cli.interrupted ? EXIT_INTERRUPTED : EXIT_FAILURE;
}

// Long strings come and go: memory that a collection has freed is not given
// back to the system at once, only to be asked for again.
static void keep_memory(void) {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

int main(int argc, char **argv) {
  Args args;
  keep_memory();
  if (!args_parse(&args, argc, argv)) {
    fprintf(stderr, "trio-lua: not enough memory\n");
    return EXIT_FAILURE;
  }
  int code = run(&args);
  args_free(&args);
  return code;
}
