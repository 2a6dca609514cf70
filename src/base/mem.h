// SPDX-License-Identifier: MIT
// mem.h: the only malloc and free of the project. Counts live blocks, so that
// tests can prove that nothing leaked, and fails on demand in tests.
#ifndef TRIO_BASE_MEM_H
#define TRIO_BASE_MEM_H

#include <stddef.h>

// Zero-filled memory, or NULL.
void *mem_alloc(size_t size);
// Fill with zeros, by the C library: compilers expand memset to an instruction
// that is slow for a few hundred bytes.
void mem_clear(void *block, size_t size);
void *mem_realloc(void *block, size_t size);
void mem_free(void *block);  // NULL is fine
char *mem_strdup(const char *text);

// Blocks allocated and not yet freed, over all threads, but for those that are
// meant to stay.
size_t mem_live_blocks(void);

// So many more blocks are meant to stay: a cache has them.
void mem_keep(long blocks);

// Let the next `budget` allocations succeed and every later one fail; a
// negative budget lifts the limit. For tests.
void mem_set_budget(long budget);

#endif
