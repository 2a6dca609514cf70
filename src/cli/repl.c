// SPDX-License-Identifier: MIT
// repl.c: see repl.h. The rules are those of lua's prompt: a line is tried as
// an expression first, then as a statement that may go on in further lines;
// _PROMPT and _PROMPT2 are the prompts; results go through the global print.
//
// The session is the main task of a run, so that Ctrl+C is raised in it. It is
// a C function that suspends at its protected calls only: there is no frame of
// ours in the traceback of a statement. What it does next is its phase; the
// statement under construction is at index TEXT of its stack.
#include "repl.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "line.h"
#include "report.h"

// What the protected call in progress is for.
typedef enum Phase { PHASE_TURN, PHASE_WAIT, PHASE_RUN, PHASE_PRINT } Phase;

typedef struct Session {
  Cli *cli;
  Phase phase;
  bool used;  // a statement was read
  bool ended;
} Session;

// Indices of the stack of the session.
enum { HANDLER = 1, TEXT = 2, BASE = 2 };

static const char chunk_name[] = "=stdin";

// Begin a line. [-0, +0, e]
static void begin_line(lua_State *L, bool first) {
  const char *text = first ? "> " : ">> ";
  if (lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2") != LUA_TNIL) {
    text = luaL_tolstring(L, -1, NULL);
    lua_remove(L, -2);
  }
  line_begin(L, text);
  lua_pop(L, 1);
}

// Does the syntax error on top of the stack only say that more is needed?
static bool is_incomplete(lua_State *L, int status) {
  static const char mark[] = "<eof>";
  size_t mark_length = sizeof(mark) - 1, length;
  if (status != LUA_ERRSYNTAX) return false;
  const char *message = lua_tolstring(L, -1, &length);
  return length >= mark_length &&
         strcmp(message + length - mark_length, mark) == 0;
}

// Compile the line at index TEXT as an expression. Leaves the function on top
// and returns true, or leaves nothing.
static bool load_expression(lua_State *L) {
  lua_pushliteral(L, "return ");
  lua_pushvalue(L, TEXT);
  lua_pushliteral(L, ";");
  lua_concat(L, 3);
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  int status = luaL_loadbuffer(L, text, length, chunk_name);
  lua_remove(L, -2);
  if (status != LUA_OK) lua_pop(L, 1);
  return status == LUA_OK;
}

// Add the line on top of the stack to the statement.
static void add_line(lua_State *L) {
  if (!lua_isnil(L, TEXT)) {
    lua_pushvalue(L, TEXT);
    lua_insert(L, -2);
    lua_pushliteral(L, "\n");
    lua_insert(L, -2);
    lua_concat(L, 3);
  } else if (lua_tostring(L, -1)[0] == '=') {
    lua_pushfstring(L, "return %s", lua_tostring(L, -1) + 1);
    lua_remove(L, -2);
  }
  lua_replace(L, TEXT);
}

static void forget_statement(lua_State *L) {
  lua_pushnil(L);
  lua_replace(L, TEXT);
}

// Read on until a statement is complete. On LINE_DONE it is on the stack, as a
// function or, if `status` says so, as a message.
static LineResult read_statement(lua_State *L, int *status) {
  for (;;) {
    bool first = lua_isnil(L, TEXT);
    begin_line(L, first);
    LineResult result = line_take(L);
    if (result == LINE_WAIT || (result == LINE_END && first)) return result;
    *status = LUA_OK;
    if (result == LINE_DONE) {
      add_line(L);
      if (first && load_expression(L)) break;
    }
    size_t length;
    const char *text = lua_tolstring(L, TEXT, &length);
    *status = luaL_loadbuffer(L, text, length, chunk_name);
    // At the end of input let the message stand.
    if (result == LINE_END || !is_incomplete(L, *status)) break;
    lua_pop(L, 1);
  }
  forget_statement(L);
  return LINE_DONE;
}

static int advance(lua_State *L, int status, lua_KContext context);

// The protected call of the function under `nargs` arguments.
static int call(lua_State *L, Session *s, Phase phase, int nargs,
                int nresults) {
  s->phase = phase;
  int handler = phase == PHASE_RUN ? HANDLER : 0;
  return lua_pcallk(L, nargs, nresults, handler, (lua_KContext)s, advance);
}

static int call_lowlevel(lua_State *L, Session *s, Phase phase,
                         const char *name) {
  cli_push_trio(L, "lowlevel");
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  if (phase == PHASE_TURN) return call(L, s, phase, 0, 0);
  lua_pushinteger(L, STDIN_FILENO);
  return call(L, s, phase, 1, 0);
}

