// SPDX-License-Identifier: MIT
// The heap: order, stability, removal from anywhere, and a long random
// run against a plain sorted array. After each random step the smallest key
// must agree; now and then the whole structure is walked, because a wrong link
// may stay unnoticed for long.
#include "../../src/base/heap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/base/mem.h"
#include "../support/unit.h"

enum { NODES = 2000, STEPS = 100000, MANY = 200000 };

static uint64_t random_state = 88172645463325252u;

static unsigned random_below(unsigned limit) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (unsigned)((random_state >> 33) % limit);
}

static bool comes_before(const HeapNode *a, const HeapNode *b) {
  return a->key < b->key || (a->key == b->key && a->sequence < b->sequence);
}

// Nodes in the tree, or a huge number when it is out of order.
static size_t walk_tree(const Heap *heap) {
  for (uint32_t i = 0; i < heap->in_tree; i++) {
    const HeapNode *node = heap->tree[i].node;
    if (node->place != i || !node->queued || node->in_run ||
        node->key != heap->tree[i].key) {
      return SIZE_MAX / 2;
    }
    if (i > 0 && comes_before(node, heap->tree[(i - 1) / 4].node)) {
      return SIZE_MAX / 2;
    }
  }
  return heap->in_tree;
}

// The same for the run, which must be sorted.
static size_t walk_run(const Heap *heap) {
  size_t count = 0;
  const HeapNode *left = NULL;
  for (const HeapNode *node = heap->first; node != NULL; node = node->next) {
    if (node->prev != left || !node->queued || !node->in_run ||
        (left != NULL && comes_before(node, left))) {
      return SIZE_MAX / 2;
    }
    count++;
    left = node;
  }
  return heap->last == left ? count : SIZE_MAX / 2;
}

static bool is_sound(const Heap *heap) {
  return walk_tree(heap) + walk_run(heap) == heap->count;
}

static void begin(Heap *heap, int nodes) {
  heap_init(heap);
  for (int i = 0; i < nodes; i++) {
    if (!heap_reserve(heap)) abort();
  }
}

static void starts_empty(void) {
  Heap heap;
  begin(&heap, 0);
  CHECK(heap_first(&heap) == NULL);
  CHECK_NUM(heap.count, 0);
  heap_deinit(&heap);
}

static void removing_an_unqueued_node_changes_nothing(void) {
  Heap heap;
  HeapNode in = {0};
  HeapNode out = {0};
  begin(&heap, 1);
  heap_insert(&heap, &in, 1);
  heap_remove(&heap, &out);
  CHECK(heap_first(&heap) == &in);
  CHECK_NUM(heap.count, 1);
  heap_deinit(&heap);
}

static void comes_out_in_order_of_keys(void) {
  static const double keys[] = {5, -1, 3, INFINITY, 0, 4, -INFINITY, 1};
  Heap heap;
  HeapNode nodes[8] = {0};
  begin(&heap, 8);
  for (int i = 0; i < 8; i++) heap_insert(&heap, &nodes[i], keys[i]);
  CHECK_NUM(heap.count, 8);
  double last = -INFINITY;
  for (int i = 0; i < 8; i++) {
    HeapNode *node = heap_first(&heap);
    CHECK(node->key >= last);
    last = node->key;
    heap_remove(&heap, node);
    CHECK(!node->queued);
    CHECK(is_sound(&heap));
  }
  CHECK(last == INFINITY);
  CHECK(heap_first(&heap) == NULL);
  heap_deinit(&heap);
}

static void equal_keys_come_out_first_in_first_out(void) {
  Heap heap;
  HeapNode nodes[100] = {0};
  begin(&heap, 100);
  for (int i = 0; i < 100; i++) heap_insert(&heap, &nodes[i], 7);
  for (int i = 0; i < 100; i++) {
    CHECK(heap_first(&heap) == &nodes[i]);
    heap_remove(&heap, &nodes[i]);
  }
  heap_deinit(&heap);
}

static void a_node_put_in_again_goes_behind_its_equals(void) {
  Heap heap;
  HeapNode a = {0};
  HeapNode b = {0};
  begin(&heap, 2);
  heap_insert(&heap, &a, 1);
  heap_insert(&heap, &b, 1);
  heap_remove(&heap, &a);
  heap_insert(&heap, &a, 1);
  CHECK(heap_first(&heap) == &b);
  heap_deinit(&heap);
}

// The model: the queued nodes in the order in which they must come out.
static HeapNode *sorted[NODES];
static size_t sorted_count;

