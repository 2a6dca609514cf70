// SPDX-License-Identifier: MIT
// floor_files.c: reads a file in pieces with read(2), as plainly as it can be
// done: the floor of files.lua.
//
//   floor_files PATH SIZE      prints the seconds it took
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  size_t size = (size_t)strtoul(argv[2], NULL, 10);
  char *buffer = malloc(size);
  int fd = open(argv[1], O_RDONLY);
  if (buffer == NULL || fd < 0) return 1;
  double start = now();
  ssize_t count;
  while ((count = read(fd, buffer, size)) > 0) continue;
  printf("%.6f\n", now() - start);
  free(buffer);
  close(fd);
  return count < 0;
}
