// SPDX-License-Identifier: MIT
// process_hide.c: see process_hide.h. /dev/fd lists the open descriptors on
// Linux, macOS and the BSDs.
#include "process_hide.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../base/mem.h"

static void hide(Hidden *h, int fd) {
  int flags = fcntl(fd, F_GETFD);
  if (flags < 0 || (flags & FD_CLOEXEC)) return;
  if (h->count == h->room) {
    int room = h->room == 0 ? 16 : h->room * 2;
    int *more = mem_realloc(h->fds, sizeof(int) * (size_t)room);
    if (more == NULL) return;
    h->fds = more;
    h->room = room;
  }
  if (fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == 0) h->fds[h->count++] = fd;
}

void hide_descriptors(Hidden *h) {
  *h = (Hidden){NULL, 0, 0};
  DIR *directory = opendir("/dev/fd");
  if (directory == NULL) return;
  const struct dirent *entry;
  while ((entry = readdir(directory)) != NULL) {
    int fd = (int)strtol(entry->d_name, NULL, 10);
    if (fd > STDERR_FILENO) hide(h, fd);
  }
  closedir(directory);
}

void unhide_descriptors(Hidden *h) {
  for (int i = 0; i < h->count; i++) {
    int flags = fcntl(h->fds[i], F_GETFD);
    if (flags >= 0) fcntl(h->fds[i], F_SETFD, flags & ~FD_CLOEXEC);
  }
  mem_free(h->fds);
}
