// SPDX-License-Identifier: MIT
// file.c: trio.open_file: files with Lua's verbs that never block the run.
// This part owns the life of a file: opening, closing, and who frees the body.
//
//            open job                 verbs                 close job
//   (none) ------------> fd >= 0 <------------> busy   closing ------> fd = -1
//                           |                    |        ^
//                           +--------------------+--------+
// The body is freed when the Lua object is gone and no job is running. A file
// that is closed while a job runs is closed by the job's return (on_back).
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../base/mem.h"
#include "../bind/error.h"
#include "io.h"
#include "path.h"

// ---- the body

static void body_free(FileBody *f) {
  atomic_store(&f->job.stop, true);
  if (f->fd >= 0) file_work_close(&f->job);
  bytes_free(&f->in);
  bytes_free(&f->out);
  mem_free(f->path);
  mem_free(f);
}

static void start_close(FileBody *f) {
  Task *t = f->closer;
  f->closer = NULL;
  f->error = 0;
  f->job.work = file_work_close;
  job_submit(&f->job, f->loop, t);
  if (f->close_code == 0) return;
  f->job.abort_code = f->close_code;
  atomic_store(&f->job.stop, true);
}

static void on_back(Job *j) {
  FileBody *f = CONTAINER_OF(j, FileBody, job);
  if (f->closing && f->fd >= 0) {
    start_close(f);
  } else if (!f->boxed) {
    body_free(f);
  }
}

// Close it without waiting. `hurry`: of a pipe, don't wait for its reader. Is
// it closed already? Else a job does it.
static bool close_now(FileBody *f, bool hurry) {
  f->closing = true;
  f->close_code = 0;
  if (f->job.running) {
    atomic_store(&f->job.stop, true);
    return false;
  }
  atomic_store(&f->job.stop, !f->is_regular || hurry);
  f->job.cut = false;
  f->error = 0;
  file_work_flush(&f->job);
  if (f->job.cut && !hurry) {  // the pipe is full
    start_close(f);
    return false;
  }
  file_work_close(&f->job);
  return true;
}

// For resources that nobody closed.
static void close_left(lua_State *L, Resource *r) {
  UNUSED(L);
  FileBody *f = CONTAINER_OF(r, File, resource)->body;
  if (f->fd >= 0 && !f->closing) close_now(f, true);
}

// ---- what every verb needs

FileBody *file_check(lua_State *L) {
  File *file = class_check(L, FILE_SELF, &file_class);
  if (file->body == NULL) luaL_argerror(L, FILE_SELF, "it was never opened");
  return file->body;
}

static bool has_access(const FileBody *f, int access) {
  int mode = f->open_flags & O_ACCMODE;
  return access < 0 || mode == O_RDWR || mode == access;
}

void file_check_usable(lua_State *L, const FileBody *f, int access,
                       const char *what) {
  if (f->fd < 0 || f->closing) {
    error_raise(L, ERROR_CLOSED_RESOURCE, "this file was closed: %s", f->path);
  }
  if (f->busy || f->job.running) {
    error_raise(L, ERROR_BUSY_RESOURCE,
                "another task is already using this file: %s", f->path);
  }
  if (!has_access(f, access)) {
    path_push_error(L, EBADF, what, f->path);
    lua_error(L);
  }
}

void file_submit(FileBody *f, Task *t, void (*work)(Job *j)) {
  f->busy = true;
  f->error = 0;
  f->job.work = work;
  f->job.done = on_back;
  job_submit(&f->job, f->loop, t);
}

bool file_finish(lua_State *L, FileBody *f) {
  f->busy = false;
  if (f->closing) {
    error_raise(L, ERROR_CLOSED_RESOURCE,
                "this file was closed while it was in use: %s", f->path);
  }
  int number = f->error;
  f->error = 0;
  if (number == ENOMEM) luaL_error(L, "not enough memory");
  if (number != 0) {
    path_push_error(L, number, f->syscall, f->path);
    lua_error(L);
  }
  return f->job.skipped || f->job.cut;
}

int file_interrupted(lua_State *L, Task *t, const FileBody *f) {
  return await_raise(L, t, f->job.abort_code);
}

AbortResult file_abort(Task *t, void *self, int code) {
  UNUSED(t);
  FileBody *f = self;
  if (code == WAKE_DISCARDED) f->busy = false;
  return job_abort(&f->job, code);
}

// ---- opening

enum { PATH = 1, MODE = 2, BOX = 3 };

// The flags of open(2) for a mode of io.open, or -1.
static int flags_of(const char *mode) {
  int flags;
  bool update = mode[0] != '\0' && mode[1] == '+';
  const char *rest = mode + (update ? 2 : 1);
  switch (mode[0]) {
    case 'r':
      flags = 0;
      break;
    case 'w':
      flags = O_CREAT | O_TRUNC;
      break;
    case 'a':
      flags = O_CREAT | O_APPEND;
      break;
    default:
      return -1;
  }
  if (rest[strspn(rest, "b")] != '\0') return -1;
  if (update) return flags | O_RDWR;
  return flags | (mode[0] == 'r' ? O_RDONLY : O_WRONLY);
}

static FileBody *body_new(lua_State *L, const char *path, const char *mode) {
  FileBody *f = mem_alloc(sizeof(FileBody));
  char *copy = f == NULL ? NULL : mem_strdup(path);
  if (copy == NULL) {
    mem_free(f);
    luaL_error(L, "not enough memory");
  }
  f->path = copy;
  f->fd = -1;
  f->boxed = true;
  f->open_flags = flags_of(mode);
  f->limit = 65536;
  strncpy(f->mode, mode, sizeof f->mode - 1);
  return f;
}

