// SPDX-License-Identifier: MIT
// heap.h: min-heap keyed by (key, sequence). Equal keys come out in the order
// in which they went in. Room for a node is reserved by whoever makes it, so
// inserting and removing can't fail; both are O(log n), and nothing recurses.
//
// Deadlines mostly come in order, because the same few timeouts are used again
// and again. So there are two parts: the run, a sorted chain to which a key
// that belongs behind its last is appended, in O(1), and a tree for all others.
#ifndef TRIO_BASE_HEAP_H
#define TRIO_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct HeapNode {
  double key;
  uint64_t sequence : 62;
  bool queued : 1;        // stands in a heap
  bool in_run : 1;        // ... in its run
  struct HeapNode *next;  // in the run
  union {
    struct HeapNode *prev;  // in the run
    uint32_t place;         // in the tree: its index there
  };
} HeapNode;

// A node in the tree. The key is here too, so that finding a place touches no
// other memory.
typedef struct HeapEntry {
  double key;
  HeapNode *node;
} HeapEntry;

typedef struct Heap {
  HeapEntry *tree;         // four children per entry, the root at 0
  HeapNode *first, *last;  // of the run
  uint64_t next_sequence;
  size_t count;
  uint32_t in_tree;   // entries in use
  uint32_t reserved;  // nodes that there may be
  uint32_t room;      // entries allocated, at least `reserved`
} Heap;

void heap_init(Heap *heap);
void heap_deinit(Heap *heap);
// There is one node more that may be inserted; false for lack of memory.
bool heap_reserve(Heap *heap);
// There is one less. It isn't queued.
static inline void heap_unreserve(Heap *heap) { heap->reserved--; }
// `node` must not be queued, and room for it be reserved.
void heap_insert(Heap *heap, HeapNode *node, double key);
// Remove `node` if it is queued, from wherever it stands.
void heap_remove(Heap *heap, HeapNode *node);

static inline bool heap_is_before(const HeapNode *a, const HeapNode *b) {
  if (a->key != b->key) return a->key < b->key;
  return a->sequence < b->sequence;
}

// The node with the smallest key, or NULL.
static inline HeapNode *heap_first(const Heap *heap) {
  HeapNode *first = heap->first;
  if (heap->in_tree == 0) return first;
  HeapNode *root = heap->tree[0].node;
  if (first == NULL) return root;
  return heap_is_before(first, root) ? first : root;
}

#endif
