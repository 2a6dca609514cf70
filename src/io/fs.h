// SPDX-License-Identifier: MIT
// fs.h: one call of the file system: its request, and the table of the calls
// (fs_calls.c) for what makes them wait (fs.c).
#ifndef TRIO_IO_FS_H
#define TRIO_IO_FS_H

#include <errno.h>
#include <sys/stat.h>

#include "../bind/class.h"
#include "bytes.h"
#include "job.h"

typedef struct FsRequest FsRequest;

typedef struct FsCall {
  const char *name;           // of the system call, in errors too
  int paths;                  // how many paths it takes; integers follow
  void (*run)(FsRequest *r);  // in the worker: no Lua
  int (*push)(lua_State *L, FsRequest *r);  // the results; NULL: none
} FsCall;

struct FsRequest {
  Job job;
  const FsCall *call;
  bool boxed;  // a Lua object owns it
  char *path, *other;
  lua_Integer numbers[2];
  int error;       // an errno, or 0
  struct stat st;  // result of stat and lstat
  Bytes out;       // result of the others
};

// Ends with an entry without a name.
extern const FsCall fs_calls[];

#endif
