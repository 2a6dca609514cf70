// SPDX-License-Identifier: MIT
// heap.c: the heap behind every deadline.
//
// Used by the scheduler for its timers. A deadline is set and withdrawn in
// places that can't fail: so the array grows in heap_reserve, when a task or a
// cancel status is made. With many tasks what costs is the memory that is
// touched: siblings stand side by side with their keys, and of the nodes only
// the places are written.
#include "heap.h"

#include "debug.h"
#include "mem.h"

enum { CHILDREN = 4, FIRST_ROOM = 64 };

static bool comes_before(HeapEntry a, HeapEntry b) {
  if (a.key != b.key) return a.key < b.key;
  return a.node->sequence < b.node->sequence;
}

static void put(Heap *heap, uint32_t at, HeapEntry entry) {
  heap->tree[at] = entry;
  entry.node->place = at;
}

// Put `entry` in the free place `at`, or as far towards the root as it belongs.
static void rise(Heap *heap, uint32_t at, HeapEntry entry) {
  while (at > 0) {
    uint32_t parent = (at - 1) / CHILDREN;
    if (!comes_before(entry, heap->tree[parent])) break;
    put(heap, at, heap->tree[parent]);
    at = parent;
  }
  put(heap, at, entry);
}

// The first of the children from `at` on, of which there is one at least.
static uint32_t least_child(const Heap *heap, uint32_t at) {
  uint32_t end = at + CHILDREN;
  if (end > heap->in_tree) end = heap->in_tree;
  uint32_t least = at;
  while (++at < end) {
    if (comes_before(heap->tree[at], heap->tree[least])) least = at;
  }
  return least;
}

// The same as rise, away from the root.
static void sink(Heap *heap, uint32_t at, HeapEntry entry) {
  for (;;) {
    uint32_t child = at * CHILDREN + 1;
    if (child >= heap->in_tree) break;
    child = least_child(heap, child);
    if (!comes_before(heap->tree[child], entry)) break;
    put(heap, at, heap->tree[child]);
    at = child;
  }
  put(heap, at, entry);
}

static void put_in_tree(Heap *heap, HeapNode *node) {
  ASSERT(heap->in_tree < heap->room);
  rise(heap, heap->in_tree++, (HeapEntry){node->key, node});
}

static void take_from_tree(Heap *heap, const HeapNode *node) {
  uint32_t at = node->place;
  HeapEntry last = heap->tree[--heap->in_tree];
  if (last.node == node) return;
  if (at > 0 && comes_before(last, heap->tree[(at - 1) / CHILDREN])) {
    rise(heap, at, last);
  } else {
    sink(heap, at, last);
  }
}

static void put_in_run(Heap *heap, HeapNode *node) {
  node->in_run = true;
  node->prev = heap->last;
  if (heap->last != NULL) {
    heap->last->next = node;
  } else {
    heap->first = node;
  }
  heap->last = node;
}

static void take_from_run(Heap *heap, HeapNode *node) {
  if (node->prev != NULL) {
    node->prev->next = node->next;
  } else {
    heap->first = node->next;
  }
  if (node->next != NULL) {
    node->next->prev = node->prev;
  } else {
    heap->last = node->prev;
  }
  node->next = node->prev = NULL;
  node->in_run = false;
}

void heap_init(Heap *heap) { *heap = (Heap){.tree = NULL}; }

void heap_deinit(Heap *heap) {
  mem_free(heap->tree);
  heap->tree = NULL;
}

bool heap_reserve(Heap *heap) {
  if (heap->reserved == heap->room) {
    if (heap->room > UINT32_MAX / 2) return false;
    uint32_t room = heap->room == 0 ? FIRST_ROOM : heap->room * 2;
    HeapEntry *tree = mem_realloc(heap->tree, sizeof(HeapEntry) * room);
    if (tree == NULL) return false;
    heap->tree = tree;
    heap->room = room;
  }
  heap->reserved++;
  return true;
}

// A run of one gives way: a single far deadline would keep all others out.
void heap_insert(Heap *heap, HeapNode *node, double key) {
  ASSERT(!node->queued);
  node->key = key;
  node->sequence = heap->next_sequence++ & (UINT64_MAX >> 2);
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
