// SPDX-License-Identifier: MIT
// The counted allocator: what it counts, and failure on demand, also when
// several threads compete for the last allocations.
#include "../../src/base/mem.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "../support/unit.h"

enum { THREADS = 4, PER_THREAD = 5000 };

static void counts_live_blocks(void) {
  size_t before = mem_live_blocks();
  void *a = mem_alloc(10);
  void *b = mem_alloc(20);
  CHECK_NUM(mem_live_blocks() - before, 2);
  mem_free(a);
  CHECK_NUM(mem_live_blocks() - before, 1);
  mem_free(b);
  CHECK_NUM(mem_live_blocks() - before, 0);
  mem_free(NULL);
  CHECK_NUM(mem_live_blocks() - before, 0);
}

static void fresh_memory_is_zero(void) {
  // Dirty a block of the same size first, which is then likely to come back.
  unsigned char *block = mem_alloc(1000);
  memset(block, 0xff, 1000);
  mem_free(block);
  block = mem_alloc(1000);
  int sum = 0;
  for (int i = 0; i < 1000; i++) sum += block[i];
  CHECK_NUM(sum, 0);
  mem_free(block);
}

static void no_bytes_is_no_failure(void) {
  size_t before = mem_live_blocks();
  void *a = mem_alloc(0);
  CHECK(a != NULL);
  a = mem_realloc(a, 0);
  CHECK(a != NULL);
  CHECK_NUM(mem_live_blocks() - before, 1);
  mem_free(a);
}

static void realloc_keeps_the_content_and_the_count(void) {
  size_t before = mem_live_blocks();
  char *text = mem_realloc(NULL, 6);
  CHECK_NUM(mem_live_blocks() - before, 1);
  memcpy(text, "hello", 6);
  text = mem_realloc(text, 100000);
  CHECK(strcmp(text, "hello") == 0);
  CHECK_NUM(mem_live_blocks() - before, 1);
  mem_free(text);
  CHECK_NUM(mem_live_blocks() - before, 0);
}

static void strdup_copies(void) {
  char source[] = "text";
  char *copy = mem_strdup(source);
  source[0] = 'n';
  CHECK(strcmp(copy, "text") == 0);
  mem_free(copy);
  copy = mem_strdup("");
  CHECK(copy != NULL && copy[0] == '\0');
  mem_free(copy);
}

// The sanitizers end the program over such a request instead of refusing it.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void an_impossible_size_fails_uncounted(void) {
  size_t before = mem_live_blocks();
  volatile size_t huge = SIZE_MAX / 4;  // hidden from the compiler
  CHECK(mem_alloc(huge) == NULL);
  CHECK(mem_realloc(NULL, huge) == NULL);
  CHECK_NUM(mem_live_blocks() - before, 0);
}
#else
static void an_impossible_size_fails_uncounted(void) {}
#endif

static void fails_when_the_budget_is_used_up(void) {
  size_t before = mem_live_blocks();
  mem_set_budget(2);
  char *a = mem_strdup("a");
  void *b = mem_alloc(1);
  CHECK(a != NULL && b != NULL);
  CHECK(mem_alloc(1) == NULL);
  CHECK(mem_realloc(b, 1000) == NULL);  // b lives on
  CHECK(mem_strdup("c") == NULL);
  mem_free(b);  // giving back does not refill the budget
  CHECK(mem_alloc(1) == NULL);
  CHECK_NUM(mem_live_blocks() - before, 1);
  CHECK(strcmp(a, "a") == 0);
  mem_free(a);
  mem_set_budget(-1);
  void *c = mem_alloc(1);
  CHECK(c != NULL);
  mem_free(c);
}

static void a_budget_of_zero_fails_at_once(void) {
  mem_set_budget(0);
  CHECK(mem_alloc(1) == NULL);
  CHECK(mem_alloc(1) == NULL);
  mem_set_budget(-1);
}

static void *allocate_many(void *result) {
  int *got = result;
  for (int i = 0; i < PER_THREAD; i++) {
    void *block = mem_alloc(16);
    if (block != NULL) (*got)++;
    mem_free(block);
  }
  return NULL;
}

static int allocate_in_threads(void) {
  pthread_t threads[THREADS];
  int got[THREADS] = {0};
  int sum = 0;
  for (int i = 0; i < THREADS; i++) {
    pthread_create(&threads[i], NULL, allocate_many, &got[i]);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    sum += got[i];
  }
  return sum;
}

static void counts_right_over_threads(void) {
  size_t before = mem_live_blocks();
  CHECK_NUM(allocate_in_threads(), THREADS * PER_THREAD);
  CHECK_NUM(mem_live_blocks() - before, 0);
}

static void threads_share_one_budget(void) {
  mem_set_budget(7777);
  CHECK_NUM(allocate_in_threads(), 7777);
  mem_set_budget(-1);
}

int main(void) {
  UNIT_RUN(counts_live_blocks);
  UNIT_RUN(fresh_memory_is_zero);
  UNIT_RUN(no_bytes_is_no_failure);
  UNIT_RUN(realloc_keeps_the_content_and_the_count);
  UNIT_RUN(strdup_copies);
  UNIT_RUN(an_impossible_size_fails_uncounted);
  UNIT_RUN(fails_when_the_budget_is_used_up);
  UNIT_RUN(a_budget_of_zero_fails_at_once);
  UNIT_RUN(counts_right_over_threads);
  UNIT_RUN(threads_share_one_budget);
  return unit_done();
}
