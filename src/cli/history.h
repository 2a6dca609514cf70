// SPDX-License-Identifier: MIT
// history.h: the lines typed at the prompt, kept from one session to the next
// in a file: $TRIO_LUA_HISTORY, else ~/.trio-lua_history. It is not used with
// -E, nor where that variable is empty. Used by editor.c alone.
//
// The file is text, a line each, readable by its owner only. Sessions that run
// at the same time add to it in turns. What can't be read or written is
// silently not kept: a prompt is no place to fail for that.
#ifndef TRIO_CLI_HISTORY_H
#define TRIO_CLI_HISTORY_H

#include <lua.h>

// Find out which file it is, and give its latest lines to `add`, the oldest
// first. Once. [-0, +0, m]
void history_open(lua_State *L, int (*add)(const char *line));

// Add a line to the file.
void history_save(const char *line);

#endif
