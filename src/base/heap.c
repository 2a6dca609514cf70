// SPDX-License-Identifier: MIT
// heap.c: the pairing heap behind every deadline. A node's children form a
// chain through `sibling`; `prev` leads back to the left neighbour, or from
// the leftmost child to its parent, so that a node can leave from anywhere:
//
//   root -child-> a -sibling-> b -sibling-> c      a.prev = root, b.prev = a
//
// Used by the scheduler for its timers. It must never allocate or recurse: a
// deadline is set and withdrawn in places that can't fail, and chains may be
// as long as there are tasks. The root's prev and sibling are always NULL.
#include "heap.h"

#include "debug.h"

static bool is_before(const HeapNode *a, const HeapNode *b) {
  if (a->key != b->key) return a->key < b->key;
  return a->sequence < b->sequence;
}

// Join two heaps whose roots have neither prev nor sibling.
static HeapNode *meld(HeapNode *a, HeapNode *b) {
  if (is_before(b, a)) {
    HeapNode *other = a;
    a = b;
    b = other;
  }
  b->prev = a;
  b->sibling = a->child;
  if (a->child != NULL) a->child->prev = b;
  a->child = b;
  return a;
}

static HeapNode *take_out(HeapNode **chain) {
  HeapNode *node = *chain;
  *chain = node->sibling;
  node->prev = node->sibling = NULL;
  return node;
}

// Join a chain of siblings into one heap: pairs from left to right, then the
// pairs from right to left. The order is what makes removal logarithmic.
static HeapNode *meld_chain(HeapNode *chain) {
  HeapNode *pairs = NULL;  // stacked through `sibling`, the last on top
  while (chain != NULL) {
    HeapNode *pair = take_out(&chain);
    if (chain != NULL) pair = meld(pair, take_out(&chain));
    pair->sibling = pairs;
    pairs = pair;
  }
  HeapNode *root = take_out(&pairs);
  while (pairs != NULL) root = meld(root, take_out(&pairs));
  return root;
}

void heap_init(Heap *heap) {
  heap->root = NULL;
  heap->next_sequence = 0;
  heap->count = 0;
}

void heap_insert(Heap *heap, HeapNode *node, double key) {
  ASSERT(!node->queued);
  node->child = node->sibling = node->prev = NULL;
  node->key = key;
  node->sequence = heap->next_sequence++;
  node->queued = true;
  heap->count++;
  heap->root = heap->root == NULL ? node : meld(heap->root, node);
}

void heap_remove(Heap *heap, HeapNode *node) {
  if (!node->queued) return;
  HeapNode *orphans = node->child == NULL ? NULL : meld_chain(node->child);
  if (node == heap->root) {
    heap->root = orphans;
  } else {
    if (node->prev->child == node) {
      node->prev->child = node->sibling;
    } else {
      node->prev->sibling = node->sibling;
    }
    if (node->sibling != NULL) node->sibling->prev = node->prev;
    if (orphans != NULL) heap->root = meld(heap->root, orphans);
  }
  node->child = node->sibling = node->prev = NULL;
  node->queued = false;
  heap->count--;
}
