// SPDX-License-Identifier: MIT
// heap.c: the heap behind every deadline. In its pairing heap a node's children
// form a chain through `sibling`; `prev` leads back to the left neighbour, or
// from the leftmost child to its parent, so that a node can leave from
// anywhere:
//
//   root -child-> a -sibling-> b -sibling-> c      a.prev = root, b.prev = a
//
// Used by the scheduler for its timers. It must never allocate or recurse: a
// deadline is set and withdrawn in places that can't fail, and chains may be
// as long as there are tasks. The root's prev and sibling are always NULL.
#include "heap.h"

#include "debug.h"

// Join two heaps whose roots have neither prev nor sibling.
static HeapNode *meld(HeapNode *a, HeapNode *b) {
  if (heap_is_before(b, a)) {
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

static void put_in_run(Heap *heap, HeapNode *node) {
  node->in_run = true;
  node->prev = heap->last;
  if (heap->last != NULL) {
    heap->last->sibling = node;
  } else {
    heap->first = node;
  }
  heap->last = node;
}

static void take_from_run(Heap *heap, HeapNode *node) {
  if (node->prev != NULL) {
    node->prev->sibling = node->sibling;
  } else {
    heap->first = node->sibling;
  }
  if (node->sibling != NULL) {
    node->sibling->prev = node->prev;
  } else {
    heap->last = node->prev;
  }
  node->sibling = node->prev = NULL;
  node->in_run = false;
}

static void put_in_tree(Heap *heap, HeapNode *node) {
  heap->root = heap->root == NULL ? node : meld(heap->root, node);
}

static void take_from_tree(Heap *heap, HeapNode *node) {
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
}

void heap_init(Heap *heap) { *heap = (Heap){.root = NULL}; }

// A run of one gives way: a single far deadline would keep all others out.
void heap_insert(Heap *heap, HeapNode *node, double key) {
  ASSERT(!node->queued);
  node->child = node->sibling = node->prev = NULL;
  node->key = key;
  node->sequence = heap->next_sequence++;
  node->queued = true;
  heap->count++;
  HeapNode *last = heap->last;
  if (last != NULL && key < last->key) {
    if (last != heap->first) {
      put_in_tree(heap, node);
      return;
    }
    take_from_run(heap, last);
    put_in_tree(heap, last);
  }
  put_in_run(heap, node);
}

void heap_remove(Heap *heap, HeapNode *node) {
  if (!node->queued) return;
  if (node->in_run) {
    take_from_run(heap, node);
  } else {
    take_from_tree(heap, node);
  }
  node->queued = false;
  heap->count--;
}
