// SPDX-License-Identifier: MIT
// args.h: the command line of trio-lua, read once before any Lua runs.
//
// args_parse turns argv into one Args: flags, the position of the script, and
// the -e, -l and -W options as actions in the order given. It knows nothing of
// Lua and prints nothing by itself. A long option is one of ours only before
// the script's name; everything after the name belongs to the script.
#ifndef TRIO_CLI_ARGS_H
#define TRIO_CLI_ARGS_H

#include <stdbool.h>
#include <stdio.h>

typedef enum ActionKind {
  ACTION_EXECUTE,   // -e: text is a chunk
  ACTION_REQUIRE,   // -l: text is "mod" or "global=mod"
  ACTION_WARNINGS,  // -W: no text
} ActionKind;

typedef struct Action {
  ActionKind kind;
  char *text;  // points into argv
} Action;

typedef struct Args {
  int argc;
  char **argv;
  const char *progname;
  int script;             // index of the script's name, argc without one
  const char *complaint;  // what is wrong with `culprit`, or NULL
  const char *culprit;
  Action *actions;  // owned
  int action_count;
  bool interactive;
  bool show_lua_version;
  bool ignore_environment;
  bool executes;  // there was an -e
  bool await;
  bool monitor;
  bool show_help;
  bool show_version;
  bool has_seed;
  long long seed;
  const char *on_deadlock;  // "raise", "wait" or NULL
  const char *trace;        // a file's name, or NULL
  double slow_step;         // seconds, 0: don't look
} Args;

// Read argv. Returns false if memory ran out; a mistake of the user's is
// reported through `complaint`.
bool args_parse(Args *args, int argc, char **argv);
void args_free(Args *args);

// Print the complaint and the usage to stderr.
void args_complain(const Args *args);
// Print the usage.
void args_usage(const Args *args, FILE *out);

#endif
