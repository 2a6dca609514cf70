// SPDX-License-Identifier: MIT
// history.c: see history.h. A line is appended by one write, so that it is
// there whatever happens to the session. The file is cut when a session begins
// and finds it too long.
#include "history.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_LINES = 1000 };

static char *path;  // NULL: nothing is kept

// "a" followed by "b", from malloc; NULL for lack of memory.
static char *join(const char *a, const char *b) {
  size_t size = strlen(a) + strlen(b) + 1;
  char *text = malloc(size);
  if (text != NULL) snprintf(text, size, "%s%s", a, b);
  return text;
}

static char *find_path(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  bool ignored = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (ignored) return NULL;
  const char *chosen = getenv("TRIO_LUA_HISTORY");
  if (chosen != NULL) return chosen[0] != '\0' ? join(chosen, "") : NULL;
  const char *home = getenv("HOME");
  return home != NULL ? join(home, "/.trio-lua_history") : NULL;
}

// The whole file, as a string from malloc, or NULL.
static char *read_file(void) {
  FILE *file = fopen(path, "r");
  if (file == NULL) return NULL;
  struct stat info;
  char *text = NULL;
  if (fstat(fileno(file), &info) == 0 && S_ISREG(info.st_mode)) {
    size_t size = (size_t)info.st_size;
    text = malloc(size + 1);
    if (text != NULL) text[fread(text, 1, size, file)] = '\0';
  }
  fclose(file);
  return text;
}

// Where the latest lines begin.
static char *latest_lines(char *text) {
  char *p = text + strlen(text);
  for (int lines = 0; p > text; p--) {
    if (p[-1] == '\n' && ++lines > MOST_LINES) break;
  }
  return p;
}

// Was it all written?
static bool write_text(const char *name, int flags, const char *text) {
  int fd = open(name, flags | O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  size_t length = strlen(text);
  while (length > 0) {
    ssize_t written = write(fd, text, length);
    if (written <= 0) break;
    text += written;
    length -= (size_t)written;
  }
  return close(fd) == 0 && length == 0;
}

// Replace the file: another session never sees half of it.
static void shorten(const char *text) {
  char *temporary = join(path, ".new");
  if (temporary == NULL) return;
  if (write_text(temporary, O_TRUNC, text)) {
    rename(temporary, path);
  } else {
    unlink(temporary);
  }
  free(temporary);
}

void history_open(lua_State *L, int (*add)(const char *line)) {
  path = find_path(L);
  char *text = path != NULL ? read_file() : NULL;
  if (text == NULL) return;
  char *latest = latest_lines(text);
  if (latest != text) shorten(latest);
  for (char *line = strtok(latest, "\n"); line != NULL;
       line = strtok(NULL, "\n")) {
    add(line);
  }
  free(text);
}

void history_save(const char *line) {
  if (path == NULL) return;
  char *text = join(line, "\n");
  if (text != NULL) write_text(path, O_APPEND, text);
  free(text);
}
