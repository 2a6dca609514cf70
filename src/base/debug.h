// SPDX-License-Identifier: MIT
// debug.h: assertions and the few macros that the project allows itself.
// Owns nothing. ASSERT guards internal contradictions only: a mistake of the
// user must become a Lua error and never reach one of these.
#ifndef TRIO_BASE_DEBUG_H
#define TRIO_BASE_DEBUG_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

__attribute__((cold)) static inline _Noreturn void debug_fail(const char *what,
                                                              const char *file,
                                                              int line) {
  fprintf(stderr, "trio: internal contradiction: %s (%s:%d)\n", what, file,
          line);
  abort();
}

#define ASSERT(cond) ((cond) ? (void)0 : debug_fail(#cond, __FILE__, __LINE__))
#define UNREACHABLE() debug_fail("unreachable", __FILE__, __LINE__)
#define STATIC_ASSERT(cond) _Static_assert(cond, #cond)
#define CONTAINER_OF(ptr, type, member) \
  ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define COLD __attribute__((cold, noinline))
#define UNUSED(x) ((void)(x))
#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

#endif
