// SPDX-License-Identifier: MIT
// bytes.c: see bytes.h.
#include "bytes.h"

#include <stdint.h>
#include <string.h>

#include "../base/mem.h"

// A buffer that became larger than this is given back once it is empty.
enum { SMALLEST = 4096, KEEP = 1 << 20 };

bool bytes_reserve(Bytes *b, size_t more) {
  if (b->room - b->end >= more) return true;
  size_t length = bytes_length(b);
  if (b->start > 0) {
    memmove(b->data, b->data + b->start, length);
    b->start = 0;
    b->end = length;
    if (b->room - b->end >= more) return true;
  }
  if (more > SIZE_MAX / 4 - length) return false;
  size_t room = b->room < SMALLEST ? SMALLEST : b->room;
  while (room < length + more) room *= 2;
  char *data = mem_realloc(b->data, room);
  if (data == NULL) return false;
  b->data = data;
  b->room = room;
  return true;
}

bool bytes_append(Bytes *b, const char *data, size_t length) {
  if (length == 0) return true;
  if (!bytes_reserve(b, length)) return false;
  memcpy(b->data + b->end, data, length);
  b->end += length;
  return true;
}

void bytes_drop(Bytes *b, size_t length) {
  b->start += length;
  if (b->start < b->end) return;
  b->start = b->end = 0;
  if (b->room > KEEP) bytes_free(b);
}

void bytes_free(Bytes *b) {
  mem_free(b->data);
  *b = (Bytes){NULL, 0, 0, 0};
}
