// SPDX-License-Identifier: MIT
// floor_spawn.c: starts /bin/true with uv_spawn and waits for its end, one
// process after the other: the floor of processes.lua.
//
//   floor_spawn COUNT      prints the microseconds that one took
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static long left;
static uv_process_t process;

static void start(void);

static void on_closed(uv_handle_t *handle) {
  (void)handle;
  if (--left > 0) start();
}

static void on_exit(uv_process_t *p, int64_t status, int signal) {
  (void)status;
  (void)signal;
  uv_close((uv_handle_t *)p, on_closed);
}

static void start(void) {
  char *args[] = {"/bin/true", NULL};
  uv_process_options_t options = {
      .exit_cb = on_exit, .file = args[0], .args = args};
  if (uv_spawn(uv_default_loop(), &process, &options) != 0) exit(1);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  long count = left = strtol(argv[1], NULL, 10);
  uint64_t begin = uv_hrtime();
  start();
  uv_run(uv_default_loop(), UV_RUN_DEFAULT);
  printf("%.3f\n", (double)(uv_hrtime() - begin) / 1e3 / (double)count);
  return left != 0;
}
