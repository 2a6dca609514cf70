// SPDX-License-Identifier: MIT
// heap.h: intrusive pairing min-heap keyed by (key, sequence). Equal keys come
// out in the order in which they went in. It never allocates, so it can't
// fail; insert is O(1), removal amortised O(log n), and nothing recurses.
#ifndef TRIO_BASE_HEAP_H
#define TRIO_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct HeapNode {
  struct HeapNode *child;    // leftmost child
  struct HeapNode *sibling;  // next to the right
  struct HeapNode *prev;     // left sibling, or the parent of a leftmost child
  double key;
  uint64_t sequence;
  bool queued;  // stands in a heap
} HeapNode;

typedef struct Heap {
  HeapNode *root;
  uint64_t next_sequence;
  size_t count;
} Heap;

void heap_init(Heap *heap);
// `node` must not be queued.
void heap_insert(Heap *heap, HeapNode *node, double key);
// Remove `node` if it is queued, from wherever it stands.
void heap_remove(Heap *heap, HeapNode *node);
// The node with the smallest key, or NULL.
static inline HeapNode *heap_first(const Heap *heap) { return heap->root; }

#endif
