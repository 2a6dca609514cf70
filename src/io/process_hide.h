// SPDX-License-Identifier: MIT
// process_hide.h: keeps a child from inheriting descriptors.
//
// The library opens its own with close-on-exec; Lua's io library and other
// libraries don't. While a child is started they are all marked, and what was
// marked here is unmarked again afterwards. (Trio: close_fds=True.)
#ifndef TRIO_IO_PROCESS_HIDE_H
#define TRIO_IO_PROCESS_HIDE_H

typedef struct Hidden {
  int *fds;
  int count, room;
} Hidden;

// Mark every descriptor above standard error. No failure: what can't be
// marked is inherited.
void hide_descriptors(Hidden *h);
void unhide_descriptors(Hidden *h);

#endif
