// SPDX-License-Identifier: MIT
// line.c: see line.h. Standard input is unbuffered, so that "is there input?"
// is a question to the system alone, and what isn't taken here is left for the
// program. There is one standard input, so the line begun is static.
#include "line.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "editor.h"

static struct {
  bool begun;
  bool edited;  // the line that was begun is the editor's
  char *text;   // what has been read of it
  size_t length, size;
} line;

void line_open(void) { setvbuf(stdin, NULL, _IONBF, 0); }

static bool has_input(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&input, 1, 0) != 0 && input.revents != 0;
}

void line_begin(lua_State *L, const char *prompt) {
  if (line.begun) return;
  line.begun = true;
  line.length = 0;
  line.edited = editor_begin(L, prompt);
  if (line.edited) return;
  fputs(prompt, stdout);
  fflush(stdout);
}

void line_drop(void) {
  if (line.begun && line.edited) editor_end();
  line.begun = false;
}

static void append(lua_State *L, char c) {
  if (line.length == line.size) {
    size_t size = line.size == 0 ? 128 : 2 * line.size;
    char *text = realloc(line.text, size);
    if (text == NULL) {
      lua_pushliteral(L, "not enough memory");
      lua_error(L);
      return;
    }
    line.text = text;
    line.size = size;
  }
  line.text[line.length++] = c;
}

static LineResult take_edited(lua_State *L) {
  while (has_input()) {
    LineResult result = editor_feed(L);
    if (result != LINE_WAIT) return result;
  }
  return LINE_WAIT;
}

static LineResult take_plain(lua_State *L) {
  while (has_input()) {
    int c = fgetc(stdin);
    if (c == EOF) clearerr(stdin);
    if (c == EOF && line.length == 0) return LINE_END;
    if (c == EOF || c == '\n') {
      lua_pushlstring(L, line.length > 0 ? line.text : "", line.length);
      return LINE_DONE;
    }
    append(L, (char)c);
  }
  return LINE_WAIT;
}

LineResult line_take(lua_State *L) {
  LineResult result = line.edited ? take_edited(L) : take_plain(L);
  if (result != LINE_WAIT) line_drop();
  return result;
}
