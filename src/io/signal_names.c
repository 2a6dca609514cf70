// SPDX-License-Identifier: MIT
// signal_names.c: see signal_names.h. The set differs a little from system to
// system.
#include "signal_names.h"

#include <lauxlib.h>
#include <signal.h>
#include <string.h>

#include "../base/debug.h"

static const struct {
  const char *name;
  int number;
} known[] = {
    {"SIGHUP", SIGHUP},       {"SIGINT", SIGINT},   {"SIGQUIT", SIGQUIT},
    {"SIGILL", SIGILL},       {"SIGTRAP", SIGTRAP}, {"SIGABRT", SIGABRT},
    {"SIGBUS", SIGBUS},       {"SIGFPE", SIGFPE},   {"SIGKILL", SIGKILL},
    {"SIGUSR1", SIGUSR1},     {"SIGSEGV", SIGSEGV}, {"SIGUSR2", SIGUSR2},
    {"SIGPIPE", SIGPIPE},     {"SIGALRM", SIGALRM}, {"SIGTERM", SIGTERM},
    {"SIGCHLD", SIGCHLD},     {"SIGCONT", SIGCONT}, {"SIGSTOP", SIGSTOP},
    {"SIGTSTP", SIGTSTP},     {"SIGTTIN", SIGTTIN}, {"SIGTTOU", SIGTTOU},
    {"SIGURG", SIGURG},       {"SIGXCPU", SIGXCPU}, {"SIGXFSZ", SIGXFSZ},
    {"SIGVTALRM", SIGVTALRM}, {"SIGPROF", SIGPROF}, {"SIGSYS", SIGSYS},
#ifdef SIGWINCH
    {"SIGWINCH", SIGWINCH},
#endif
#ifdef SIGIO
    {"SIGIO", SIGIO},
#endif
#ifdef SIGINFO
    {"SIGINFO", SIGINFO},
#endif
#ifdef SIGPWR
    {"SIGPWR", SIGPWR},
#endif
};

int signal_number(const char *name) {
  for (int i = 0; i < COUNT_OF(known); i++) {
    if (strcmp(known[i].name, name) == 0) return known[i].number;
  }
  return 0;
}

const char *signal_name(int number) {
  for (int i = 0; i < COUNT_OF(known); i++) {
    if (known[i].number == number) return known[i].name;
  }
  return NULL;
}

int signal_check(lua_State *L, int idx, bool numbers) {
  if (lua_type(L, idx) == LUA_TSTRING) {
    int number = signal_number(lua_tostring(L, idx));
    if (number != 0) return number;
    const char *text =
        lua_pushfstring(L, "unknown signal '%s'", lua_tostring(L, idx));
    return luaL_argerror(L, idx, text);
  }
  if (!numbers) return luaL_typeerror(L, idx, "name of a signal");
  if (lua_type(L, idx) != LUA_TNUMBER) {
    return luaL_typeerror(L, idx, "name or number of a signal");
  }
  lua_Integer number = luaL_checkinteger(L, idx);
  luaL_argcheck(L, number > 0 && number < SIGNAL_LIMIT, idx,
                "not the number of a signal");
  return (int)number;
}
