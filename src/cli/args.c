// SPDX-License-Identifier: MIT
// args.c: see args.h. The short options are those of lua 5.4, with its rules:
// they don't cluster, -e and -l take the rest of their word or the next word
// unless that begins with '-', and any mistake stops everything before code
// has run. Complaints are worded as lua words them.
#include "args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const usage =
    "usage: %s [options] [script [args]]\n"
    "Available options are:\n"
    "  -e stat   execute string 'stat'\n"
    "  -i        enter interactive mode after executing 'script'\n"
    "  -l mod    require library 'mod' into global 'mod'\n"
    "  -l g=mod  require library 'mod' into global 'g'\n"
    "  -v        show version information\n"
    "  -E        ignore environment variables\n"
    "  -W        turn warnings on\n"
    "  -a, --await           run 'script', 'stat' and stdin as tasks, so that\n"
    "                        they may wait at top level\n"
    "  --seed N              shuffle runnable tasks, reproducibly\n"
    "  --on-deadlock ACTION  'raise' or 'wait' (default) when no task can "
    "ever\n"
    "                        run again\n"
    "  --trace FILE          write a Chrome/Perfetto trace of all tasks\n"
    "  --slow-step SECONDS   report tasks that hold the loop longer\n"
    "  --monitor             print the tree of tasks to stderr on SIGUSR1\n"
    "  --help                show this text\n"
    "  --version             show the version of trio-lua\n"
    "  --        stop handling options\n"
    "  -         stop handling options and execute stdin\n";

static const char unrecognized[] = "unrecognized option '%s'";
static const char needs_argument[] = "'%s' needs argument";
static const char needs_integer[] = "'%s' needs an integer";
static const char needs_seconds[] = "'%s' needs a number of seconds";
static const char needs_action[] = "'%s' needs 'raise' or 'wait'";

static void complain(Args *args, const char *complaint, const char *culprit) {
  args->complaint = complaint;
  args->culprit = culprit;
}

static void add_action(Args *args, ActionKind kind, char *text) {
  args->actions[args->action_count++] = (Action){kind, text};
}

static void read_seed(Args *args, const char *option, const char *text) {
  char *end;
  errno = 0;
  args->seed = strtoll(text, &end, 10);
  args->has_seed = true;
  if (end == text || *end != '\0' || errno != 0) {
    complain(args, needs_integer, option);
  }
}

static void read_on_deadlock(Args *args, const char *option, const char *text) {
  args->on_deadlock = text;
  if (strcmp(text, "raise") != 0 && strcmp(text, "wait") != 0) {
    complain(args, needs_action, option);
  }
}

static void read_trace(Args *args, const char *option, const char *text) {
  (void)option;
  args->trace = text;
}

static void read_slow_step(Args *args, const char *option, const char *text) {
  char *end;
  args->slow_step = strtod(text, &end);
  if (end == text || *end != '\0' || !(args->slow_step > 0)) {
    complain(args, needs_seconds, option);
  }
}

typedef struct LongOption {
  const char *name;
  void (*read)(Args *args, const char *option, const char *text);
} LongOption;

static const LongOption valued_options[] = {
    {"--seed", read_seed},
    {"--on-deadlock", read_on_deadlock},
    {"--trace", read_trace},
    {"--slow-step", read_slow_step},
    {NULL, NULL},
};

static bool set_flag(Args *args, const char *word) {
  if (strcmp(word, "--await") == 0) {
    args->await = true;
  } else if (strcmp(word, "--monitor") == 0) {
    args->monitor = true;
  } else if (strcmp(word, "--help") == 0) {
    args->show_help = true;
  } else if (strcmp(word, "--version") == 0) {
    args->show_version = true;
  } else {
    return false;
  }
  return true;
}

// Read the long option at argv[i]; returns the index of its last word.
static int read_long(Args *args, int i) {
  char *word = args->argv[i];
  if (set_flag(args, word)) return i;
  for (const LongOption *option = valued_options; option->name; option++) {
    size_t length = strlen(option->name);
    if (strncmp(word, option->name, length) != 0) continue;
    if (word[length] == '=') {
      option->read(args, option->name, word + length + 1);
      return i;
    }
    if (word[length] != '\0') continue;
    if (args->argv[i + 1] == NULL) {
      complain(args, needs_argument, word);
      return i;
    }
    option->read(args, option->name, args->argv[i + 1]);
    return i + 1;
  }
  complain(args, unrecognized, word);
  return i;
}

// Read -e or -l at argv[i]; returns the index of its last word.
static int read_with_text(Args *args, int i, ActionKind kind) {
  char *word = args->argv[i];
  char *text = word + 2;
  if (*text == '\0') {
    text = args->argv[++i];
    if (text == NULL || text[0] == '-') {
      complain(args, needs_argument, word);
      return i;
    }
  }
  add_action(args, kind, text);
  return i;
}

// Read the option without text at argv[i].
static void read_letter(Args *args, int i) {
  char *word = args->argv[i];
  if (word[2] != '\0') {
    complain(args, unrecognized, word);
    return;
  }
  switch (word[1]) {
    case 'a':
      args->await = true;
      break;
    case 'i':
      args->interactive = args->show_lua_version = true;
      break;
    case 'v':
      args->show_lua_version = true;
      break;
    case 'E':
      args->ignore_environment = true;
      break;
    case 'W':
      add_action(args, ACTION_WARNINGS, NULL);
      break;
    default:
      complain(args, unrecognized, word);
  }
}

static void read_words(Args *args) {
  int i = 1;
  for (; i < args->argc && args->complaint == NULL; i++) {
    const char *word = args->argv[i];
    if (word[0] != '-' || word[1] == '\0') break;
    if (strcmp(word, "--") == 0) {
      i++;
      break;
    }
    if (word[1] == '-') {
      i = read_long(args, i);
    } else if (word[1] == 'e') {
      args->executes = true;
      i = read_with_text(args, i, ACTION_EXECUTE);
    } else if (word[1] == 'l') {
      i = read_with_text(args, i, ACTION_REQUIRE);
    } else {
      read_letter(args, i);
    }
  }
  args->script = i < args->argc ? i : args->argc;
}

bool args_parse(Args *args, int argc, char **argv) {
  *args = (Args){.argc = argc, .argv = argv, .progname = "trio-lua"};
  args->actions = calloc((size_t)argc + 1, sizeof(Action));
  if (args->actions == NULL) return false;
  if (argc > 0 && argv[0][0] != '\0') args->progname = argv[0];
  read_words(args);
  return true;
}

void args_free(Args *args) { free(args->actions); }

void args_complain(const Args *args) {
  fprintf(stderr, "%s: ", args->progname);
  fprintf(stderr, args->complaint, args->culprit);
  fputc('\n', stderr);
  args_usage(args, stderr);
}

void args_usage(const Args *args, FILE *out) {
  fprintf(out, usage, args->progname);
  fflush(out);
}
