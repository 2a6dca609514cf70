// SPDX-License-Identifier: MIT
// file.h: the file object, for its parts: file.c opens and closes it,
// file_read.c and file_write.c have the verbs, file_work.c what runs in the
// worker thread.
//
// The body is a block of C memory: a job works on it while Lua may already
// have lost the box. Body and box are freed by whoever comes last (file.c).
// While a job runs, `in`, `out`, `offset` and the descriptor belong to the
// worker thread; the loop's thread touches only the job and the flags.
//
// Position: `offset` is where the next read or write of the system will be.
// Either `in` holds bytes that end there (read ahead), or `out` bytes that
// will go there; never both.
#ifndef TRIO_IO_FILE_H
#define TRIO_IO_FILE_H

#include <stdint.h>

#include "../bind/class.h"
#include "../bind/resource.h"
#include "bytes.h"
#include "job.h"

typedef enum FileBuffering {
  BUFFER_FULL,
  BUFFER_LINE,
  BUFFER_NO
} FileBuffering;

// What a read needs in `in` before it is tried again.
typedef enum FileNeed { NEED_BYTES, NEED_LINE, NEED_ALL } FileNeed;

typedef struct FileBody {
  Job job;
  uv_loop_t *loop;
  int fd;          // -1 once closed
  int open_flags;  // of open(2)
  char *path;      // what it was opened as
  char mode[8];
  bool boxed;       // the Lua object is there
  bool busy;        // a task is inside of an operation
  bool closing;     // no other operation may begin
  bool is_regular;  // never blocks for long, has positions
  int64_t offset;   // meaningful if is_regular
  Bytes in, out;
  // Of the last reading job:
  FileNeed need;
  size_t need_from;  // the content of `in` from here on ...
  size_t need_size;  // ... lacks that many bytes (NEED_BYTES)
  size_t ahead;      // how much to read at once; grows
  bool at_end;       // there was no more
  // Of the last seek:
  int whence;
  int64_t target;
  // Of every job:
  int error;            // an errno, or 0
  const char *syscall;  // that failed
  // Writing
  FileBuffering buffering;
  size_t limit;  // BUFFER_FULL: write out when so much is there
  // Closing
  Task *closer;    // waits for the close to begin
  int close_code;  // the abort of its wait
} FileBody;

typedef struct File {
  ClassHead head;
  Resource resource;
  FileBody *body;
} File;

extern const Class file_class;

enum { FILE_SELF = 1 };

// The file at index 1. [-0, +0, v]
FileBody *file_check(lua_State *L);

// For Op.attempt: raise unless an operation may begin: ClosedResourceError,
// BusyResourceError, OSError EBADF if the mode lacks `access` (O_RDONLY,
// O_WRONLY; -1 for none). [v]
void file_check_usable(lua_State *L, const FileBody *f, int access,
                       const char *what);

// For Op.start: run `work` on the body.
void file_submit(FileBody *f, Task *t, void (*work)(Job *j));

// For Op.finish: take the body back from the job. Raises what went wrong.
// Returns true if the job came back early because the wait was aborted: then
// the caller raises that with file_interrupted, unless it can finish. [v]
bool file_finish(lua_State *L, FileBody *f);
int file_interrupted(lua_State *L, Task *t, const FileBody *f);

// For Op.abort.
AbortResult file_abort(Task *t, void *self, int code);

// Work for the thread; file_work_flush is also used without one.
void file_work_open(Job *j);
void file_work_fill(Job *j);
void file_work_flush(Job *j);
void file_work_seek(Job *j);
void file_work_close(Job *j);

// The methods of the other files.
int file_read(lua_State *L);
int file_lines(lua_State *L);
int file_write(lua_State *L);
int file_flush(lua_State *L);
int file_seek(lua_State *L);
int file_setvbuf(lua_State *L);

#endif
