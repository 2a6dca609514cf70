// SPDX-License-Identifier: MIT
// floor_system.c: what the workloads of system.lua are compared with: the same
// work in plain C on libuv, or on read(2).
//
//   floor_system process COUNT      start /bin/true and wait for its end, one
//                                   after the other: microseconds for each
//   floor_system thread COUNT       there and back through the thread pool,
//                                   with nothing to do there: microseconds
//   floor_system file PATH          read in pieces of 64 KiB: MB per second
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum { PIECE = 65536 };

static long left;
static uv_process_t process;

static double since(uint64_t start) { return (double)(uv_hrtime() - start); }

static void start_process(void);

static void on_closed(uv_handle_t *handle) {
  (void)handle;
  if (--left > 0) start_process();
}

static void on_exit_of(uv_process_t *p, int64_t status, int signal) {
  if (status != 0 || signal != 0) exit(1);
  uv_close((uv_handle_t *)p, on_closed);
}

static void start_process(void) {
  char *args[] = {"/bin/true", NULL};
  uv_process_options_t options = {
      .exit_cb = on_exit_of, .file = args[0], .args = args};
  if (uv_spawn(uv_default_loop(), &process, &options) != 0) exit(1);
}

static void work(uv_work_t *req) { (void)req; }

static void on_done(uv_work_t *req, int status) {
  if (status != 0) exit(1);
  if (--left > 0) uv_queue_work(req->loop, req, work, on_done);
}

static int read_file(const char *path) {
  static char piece[PIECE];
  double bytes = 0;
  uint64_t start = uv_hrtime();
  int fd = open(path, O_RDONLY);
  if (fd < 0) return 1;
  ssize_t count;
  while ((count = read(fd, piece, sizeof piece)) > 0) bytes += (double)count;
  close(fd);
  printf("%.6g\n", bytes * 1e3 / since(start));
  return count < 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  if (strcmp(argv[1], "file") == 0) return read_file(argv[2]);
  long count = left = strtol(argv[2], NULL, 10);
  uint64_t start = uv_hrtime();
  uv_work_t req;
  if (strcmp(argv[1], "process") == 0) {
    start_process();
  } else {
    uv_queue_work(uv_default_loop(), &req, work, on_done);
  }
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  printf("%.6g\n", since(start) / 1e3 / (double)count);
  return left != 0;
}
