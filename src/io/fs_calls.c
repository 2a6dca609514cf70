// SPDX-License-Identifier: MIT
// fs_calls.c: what trio.Path asks of the file system. The functions named run_
// work in a worker thread on nothing but their request; those named push_ turn
// the result into Lua values afterwards.
#define _DEFAULT_SOURCE  // d_type and its values, realpath
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/mem.h"
#include "fs.h"

static void settle(FsRequest *r, int result) {
  if (result < 0) r->error = errno;
}

static void keep_text(FsRequest *r, const char *text, size_t length) {
  if (!bytes_append(&r->out, text, length)) r->error = ENOMEM;
}

static int push_text(lua_State *L, FsRequest *r) {
  lua_pushlstring(L, r->out.data == NULL ? "" : bytes_front(&r->out),
                  bytes_length(&r->out));
  return 1;
}

// ---- about one path

static void run_stat(FsRequest *r) { settle(r, stat(r->path, &r->st)); }
static void run_lstat(FsRequest *r) { settle(r, lstat(r->path, &r->st)); }

static const char *type_name(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "directory";
  if (S_ISLNK(mode)) return "link";
  if (S_ISFIFO(mode)) return "fifo";
  if (S_ISSOCK(mode)) return "socket";
  if (S_ISCHR(mode)) return "char";
  return S_ISBLK(mode) ? "block" : "unknown";
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void set_time(lua_State *L, const char *name, struct timespec time) {
  lua_pushnumber(L, (lua_Number)time.tv_sec + (lua_Number)time.tv_nsec / 1e9);
  lua_setfield(L, -2, name);
}

static int push_stat(lua_State *L, FsRequest *r) {
  const struct stat *st = &r->st;
  lua_createtable(L, 0, 13);
  lua_pushstring(L, type_name(st->st_mode));
  lua_setfield(L, -2, "type");
  set_integer(L, "size", (lua_Integer)st->st_size);
  set_integer(L, "mode", (lua_Integer)(st->st_mode & 07777));
  set_integer(L, "uid", (lua_Integer)st->st_uid);
  set_integer(L, "gid", (lua_Integer)st->st_gid);
  set_integer(L, "nlink", (lua_Integer)st->st_nlink);
  set_integer(L, "ino", (lua_Integer)st->st_ino);
  set_integer(L, "dev", (lua_Integer)st->st_dev);
  set_integer(L, "blocks", (lua_Integer)st->st_blocks);
  set_integer(L, "blksize", (lua_Integer)st->st_blksize);
  set_time(L, "mtime", st->st_mtim);
  set_time(L, "atime", st->st_atim);
  set_time(L, "ctime", st->st_ctim);
  return 1;
}

static void run_chmod(FsRequest *r) {
  settle(r, chmod(r->path, (mode_t)r->numbers[0]));
}

static void run_realpath(FsRequest *r) {
  char text[PATH_MAX];
  if (realpath(r->path, text) == NULL) {
    r->error = errno;
  } else {
    keep_text(r, text, strlen(text));
  }
}

static void run_readlink(FsRequest *r) {
  char text[PATH_MAX];
  ssize_t length = readlink(r->path, text, sizeof text);
  if (length < 0) {
    r->error = errno;
  } else {
    keep_text(r, text, (size_t)length);
  }
}

// ---- making and removing

static void run_mkdir(FsRequest *r) {
  settle(r, mkdir(r->path, (mode_t)r->numbers[0]));
}

static void run_unlink(FsRequest *r) { settle(r, unlink(r->path)); }
static void run_rmdir(FsRequest *r) { settle(r, rmdir(r->path)); }
static void run_rename(FsRequest *r) { settle(r, rename(r->path, r->other)); }
static void run_link(FsRequest *r) { settle(r, link(r->other, r->path)); }
static void run_symlink(FsRequest *r) { settle(r, symlink(r->other, r->path)); }

// Make the file, or set its times to now. Numbers: mode, must it be new?
static void run_touch(FsRequest *r) {
  bool must_be_new = r->numbers[1] != 0;
  if (!must_be_new && utimensat(AT_FDCWD, r->path, NULL, 0) == 0) return;
  int flags = O_CREAT | O_WRONLY | O_CLOEXEC | O_NONBLOCK;
  if (must_be_new) flags |= O_EXCL;
  int fd = open(r->path, flags, (mode_t)r->numbers[0]);
  settle(r, fd);
  if (fd < 0) return;
  settle(r, futimens(fd, NULL));
  close(fd);
}

// ---- directories: `out` holds, for each entry, a letter and the name, with
// a zero byte at its end

static char type_letter(const struct dirent *entry) {
  switch (entry->d_type) {
    case DT_DIR:
      return 'd';
    case DT_LNK:
      return 'l';
    case DT_UNKNOWN:
      return '?';
    default:
      return 'f';
  }
}

static bool add_entry(FsRequest *r, const struct dirent *entry) {
  const char *name = entry->d_name;
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return true;
  char letter = type_letter(entry);
  return bytes_append(&r->out, &letter, 1) &&
         bytes_append(&r->out, name, strlen(name) + 1);
}

static void list_entries(FsRequest *r, DIR *dir) {
  while (!job_should_stop(&r->job)) {
    errno = 0;
    const struct dirent *entry = readdir(dir);
    if (entry == NULL) {
      r->error = errno;
      return;
    }
    if (!add_entry(r, entry)) {
      r->error = ENOMEM;
      return;
    }
  }
  r->job.cut = true;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a + 1, *(const char *const *)b + 1);
}

