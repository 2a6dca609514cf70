// SPDX-License-Identifier: MIT
// heap.h: intrusive min-heap keyed by (key, sequence). Equal keys come out in
// the order in which they went in. It never allocates, so it can't fail; insert
// is O(1), removal amortised O(log n), and nothing recurses.
//
// Deadlines mostly come in order, because the same few timeouts are used again
// and again. So there are two parts: the run, a sorted chain to which a key
// that belongs behind its last is appended, and a pairing heap for all others.
#ifndef TRIO_BASE_HEAP_H
#define TRIO_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct HeapNode {
  struct HeapNode *child;    // leftmost child; NULL in the run
  struct HeapNode *sibling;  // next to the right; in the run, the next one
  struct HeapNode *prev;     // left sibling, or the parent of a leftmost child
  double key;
  uint64_t sequence;
  bool queued;  // stands in a heap
  bool in_run;  // ... in its run
} HeapNode;

typedef struct Heap {
  HeapNode *root;          // of the pairing heap
  HeapNode *first, *last;  // of the run
  uint64_t next_sequence;
  size_t count;
} Heap;

void heap_init(Heap *heap);
// `node` must not be queued.
void heap_insert(Heap *heap, HeapNode *node, double key);
// Remove `node` if it is queued, from wherever it stands.
void heap_remove(Heap *heap, HeapNode *node);

static inline bool heap_is_before(const HeapNode *a, const HeapNode *b) {
  if (a->key != b->key) return a->key < b->key;
  return a->sequence < b->sequence;
}

// The node with the smallest key, or NULL.
static inline HeapNode *heap_first(const Heap *heap) {
  HeapNode *root = heap->root, *first = heap->first;
  if (root == NULL) return first;
  if (first == NULL) return root;
  return heap_is_before(first, root) ? first : root;
}

#endif