static size_t place_of(const HeapNode *node) {
  size_t low = 0;
  size_t high = sorted_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (comes_before(sorted[middle], node)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static void model_insert(HeapNode *node) {
  size_t at = place_of(node);
  size_t tail = (sorted_count - at) * sizeof(HeapNode *);
  memmove(&sorted[at + 1], &sorted[at], tail);
  sorted[at] = node;
  sorted_count++;
}

static bool model_remove(const HeapNode *node) {
  size_t at = place_of(node);
  if (at >= sorted_count || sorted[at] != node) return false;
  sorted_count--;
  size_t tail = (sorted_count - at) * sizeof(HeapNode *);
  memmove(&sorted[at], &sorted[at + 1], tail);
  return true;
}

// One random change: mostly growing for a while, then mostly shrinking, so
// that both empty and full heaps are met. Few distinct keys make many ties.
static void change(Heap *heap, HeapNode *nodes, int step) {
  bool growing = (step / 5000) % 2 == 0;
  HeapNode *node = &nodes[random_below(NODES)];
  if (random_below(4) == 0 && heap->count > 0) node = heap_first(heap);
  if (!node->queued && random_below(10) < (growing ? 9u : 2u)) {
    heap_insert(heap, node, random_below(300));
    model_insert(node);
  } else if (node->queued && random_below(10) < (growing ? 2u : 9u)) {
    CHECK(model_remove(node));
    heap_remove(heap, node);
    CHECK(!node->queued && node->next == NULL);
  }
}

static void agrees_with_a_sorted_array(void) {
  static HeapNode nodes[NODES];
  Heap heap;
  size_t largest = 0;
  begin(&heap, NODES);
  for (int step = 0; step < STEPS; step++) {
    change(&heap, nodes, step);
    if (heap.count > largest) largest = heap.count;
    CHECK(heap.count == sorted_count);
    CHECK(heap_first(&heap) == (sorted_count > 0 ? sorted[0] : NULL));
    if (step % 500 == 0) CHECK(is_sound(&heap));
    if (unit_failed_checks > 0) return;  // one report is enough
  }
  CHECK(largest > NODES / 2);
  for (size_t i = 0; i < sorted_count; i++) {
    CHECK(heap_first(&heap) == sorted[i]);
    heap_remove(&heap, sorted[i]);
  }
  CHECK_NUM(heap.count, 0);
  heap_deinit(&heap);
}

static void rising_keys_stand_in_the_run(void) {
  Heap heap;
  HeapNode far = {0};
  HeapNode nodes[10] = {0};
  begin(&heap, 11);
  heap_insert(&heap, &far, 1000);
  for (int i = 0; i < 10; i++) heap_insert(&heap, &nodes[i], i / 2);
  CHECK(heap.in_tree == 1 && heap.tree[0].node == &far);
  CHECK(heap.first == &nodes[0] && heap.last == &nodes[9]);
  heap_remove(&heap, &nodes[4]);
  heap_insert(&heap, &nodes[4], 2);
  CHECK(!nodes[4].in_run);
  CHECK(is_sound(&heap));
  static const int order[] = {0, 1, 2, 3, 5, 4, 6, 7, 8, 9};
  for (int i = 0; i < 10; i++) {
    CHECK(heap_first(&heap) == &nodes[order[i]]);
    heap_remove(&heap, heap_first(&heap));
    CHECK(is_sound(&heap));
  }
  CHECK(heap_first(&heap) == &far);
  heap_deinit(&heap);
}

// What was reserved fits, also after some of it was given back; and where there
// is no memory nothing is promised.
static void room_is_reserved(void) {
  Heap heap;
  HeapNode far[2] = {0};
  HeapNode nodes[200] = {0};
  begin(&heap, 2);
  heap_insert(&heap, &far[0], 1000);
  heap_insert(&heap, &far[1], 1000);
  for (int i = 0; i < 100; i++) CHECK(heap_reserve(&heap));
  for (int i = 0; i < 50; i++) heap_unreserve(&heap);
  for (int i = 50; i < 200; i++) CHECK(heap_reserve(&heap));
  for (int i = 0; i < 200; i++) heap_insert(&heap, &nodes[i], 200 - i);
  CHECK_NUM(heap.in_tree, 200);
  CHECK_NUM(heap.reserved, 202);
  CHECK(heap.reserved <= heap.room);
  mem_set_budget(0);
  while (heap.reserved < heap.room) CHECK(heap_reserve(&heap));
  CHECK(!heap_reserve(&heap));
  CHECK(heap.reserved == heap.room);
  mem_set_budget(-1);
  CHECK(heap_reserve(&heap));
  CHECK(is_sound(&heap));
  heap_deinit(&heap);
  CHECK_NUM(mem_live_blocks(), 0);
}

// Two far keys in the run keep the others out of it.
static void many_keys_in_order_or_against_it(void) {
  HeapNode *nodes = calloc(MANY, sizeof(HeapNode));
  if (nodes == NULL) abort();
  for (int sign = -1; sign <= 1; sign += 2) {
    Heap heap;
    HeapNode far[2] = {0};
    double last = -INFINITY;
    bool in_order = true;
    begin(&heap, MANY + 2);
    heap_insert(&heap, &far[0], INFINITY);
    heap_insert(&heap, &far[1], INFINITY);
    for (int i = 0; i < MANY; i++) heap_insert(&heap, &nodes[i], sign * i);
    for (int i = 0; i < MANY; i++) {
      in_order = in_order && heap_first(&heap)->key > last;
      last = heap_first(&heap)->key;
      heap_remove(&heap, heap_first(&heap));
    }
    CHECK(in_order);
    CHECK_NUM(heap.count, 2);
    heap_deinit(&heap);
  }
  free(nodes);
}

int main(void) {
  UNIT_RUN(starts_empty);
  UNIT_RUN(removing_an_unqueued_node_changes_nothing);
  UNIT_RUN(comes_out_in_order_of_keys);
  UNIT_RUN(equal_keys_come_out_first_in_first_out);
  UNIT_RUN(a_node_put_in_again_goes_behind_its_equals);
  UNIT_RUN(agrees_with_a_sorted_array);
  UNIT_RUN(rising_keys_stand_in_the_run);
  UNIT_RUN(room_is_reserved);
  UNIT_RUN(many_keys_in_order_or_against_it);
  return unit_done();
}
