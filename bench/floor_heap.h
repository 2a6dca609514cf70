// SPDX-License-Identifier: MIT
// floor_heap.h: the deadlines of floor.c, as plainly as they can be kept: a
// min-heap with four children per node, in an array from index 1.
#ifndef TRIO_BENCH_FLOOR_HEAP_H
#define TRIO_BENCH_FLOOR_HEAP_H

#include <stdlib.h>

typedef struct FloorNode {
  double key;
  void *owner;
  int place;  // its index in the array
} FloorNode;

typedef struct FloorHeap {
  FloorNode **nodes;
  int count, room;
} FloorHeap;

static inline void floor_heap_put(FloorHeap *h, int place, FloorNode *node) {
  h->nodes[place] = node;
  node->place = place;
}

// Move `node` from the free place `at` towards the root, as far as it belongs.
static inline void floor_heap_rise(FloorHeap *h, int at, FloorNode *node) {
  while (at > 1) {
    int parent = (at + 2) / 4;
    if (h->nodes[parent]->key <= node->key) break;
    floor_heap_put(h, at, h->nodes[parent]);
    at = parent;
  }
  floor_heap_put(h, at, node);
}

// The same away from the root.
static inline void floor_heap_sink(FloorHeap *h, int at, FloorNode *node) {
  for (;;) {
    int first = 4 * at - 2;
    if (first > h->count) break;
    int last = first + 3 < h->count ? first + 3 : h->count;
    int least = first;
    for (int i = first + 1; i <= last; i++) {
      if (h->nodes[i]->key < h->nodes[least]->key) least = i;
    }
    if (node->key <= h->nodes[least]->key) break;
    floor_heap_put(h, at, h->nodes[least]);
    at = least;
  }
  floor_heap_put(h, at, node);
}

static inline void floor_heap_add(FloorHeap *h, FloorNode *node) {
  if (++h->count >= h->room) {
    h->room = h->room == 0 ? 64 : 2 * h->room;
    h->nodes = realloc(h->nodes, (size_t)h->room * sizeof *h->nodes);
    if (h->nodes == NULL) exit(1);
  }
  floor_heap_rise(h, h->count, node);
}

static inline void floor_heap_remove(FloorHeap *h, FloorNode *node) {
  int at = node->place;
  FloorNode *last = h->nodes[h->count--];
  if (last == node) return;
  if (at > 1 && last->key < h->nodes[(at + 2) / 4]->key) {
    floor_heap_rise(h, at, last);
  } else {
    floor_heap_sink(h, at, last);
  }
}

#endif
