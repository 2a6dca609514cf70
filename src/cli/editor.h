// SPDX-License-Identifier: MIT
// editor.h: line editing with history and completion on a terminal, through
// the callback interface of libedit. Built without TRIO_LIBEDIT it never takes
// a line. Used by line.c alone.
//
// Between editor_begin and editor_end the terminal is in raw mode, but for
// Ctrl+C, which remains a signal.
#ifndef TRIO_CLI_EDITOR_H
#define TRIO_CLI_EDITOR_H

#include <lua.h>
#include <stdbool.h>

#include "line.h"

// Begin a line, if standard input and output are a terminal that allows it.
// [-0, +0, m]
bool editor_begin(lua_State *L, const char *prompt);

// Take one character of input, which must be there. On LINE_DONE the line is
// on the stack and in the history. [-0, +(0|1), e]
LineResult editor_feed(lua_State *L);

// End the line, finished or not, and give the terminal back.
void editor_end(void);

#endif
