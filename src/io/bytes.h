// SPDX-License-Identifier: MIT
// bytes.h: a growing buffer of bytes in C memory, filled at its end and used
// up from its front. Any thread, one at a time. Knows nothing of Lua.
#ifndef TRIO_IO_BYTES_H
#define TRIO_IO_BYTES_H

#include <stdbool.h>
#include <stddef.h>

// A zeroed Bytes is empty. The content is data[start] to data[end - 1].
typedef struct Bytes {
  char *data;
  size_t start, end, room;
} Bytes;

// Make room for `more` bytes at the end; false: out of memory.
bool bytes_reserve(Bytes *b, size_t more);
bool bytes_append(Bytes *b, const char *data, size_t length);
// Remove bytes from the front; the memory is kept for the next ones.
void bytes_drop(Bytes *b, size_t length);
void bytes_free(Bytes *b);

static inline size_t bytes_length(const Bytes *b) { return b->end - b->start; }
static inline const char *bytes_front(const Bytes *b) {
  return b->data + b->start;
}

#endif