static void start_open(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  FileBody *f = self;
  f->loop = job_loop(t);
  file_submit(f, t, file_work_open);
}

static int finish_open(lua_State *L, Task *t, void *self, int code) {
  UNUSED(code);
  FileBody *f = self;
  File *file = lua_touserdata(L, BOX);
  if (file_finish(L, f)) return file_interrupted(L, t, f);
  resource_open(L, &file->resource, "a file", close_left);
  resource_origin(L, &file->resource, 1);
  lua_pushvalue(L, BOX);
  return 1;
}

// trio.open_file(path [, mode]) -> file. Raises OSError. Checkpoint.
static int l_open_file(lua_State *L) {
  static const Op op = {.name = "trio.open_file",
                        .attempt = job_attempt,
                        .start = start_open,
                        .abort = file_abort,
                        .finish = finish_open};
  const char *path = path_check(L, PATH);
  const char *mode = luaL_optstring(L, MODE, "r");
  luaL_argcheck(L, flags_of(mode) >= 0, MODE, "invalid mode");
  lua_settop(L, MODE);
  await_check(L, op.name);
  File *file = class_new(L, &file_class, sizeof(File), 0);
  file->body = body_new(L, path, mode);
  return await(L, &op, file->body);
}

// ---- closing

static void start_aclose(lua_State *L, Task *t, void *self) {
  FileBody *f = self;
  File *file = lua_touserdata(L, FILE_SELF);
  resource_done(&file->resource);
  f->closing = true;
  f->close_code = 0;
  f->closer = t;
  if (!f->job.running) {
    start_close(f);
  } else {
    atomic_store(&f->job.stop, true);  // on_back goes on
  }
}

// A close goes on whatever happens; of a pipe, only what it takes at once is
// still written.
static AbortResult abort_aclose(Task *t, void *self, int code) {
  FileBody *f = self;
  bool begun = f->closer != t;
  if (begun || code != WAKE_DISCARDED) f->close_code = code;
  if (code == WAKE_DISCARDED) f->closer = NULL;
  if (!begun) return code == WAKE_DISCARDED ? ABORT_DONE : ABORT_PENDING;
  atomic_store(&f->job.stop, true);
  f->job.abort_code = code;
  if (code != WAKE_DISCARDED) return ABORT_PENDING;
  f->job.task = NULL;
  return ABORT_DONE;
}

static int finish_aclose(lua_State *L, Task *t, void *self, int code) {
  UNUSED(code);
  FileBody *f = self;
  if (f->error != 0) {
    path_push_error(L, f->error, f->syscall, f->path);
    return lua_error(L);
  }
  return f->close_code == 0 ? 0 : await_raise(L, t, f->close_code);
}

// file:aclose(). Raises OSError if what was left could not be written; it is
// closed in any case, also if it is cancelled. Checkpoint.
static int l_aclose(lua_State *L) {
  static const Op op = {.name = "file:aclose",
                        .start = start_aclose,
                        .abort = abort_aclose,
                        .finish = finish_aclose};
  FileBody *f = file_check(L);
  lua_settop(L, FILE_SELF);
  await_check(L, op.name);
  if (f->fd < 0 || f->closing) return await_checkpoint(L, op.name);
  return await(L, &op, f);
}

// local f <close>: closes at once. An error of the last write is raised, unless
// there is another error already; then it becomes a warning.
static int l_close(lua_State *L) {
  File *file = class_check(L, FILE_SELF, &file_class);
  FileBody *f = file->body;
  if (f == NULL || f->fd < 0 || f->closing) return 0;
  resource_done(&file->resource);
  if (!close_now(f, false) || f->error == 0) return 0;
  path_push_error(L, f->error, f->syscall, f->path);
  if (lua_isnoneornil(L, 2)) return lua_error(L);
  error_push_text(L, -1);
  lua_warning(L, lua_tostring(L, -1), 0);
  return 0;
}

static int l_gc(lua_State *L) {
  File *file = lua_touserdata(L, FILE_SELF);
  FileBody *f = file->body;
  if (f == NULL) return 0;
  resource_collected(L, &file->resource);
  file->body = NULL;
  f->boxed = false;
  if (!f->job.running) body_free(f);
  return 0;
}

// ---- fields

static int l_tostring(lua_State *L) {
  const FileBody *f = file_check(L);
  lua_pushfstring(L, "<trio.File %p '%s' %s>", lua_topointer(L, FILE_SELF),
                  f->path, f->fd < 0 || f->closing ? "closed" : f->mode);
  return 1;
}

static int get_path(lua_State *L) {
  lua_pushstring(L, file_check(L)->path);
  return 1;
}

static int get_mode(lua_State *L) {
  lua_pushstring(L, file_check(L)->mode);
  return 1;
}

static int get_closed(lua_State *L) {
  const FileBody *f = file_check(L);
  lua_pushboolean(L, f->fd < 0 || f->closing);
  return 1;
}

static const luaL_Reg methods[] = {
    {"read", file_read},   {"lines", file_lines}, {"write", file_write},
    {"flush", file_flush}, {"seek", file_seek},   {"setvbuf", file_setvbuf},
    {"aclose", l_aclose},  {NULL, NULL}};

static const ClassField fields[] = {{"path", get_path, NULL},
                                    {"mode", get_mode, NULL},
                                    {"closed", get_closed, NULL},
                                    {NULL, NULL, NULL}};

static const luaL_Reg meta[] = {{"__close", l_close},
                                {"__gc", l_gc},
                                {"__tostring", l_tostring},
                                {NULL, NULL}};

const Class file_class = {"trio.File", methods, fields, meta};

void file_open(lua_State *L) {
  class_register(L, &file_class);
  lua_pushcfunction(L, l_open_file);
  lua_setfield(L, -2, "open_file");
}
