// SPDX-License-Identifier: MIT
// file_work.c: what a file does in a worker thread: open, read ahead, write
// out, find a position, close. Only file bodies are known here, no Lua and no
// tasks. A regular file is soon done with; everything else (pipes, terminals,
// devices) is opened without blocking and polled, so that a job that should
// stop comes back within POLL_MS.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/debug.h"
#include "file.h"

enum { POLL_MS = 20, FIRST_READ = 16384, LARGEST_READ = 1 << 20 };

static FileBody *body_of(Job *j) { return CONTAINER_OF(j, FileBody, job); }

static void fail(FileBody *f, int number, const char *syscall) {
  f->error = number;
  f->syscall = syscall;
}

// Wait until the descriptor is ready; false: come back early. What is ready at
// once is used in any case, so that a cancelled close still writes that.
static bool wait_ready(FileBody *f, short events) {
  struct pollfd p = {.fd = f->fd, .events = events, .revents = 0};
  if (poll(&p, 1, 0) != 0) return true;
  while (!job_should_stop(&f->job)) {
    if (poll(&p, 1, POLL_MS) != 0) return true;
  }
  f->job.cut = true;
  return false;
}

static bool is_transient(int number) {
  return number == EINTR || number == EAGAIN || number == EWOULDBLOCK;
}

// ---- opening

static bool is_fifo(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

// Nobody reads from the pipe yet: look again soon; false: come back early.
static bool wait_reader(FileBody *f) {
  poll(NULL, 0, POLL_MS);
  f->job.cut = job_should_stop(&f->job);
  return !f->job.cut;
}

void file_work_open(Job *j) {
  FileBody *f = body_of(j);
  int flags = f->open_flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  do {
    f->fd = open(f->path, flags, 0666);
  } while (f->fd < 0 &&
           (errno == EINTR ||
            (errno == ENXIO && is_fifo(f->path) && wait_reader(f))));
  if (f->fd < 0) {
    if (!f->job.cut) fail(f, errno, "open");
    return;
  }
  struct stat st;
  if (fstat(f->fd, &st) == 0) {
    f->is_regular =
        S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode);
  }
  if (!f->is_regular) {
    if (isatty(f->fd)) f->buffering = BUFFER_LINE;
  } else if ((f->open_flags & (O_APPEND | O_ACCMODE)) ==
             (O_APPEND | O_WRONLY)) {
    f->offset = lseek(f->fd, 0, SEEK_END);  // as the C library has it
    if (f->offset >= 0) return;
    fail(f, errno, "lseek");
    close(f->fd);
    f->fd = -1;
  }
}

// ---- writing

static ssize_t write_some(FileBody *f, const char *data, size_t size) {
  if (!f->is_regular || (f->open_flags & O_APPEND)) {
    return write(f->fd, data, size);
  }
  return pwrite(f->fd, data, size, f->offset);
}

// Write `out` to the system. What could not be written is dropped: its error
// is reported once. A job that is stopped keeps the rest for later.
static bool flush(FileBody *f) {
  bool wrote = false;
  while (bytes_length(&f->out) > 0) {
    if (!f->is_regular && !wait_ready(f, POLLOUT)) return false;
    ssize_t count = write_some(f, bytes_front(&f->out), bytes_length(&f->out));
    if (count < 0 && is_transient(errno)) continue;
    if (count < 0) {
      fail(f, errno, "write");
      bytes_drop(&f->out, bytes_length(&f->out));
      break;
    }
    wrote = true;
    f->offset += count;
    bytes_drop(&f->out, (size_t)count);
  }
  if (wrote && f->is_regular && (f->open_flags & O_APPEND)) {
    f->offset = lseek(f->fd, 0, SEEK_CUR);  // it went to the end
  }
  return f->error == 0;
}

void file_work_flush(Job *j) { flush(body_of(j)); }

// ---- reading

static ssize_t read_some(FileBody *f, char *buffer, size_t size) {
  if (!f->is_regular) return read(f->fd, buffer, size);
  return pread(f->fd, buffer, size, f->offset);
}

// Does `in` hold what the reader needs? Each byte is looked at once.
static bool is_enough(FileBody *f, size_t *seen) {
  size_t length = bytes_length(&f->in);
  switch (f->need) {
    case NEED_ALL:
      return false;
    case NEED_BYTES:
      return length >= f->need_from && length - f->need_from >= f->need_size;
    case NEED_LINE:
      break;
  }
  size_t from = *seen;
  *seen = length;
  return from < length &&
         memchr(bytes_front(&f->in) + from, '\n', length - from) != NULL;
}

// How much to read at once: more from one time to the next, as programs that
// read on mostly do; much is lacking: that much.
static size_t next_size(FileBody *f) {
  size_t size = f->ahead < FIRST_READ ? FIRST_READ : f->ahead * 2;
  f->ahead = size < LARGEST_READ ? size : LARGEST_READ;
  return f->ahead;
}

void file_work_fill(Job *j) {
  FileBody *f = body_of(j);
  if (!flush(f)) return;
  size_t seen = f->need_from;
  while (!is_enough(f, &seen)) {
    if (!f->is_regular && !wait_ready(f, POLLIN)) return;
    if (f->is_regular && job_should_stop(j)) {
      j->cut = true;
      return;
    }
    size_t size = next_size(f);
    if (!bytes_reserve(&f->in, size)) return fail(f, ENOMEM, "read");
    ssize_t count = read_some(f, f->in.data + f->in.end, size);
    if (count < 0 && is_transient(errno)) continue;
    if (count < 0) return fail(f, errno, "read");
    if (count == 0) {
      f->at_end = true;
      return;
    }
    f->in.end += (size_t)count;
    f->offset += count;
  }
}

// ---- positions

void file_work_seek(Job *j) {
  FileBody *f = body_of(j);
  if (!flush(f)) return;
  int64_t ahead = (int64_t)bytes_length(&f->in);
  int64_t target = f->target;
  if (f->is_regular && f->whence != SEEK_END) {
    if (f->whence == SEEK_CUR) target += f->offset - ahead;
    if (target < 0) return fail(f, EINVAL, "lseek");
  } else {
    if (f->whence == SEEK_CUR) target -= ahead;
    target = lseek(f->fd, target, f->whence);
    if (target < 0) return fail(f, errno, "lseek");
  }
  bytes_drop(&f->in, bytes_length(&f->in));
  f->offset = f->target = target;
}

// ---- closing

void file_work_close(Job *j) {
  FileBody *f = body_of(j);
  flush(f);
  // Closed in any case; EINTR too means that the descriptor is gone.
  if (close(f->fd) != 0 && f->error == 0 && errno != EINTR) {
    fail(f, errno, "close");
  }
  f->fd = -1;
  bytes_free(&f->in);
  bytes_free(&f->out);
}
