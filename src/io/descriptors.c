// SPDX-License-Identifier: MIT
// descriptors.c: bare descriptors for the project's own specs, in
// trio.testing: making a pipe, closing behind the library's back, counting
// what is open. Nothing else may use them.
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io.h"
#include "oserror.h"

// trio.testing._pipe() -> descriptor to read from, descriptor to write to
static int l_pipe(lua_State *L) {
  int fds[2];
  if (pipe(fds) != 0) return oserror_raise(L, errno, "pipe", NULL);
  for (int i = 0; i < 2; i++) {
    fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    lua_pushinteger(L, fds[i]);
  }
  return 2;
}

// trio.testing._open(path) -> descriptor to read the file
static int l_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return oserror_raise(L, errno, "open", path);
  lua_pushinteger(L, fd);
  return 1;
}

// trio.testing._close(fd): close it without telling anybody
static int l_close(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

// trio.testing._flags(fd) -> the flags of fcntl, nil where it is closed
static int l_flags(lua_State *L) {
  int flags = fcntl((int)luaL_checkinteger(L, 1), F_GETFL);
  if (flags >= 0) lua_pushinteger(L, flags & O_NONBLOCK);
  return flags >= 0 ? 1 : 0;
}

// trio.testing._open_descriptors() -> how many the process has
static int l_open_descriptors(lua_State *L) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  int count = 0,
      highest = (int)(limit.rlim_cur < 65536 ? limit.rlim_cur : 65536);
  for (int fd = 0; fd < highest; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) count++;
  }
  lua_pushinteger(L, count);
  return 1;
}

// trio.testing._limit_descriptors(n) -> the limit before. Lowers the limit of
// the process, or lifts it again.
static int l_limit_descriptors(lua_State *L) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  lua_pushinteger(L, (lua_Integer)limit.rlim_cur);
  limit.rlim_cur = (rlim_t)luaL_checkinteger(L, 1);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return oserror_raise(L, errno, "setrlimit", NULL);
  }
  return 1;
}

void descriptors_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"_pipe", l_pipe},
      {"_open", l_open},
      {"_close", l_close},
      {"_flags", l_flags},
      {"_open_descriptors", l_open_descriptors},
      {"_limit_descriptors", l_limit_descriptors},
      {NULL, NULL}};
  lua_getfield(L, -1, "testing");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
