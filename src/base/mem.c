// SPDX-License-Identifier: MIT
// mem.c: the only malloc and free of the project, counted. Called by every
// layer, also from worker threads, so both counters are atomic. A request for
// no bytes gets one, so that NULL always means failure. It must never abort:
// the caller turns NULL into Lua's memory error.
#include "mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t live_blocks;
static atomic_long kept;            // blocks that are meant to stay
static atomic_long allowance = -1;  // allocations still allowed; negative: all

// Take one allocation from the budget.
static bool is_allowed(void) {
  long left = atomic_load_explicit(&allowance, memory_order_relaxed);
  if (left < 0) return true;
  // Several threads may compete for the last one; it must not go below zero,
  // which would lift the limit.
  while (left > 0) {
    if (atomic_compare_exchange_weak(&allowance, &left, left - 1)) return true;
    if (left < 0) return true;
  }
  return false;
}

static void count_up(void) {
  atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
}

void *mem_alloc(size_t size) {
  if (!is_allowed()) return NULL;
  void *block = calloc(1, size > 0 ? size : 1);
  if (block != NULL) count_up();
  return block;
}

void mem_clear(void *block, size_t size) { memset(block, 0, size); }

void *mem_realloc(void *block, size_t size) {
  if (!is_allowed()) return NULL;
  void *moved = realloc(block, size > 0 ? size : 1);
  if (moved != NULL && block == NULL) count_up();
  return moved;
}

void mem_free(void *block) {
  if (block == NULL) return;
  atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
  free(block);
}

char *mem_strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = mem_alloc(size);
  if (copy != NULL) memcpy(copy, text, size);
  return copy;
}

size_t mem_live_blocks(void) {
  return atomic_load_explicit(&live_blocks, memory_order_relaxed) -
         (size_t)atomic_load_explicit(&kept, memory_order_relaxed);
}

void mem_keep(long blocks) {
  atomic_fetch_add_explicit(&kept, blocks, memory_order_relaxed);
}

void mem_set_budget(long budget) { atomic_store(&allowance, budget); }
