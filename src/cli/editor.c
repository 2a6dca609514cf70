// SPDX-License-Identifier: MIT
// editor.c: see editor.h. libedit has one editor and calls back without any
// argument of ours, so what the callbacks need is static. No error of Lua may
// pass through its frames: completion runs in a protected call.
#include "editor.h"

#ifndef TRIO_LIBEDIT

bool editor_begin(lua_State *L, const char *prompt) {
  (void)L;
  (void)prompt;
  return false;
}

LineResult editor_feed(lua_State *L) {
  (void)L;
  return LINE_END;
}

void editor_end(void) {}

#else

#include <editline/readline.h>
#include <lauxlib.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "history.h"

static lua_State *volatile state;  // while a character is taken
static bool prepared;
static bool finished;    // the callback got a line
static char *line_text;  // that line, or NULL at the end of input

static void on_line(char *text) {
  finished = true;
  line_text = text;
}

// Push the list of what the text (a light userdata) may become.
static int l_complete(lua_State *L) {
  const char *text = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "trio._prompt");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "complete");
  lua_pushstring(L, text);
  lua_call(L, 1, 1);
  return 1;
}

// libedit asks for one candidate after the other and frees them. The list
// stands on top of the stack.
static char *next_candidate(const char *text, int number) {
  (void)text;
  char *copy = NULL;
  if (lua_rawgeti(state, -1, number + 1) == LUA_TSTRING) {
    copy = strdup(lua_tostring(state, -1));
  }
  lua_pop(state, 1);
  return copy;
}

static int candidate_number;

static char *generate(const char *text, int again) {
  if (!again) candidate_number = 0;
  return next_candidate(text, candidate_number++);
}

static char **complete(const char *text, int start, int end) {
  (void)start;
  (void)end;
  rl_attempted_completion_over = 1;  // never names of files
  if (state == NULL || !lua_checkstack(state, LUA_MINSTACK)) return NULL;
  lua_State *L = state;
  char **matches = NULL;
  lua_pushcfunction(L, l_complete);
  lua_pushlightuserdata(L, (void *)text);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_istable(L, -1)) {
    matches = rl_completion_matches(text, generate);
  }
  lua_pop(L, 1);
  return matches;
}

static void prepare(lua_State *L) {
  static char word_breaks[] = " \t\n\"\\'><=;+-*/%^~#{}()[],&|!";
  setlocale(LC_CTYPE, "");  // what a character is
  rl_readline_name = "trio-lua";
  rl_catch_signals = 0;
  rl_completer_word_break_characters = word_breaks;
  rl_completion_append_character = '\0';
  rl_attempted_completion_function = complete;
  using_history();
  history_open(L, add_history);
  prepared = true;
}

bool editor_begin(lua_State *L, const char *prompt) {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return false;
  if (!prepared) prepare(L);
  fflush(stdout);
  finished = false;
  rl_callback_handler_install(prompt, on_line);
  return true;
}

LineResult editor_feed(lua_State *L) {
  state = L;
  rl_callback_read_char();
  state = NULL;
  if (!finished) return LINE_WAIT;
  finished = false;
  if (line_text == NULL) return LINE_END;
  if (line_text[0] != '\0') {
    add_history(line_text);
    history_save(line_text);
  }
  lua_pushstring(L, line_text);
  free(line_text);
  line_text = NULL;
  return LINE_DONE;
}

void editor_end(void) { rl_callback_handler_remove(); }

#endif
