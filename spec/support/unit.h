// SPDX-License-Identifier: MIT
// unit.h: forty lines of TAP for tests written in plain C.
//
// A test program is one .c file in spec/base or spec/core:
//
//   static void first_in_first_out(void) {
//     CHECK(list_first(&list) == &a.link);
//     CHECK_NUM(count, 2);
//   }
//   int main(void) {
//     UNIT_RUN(first_in_first_out);
//     return unit_done();
//   }
//
// Every UNIT_RUN prints one "ok" or "not ok" line; a failed check prints where
// it stands and the test goes on, so later checks still report.
#ifndef TRIO_SPEC_UNIT_H
#define TRIO_SPEC_UNIT_H

#include <stdbool.h>
#include <stdio.h>

static int unit_count, unit_failed_tests, unit_failed_checks;

static inline void unit_check(bool good, const char *what, const char *file,
                              int line) {
  if (good) return;
  unit_failed_checks++;
  printf("# %s:%d: failed: %s\n", file, line, what);
}

static inline void unit_check_num(double got, double want, const char *what,
                                  const char *file, int line) {
  if (got == want) return;
  unit_check(false, what, file, line);
  printf("#   got %.17g, expected %.17g\n", got, want);
}

static inline void unit_run(void (*test)(void), const char *name) {
  setvbuf(stdout, NULL, _IOLBF, 0);  // a crash must not lose what was printed
  unit_failed_checks = 0;
  test();
  if (unit_failed_checks > 0) unit_failed_tests++;
  printf("%sok %d - %s\n", unit_failed_checks > 0 ? "not " : "", ++unit_count,
         name);
}

// The plan comes last: its absence shows that the program did not finish.
static inline int unit_done(void) {
  printf("1..%d\n", unit_count);
  return unit_failed_tests > 0 ? 1 : 0;
}

#define CHECK(cond) unit_check((cond), #cond, __FILE__, __LINE__)
#define CHECK_NUM(got, want) \
  unit_check_num((double)(got), (double)(want), #got, __FILE__, __LINE__)
#define UNIT_RUN(test) unit_run(test, #test)

#endif