// Read a statement and start it.
static int start_statement(lua_State *L, Session *s) {
  int status = LUA_OK;
  switch (read_statement(L, &status)) {
    case LINE_WAIT:
      return call_lowlevel(L, s, PHASE_WAIT, "wait_readable");
    case LINE_END:
      s->ended = true;
      return LUA_OK;
    case LINE_DONE:
      break;
  }
  s->used = true;
  if (status == LUA_OK) return call(L, s, PHASE_RUN, 0, LUA_MULTRET);
  s->phase = PHASE_RUN;
  return status;
}

static int start_print(lua_State *L, Session *s) {
  int count = lua_gettop(L) - BASE;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, BASE + 1);
  return call(L, s, PHASE_PRINT, count, 0);
}

// Is the error on top of the stack a Ctrl+C?
static bool is_interrupt(lua_State *L) {
  cli_push_trio(L, "isinstance");
  lua_pushvalue(L, -2);
  cli_push_trio(L, "KeyboardInterrupt");
  lua_call(L, 2, 1);
  bool result = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return result;
}

// The call in progress has failed: its error is on top of the stack. What
// comes out of a wait of our own and isn't Ctrl+C ends the session.
static void handle_error(lua_State *L, Session *s, int status) {
  switch (s->phase) {
    case PHASE_TURN:
    case PHASE_WAIT:
      line_drop();
      if (!is_interrupt(L)) lua_error(L);
      puts("\nKeyboardInterrupt");
      forget_statement(L);
      break;
    case PHASE_PRINT:
      luaL_tolstring(L, -1, NULL);
      lua_pushfstring(L, "error calling 'print' (%s)", lua_tostring(L, -1));
      cli_report(s->cli, L, status);
      break;
    case PHASE_RUN:
      cli_report(s->cli, L, status);
      break;
  }
}

// Go on after a protected call. Between two statements the other tasks get a
// turn, even if the next one could be read at once.
static int advance(lua_State *L, int status, lua_KContext context) {
  Session *s = (Session *)context;
  if (status == LUA_YIELD) status = LUA_OK;
  while (!s->ended) {
    if (status != LUA_OK) {
      handle_error(L, s, status);
      lua_settop(L, BASE);
      status = call_lowlevel(L, s, PHASE_TURN, "checkpoint");
    } else if (s->phase == PHASE_RUN && lua_gettop(L) > BASE) {
      status = start_print(L, s);
    } else if (s->phase == PHASE_RUN || s->phase == PHASE_PRINT) {
      status = call_lowlevel(L, s, PHASE_TURN, "checkpoint");
    } else {
      status = start_statement(L, s);
    }
  }
  return 0;
}

// The main task. Argument: the session.
static int l_session(lua_State *L) {
  Session *s = lua_touserdata(L, 1);
  cli_push_trio(L, "lowlevel");
  lua_getfield(L, -1, "spawn_system_task");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "trio._prompt");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "background");
  lua_remove(L, -2);
  lua_call(L, 1, 0);
  lua_settop(L, 0);
  lua_pushlightuserdata(L, s->cli);
  lua_pushcclosure(L, report_handler, 1);
  lua_pushnil(L);
  return advance(L, call_lowlevel(L, s, PHASE_TURN, "checkpoint"),
                 (lua_KContext)s);
}

static void print_banner(lua_State *L) {
  cli_push_trio(L, "version");
  printf("trio-lua %s: async functions can be called at the prompt\n",
         lua_tostring(L, -1));
  lua_pop(L, 1);
}

void repl_run(Cli *cli, lua_State *L) {
  const char *progname = cli->progname;
  Session session = {.cli = cli};
  cli->progname = NULL;
  lua_settop(L, 0);
  line_open();
  if (isatty(STDIN_FILENO)) print_banner(L);
  cli_push_module(L);
  lua_setglobal(L, "trio");
  // A run that was brought down, by a failed system task, say, is replaced;
  // one that couldn't even begin wouldn't do better the next time.
  do {
    session.used = false;
    lua_pushcfunction(L, l_session);
    lua_pushlightuserdata(L, &session);
    int status = cli_call(cli, L, 1, 0, true);
    line_drop();
    cli_report(cli, L, status);
    lua_settop(L, 0);
  } while (!session.ended && session.used);
  putchar('\n');
  fflush(stdout);
  cli->progname = progname;
}