static size_t count_entries(const Bytes *list) {
  size_t count = 0;
  for (size_t i = list->start; i < list->end; i++) {
    if (list->data[i] == '\0') count++;
  }
  return count;
}

// Put the entries in order of their names.
static void sort_entries(FsRequest *r) {
  size_t count = count_entries(&r->out);
  Bytes sorted = {NULL, 0, 0, 0};
  const char **list = mem_alloc(count * sizeof *list);
  if (list == NULL || !bytes_reserve(&sorted, bytes_length(&r->out))) {
    r->error = ENOMEM;
    mem_free(list);
    return;
  }
  const char *at = bytes_front(&r->out);
  for (size_t i = 0; i < count; i++) {
    list[i] = at;
    at += strlen(at) + 1;
  }
  qsort(list, count, sizeof *list, by_name);
  for (size_t i = 0; i < count; i++) {
    bytes_append(&sorted, list[i], strlen(list[i]) + 1);
  }
  mem_free(list);
  bytes_free(&r->out);
  r->out = sorted;
}

static void run_scandir(FsRequest *r) {
  DIR *dir = opendir(r->path);
  if (dir == NULL) {
    r->error = errno;
    return;
  }
  list_entries(r, dir);
  closedir(dir);
  if (r->error == 0 && !r->job.cut && bytes_length(&r->out) > 0) {
    sort_entries(r);
  }
}

// An array of names in order, and one of their types: "d", "l", "f" or "?".
static int push_entries(lua_State *L, FsRequest *r) {
  lua_newtable(L);
  lua_newtable(L);
  size_t at = r->out.start;
  for (lua_Integer i = 1; at < r->out.end; i++) {
    const char *entry = r->out.data + at;
    lua_pushlstring(L, entry, 1);
    lua_rawseti(L, -2, i);
    lua_pushstring(L, entry + 1);
    lua_rawseti(L, -3, i);
    at += strlen(entry) + 1;
  }
  return 2;
}

// ---- the process

static void run_getcwd(FsRequest *r) {
  char text[PATH_MAX];
  if (getcwd(text, sizeof text) == NULL) {
    r->error = errno;
  } else {
    keep_text(r, text, strlen(text));
  }
}

// The home folder: of the user with that name, or, for "", of this one.
static void run_home(FsRequest *r) {
  char text[16384];
  struct passwd entry, *found = NULL;
  const char *home = r->path[0] == '\0' ? getenv("HOME") : NULL;
  if (home == NULL) {
    int result = r->path[0] == '\0'
                     ? getpwuid_r(getuid(), &entry, text, sizeof text, &found)
                     : getpwnam_r(r->path, &entry, text, sizeof text, &found);
    if (found == NULL) {
      r->error = result != 0 ? result : ENOENT;
      return;
    }
    home = entry.pw_dir;
  }
  keep_text(r, home, strlen(home));
}

const FsCall fs_calls[] = {{"stat", 1, run_stat, push_stat},
                           {"lstat", 1, run_lstat, push_stat},
                           {"chmod", 1, run_chmod, NULL},
                           {"realpath", 1, run_realpath, push_text},
                           {"readlink", 1, run_readlink, push_text},
                           {"mkdir", 1, run_mkdir, NULL},
                           {"unlink", 1, run_unlink, NULL},
                           {"rmdir", 1, run_rmdir, NULL},
                           {"rename", 2, run_rename, NULL},
                           {"link", 2, run_link, NULL},
                           {"symlink", 2, run_symlink, NULL},
                           {"touch", 1, run_touch, NULL},
                           {"scandir", 1, run_scandir, push_entries},
                           {"getcwd", 0, run_getcwd, push_text},
                           {"home", 1, run_home, push_text},
                           {NULL, 0, NULL, NULL}};
