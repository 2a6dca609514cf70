// SPDX-License-Identifier: MIT
// line.h: lines of standard input, for the prompt. Nothing here waits: where
// no input is there yet the caller does, in whatever way it likes, until
// standard input is readable.
//
// On a terminal lines are edited (editor.h) where the interpreter was built
// with that; everywhere else they are read as they come. Standard input stays
// usable for io.read in between.
#ifndef TRIO_CLI_LINE_H
#define TRIO_CLI_LINE_H

#include <lua.h>
#include <stdbool.h>

typedef enum LineResult { LINE_DONE, LINE_WAIT, LINE_END } LineResult;

// Before anything reads standard input. Twice does no harm.
void line_open(void);

// Show the prompt and begin a line, unless one has been begun.
void line_begin(lua_State *L, const char *prompt);

// Take the input that is there. LINE_DONE: the line is on the stack, without
// its newline, and ended. LINE_END: there is none and will be none; ended.
// [-0, +(0|1), e]
LineResult line_take(lua_State *L);

// Give up the line that was begun, if any.
void line_drop(void);

#endif
