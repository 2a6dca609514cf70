// SPDX-License-Identifier: MIT
// repl.c: see repl.h. The rules are those of lua's prompt: a line is tried as
// an expression first, then as a statement that may go on in further lines;
// _PROMPT and _PROMPT2 are the prompts; results go through the global print.
//
// Ctrl+C drops the statement that is being typed or run, never the session.
// The statement under construction is at index 1 of the stack.
#include "repl.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"

typedef enum ReadResult { READ_LINE, READ_INTERRUPTED, READ_END } ReadResult;

static const char chunk_name[] = "=stdin";

static void print_prompt(lua_State *L, bool first) {
  const char *text = first ? "> " : ">> ";
  if (lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2") != LUA_TNIL) {
    text = luaL_tolstring(L, -1, NULL);
    lua_remove(L, -2);
  }
  fputs(text, stdout);
  fflush(stdout);
  lua_pop(L, 1);
}

// Push the next line of standard input without its newline. [-0, +(0|1), e]
static ReadResult push_line(lua_State *L, bool first) {
  print_prompt(L, first);
  char *line = NULL;
  size_t size = 0;
  interrupt_arm_read();
  errno = 0;
  ssize_t length = getline(&line, &size, stdin);
  interrupt_disarm_read();
  if (length < 0) {
    free(line);
    if (errno != EINTR) return READ_END;
    clearerr(stdin);
    puts("\nKeyboardInterrupt");
    return READ_INTERRUPTED;
  }
  if (length > 0 && line[length - 1] == '\n') line[--length] = '\0';
  if (first && length > 0 && line[0] == '=') {
    lua_pushfstring(L, "return %s", line + 1);
  } else {
    lua_pushlstring(L, line, (size_t)length);
  }
  free(line);
  return READ_LINE;
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

// Compile the line at index 1 as an expression. Leaves the function on top
// and returns true, or leaves nothing.
static bool load_expression(lua_State *L) {
  lua_pushliteral(L, "return ");
  lua_pushvalue(L, 1);
  lua_pushliteral(L, ";");
  lua_concat(L, 3);
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  int status = luaL_loadbuffer(L, text, length, chunk_name);
  lua_remove(L, 2);
  if (status != LUA_OK) lua_pop(L, 1);
  return status == LUA_OK;
}

// Compile the line at index 1 as a statement, with further lines as long as it
// is incomplete. Leaves the function or a message on top.
static ReadResult load_statement(lua_State *L, int *status) {
  for (;;) {
    size_t length;
    const char *text = lua_tolstring(L, 1, &length);
    *status = luaL_loadbuffer(L, text, length, chunk_name);
    if (!is_incomplete(L, *status)) return READ_LINE;
    ReadResult result = push_line(L, false);
    if (result == READ_END) return READ_LINE;  // let the message stand
    if (result == READ_INTERRUPTED) return result;
    lua_remove(L, 2);
    lua_pushliteral(L, "\n");
    lua_insert(L, 2);
    lua_concat(L, 3);
  }
}

// Read one statement. On READ_LINE the stack holds only the function, or a
// message if `status` says so.
static ReadResult read_statement(lua_State *L, int *status) {
  lua_settop(L, 0);
  ReadResult result = push_line(L, true);
  if (result != READ_LINE) return result;
  *status = LUA_OK;
  if (!load_expression(L)) result = load_statement(L, status);
  if (result == READ_LINE) lua_remove(L, 1);
  return result;
}

// Print every value on the stack with the global print.
static void print_results(Cli *cli, lua_State *L) {
  int count = lua_gettop(L);
  if (count == 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, 1);
  interrupt_arm(L);
  int status = lua_pcall(L, count, 0, 0);
  interrupt_disarm(L);
  if (status == LUA_OK) return;
  luaL_tolstring(L, -1, NULL);
  lua_pushfstring(L, "error calling 'print' (%s)", lua_tostring(L, -1));
  cli_report(cli, L, status);
}

static void print_banner(lua_State *L) {
  cli_push_trio(L, "version");
  printf("trio-lua %s: async functions can be called at the prompt\n",
         lua_tostring(L, -1));
  lua_pop(L, 1);
}

void repl_run(Cli *cli, lua_State *L) {
  const char *progname = cli->progname;
  cli->progname = NULL;
  if (isatty(STDIN_FILENO)) print_banner(L);
  cli_push_module(L);
  lua_setglobal(L, "trio");
  for (;;) {
    int status = LUA_OK;
    ReadResult result = read_statement(L, &status);
    if (result == READ_END) break;
    if (result == READ_INTERRUPTED) continue;
    if (status == LUA_OK) {
      status = cli_call(cli, L, 0, LUA_MULTRET, true);
    }
    if (status == LUA_OK) {
      print_results(cli, L);
    } else {
      cli_report(cli, L, status);
    }
  }
  lua_settop(L, 0);
  putchar('\n');
  fflush(stdout);
  cli->progname = progname;
}
