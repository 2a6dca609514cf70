// SPDX-License-Identifier: MIT
// report.h: what the interpreter says about an error that nobody handled.
//
// For a string and for other plain values the report is lua's own, with the
// traceback of the task that raised where there is one. For an error object it
// is its text and its traceback, then whatever caused it; the text of a group
// is the tree of its leaves with their tracebacks.
#ifndef TRIO_CLI_REPORT_H
#define TRIO_CLI_REPORT_H

#include <lua.h>

// Message handler for lua_pcall. Upvalue 1: the Cli, whose `interrupted` it
// sets. Turns the error into its report, one string.
int report_handler(lua_State *L);

#endif
