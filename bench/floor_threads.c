// SPDX-License-Identifier: MIT
// floor_threads.c: round trips to libuv's thread pool with uv_queue_work, one
// after the other, with nothing to do there: the floor of threads.lua.
//
//   floor_threads COUNT      prints the microseconds that one took
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static long left;

static void work(uv_work_t *req) { (void)req; }

static void done(uv_work_t *req, int status) {
  if (status == 0 && --left > 0) uv_queue_work(req->loop, req, work, done);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  long count = left = strtol(argv[1], NULL, 10);
  uv_work_t req;
  uint64_t start = uv_hrtime();
  uv_queue_work(uv_default_loop(), &req, work, done);
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  printf("%.3f\n", (double)(uv_hrtime() - start) / 1e3 / (double)count);
  return left != 0;
}
