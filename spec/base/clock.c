// SPDX-License-Identifier: MIT
// The clocks. Nothing here depends on how fast the machine is: real time is
// only ever bracketed between two readings.
#include "../../src/base/clock.h"

#include "../support/unit.h"

static bool is_near(double got, double want) { return fabs(got - want) < 1e-6; }

static void monotonic_never_goes_back(void) {
  double last = clock_monotonic();
  bool forward = true;
  for (int i = 0; i < 10000; i++) {
    double now = clock_monotonic();
    forward = forward && now >= last;
    last = now;
  }
  CHECK(forward);
}

static void coarse_shares_the_origin_and_lags_little(void) {
  double before = clock_monotonic();
  double coarse = clock_coarse();
  double after = clock_monotonic();
  CHECK(coarse <= after);
  CHECK(coarse > before - 0.1);  // a tick of the slowest kernel is 10 ms
}

static void real_clock_shows_monotonic_plus_offset(void) {
  RealClock clock;
  real_clock_init(&clock);
  double before = clock_monotonic();
  double now = clock.base.now(&clock.base);
  double after = clock_monotonic();
  CHECK(now >= before + clock.offset && now <= after + clock.offset);
  CHECK(clock.base.start == NULL);
}

static void real_clock_offset_is_large_and_differs(void) {
  RealClock clocks[50];
  int equal = 0;
  for (int i = 0; i < 50; i++) {
    real_clock_init(&clocks[i]);
    CHECK(clocks[i].offset >= 10000 && clocks[i].offset < 200000);
    for (int j = 0; j < i; j++) equal += clocks[i].offset == clocks[j].offset;
  }
  CHECK_NUM(equal, 0);
}

static void real_clock_sleeps_the_time_left(void) {
  RealClock clock;
  real_clock_init(&clock);
  double deadline = clock.base.now(&clock.base) + 100;
  double before = clock.base.now(&clock.base);
  double seconds = clock.base.sleep_time(&clock.base, deadline);
  double after = clock.base.now(&clock.base);
  CHECK(seconds <= deadline - before && seconds >= deadline - after);
  CHECK(clock.base.sleep_time(&clock.base, deadline - 200) == 0);
  CHECK(clock.base.sleep_time(&clock.base, -INFINITY) == 0);
  CHECK(clock.base.sleep_time(&clock.base, INFINITY) == INFINITY);
}

static void mock_clock_starts_at_zero_and_stands(void) {
  MockClock clock;
  mock_clock_init(&clock);
  CHECK_NUM(clock.base.now(&clock.base), 0);
  CHECK_NUM(clock.rate, 0);
  CHECK(clock.autojump_threshold == INFINITY);
  CHECK(clock.base.start == NULL);
  double start = clock_monotonic();
  while (clock_monotonic() < start + 0.001) continue;
  CHECK_NUM(clock.base.now(&clock.base), 0);
}

static void mock_clock_jumps(void) {
  MockClock clock;
  mock_clock_init(&clock);
  mock_clock_jump(&clock, 1.2);
  CHECK_NUM(clock.base.now(&clock.base), 1.2);
  mock_clock_jump(&clock, 0);
  CHECK_NUM(clock.base.now(&clock.base), 1.2);
  mock_clock_jump(&clock, 5);
  CHECK_NUM(clock.base.now(&clock.base), 1.2 + 5);
}

static void mock_clock_at_rest_sleeps_practically_forever(void) {
  MockClock clock;
  mock_clock_init(&clock);
  mock_clock_jump(&clock, 10);
  CHECK_NUM(clock.base.sleep_time(&clock.base, 10), 0);
  CHECK_NUM(clock.base.sleep_time(&clock.base, 9), 0);
  CHECK_NUM(clock.base.sleep_time(&clock.base, 10.5), 999999999);
  CHECK_NUM(clock.base.sleep_time(&clock.base, INFINITY), 999999999);
}

// The real origin is moved by hand: no waiting, and any size of pause.
static void mock_clock_advances_at_its_rate(void) {
  MockClock clock;
  mock_clock_init(&clock);
  mock_clock_set_rate(&clock, 10);
  clock.real_base = clock_monotonic() - 7;
  double before = clock_monotonic();
  double now = clock.base.now(&clock.base);
  double after = clock_monotonic();
  CHECK(now >= 10 * (before - clock.real_base) - 1e-6);
  CHECK(now <= 10 * (after - clock.real_base) + 1e-6);
  CHECK(now >= 70);
  double seconds = clock.base.sleep_time(&clock.base, now + 1000);
  CHECK(seconds <= 100 + 1e-6);
  CHECK(seconds >= 100 - (clock_monotonic() - before) - 1e-6);
  CHECK(clock.base.sleep_time(&clock.base, INFINITY) == INFINITY);
  CHECK_NUM(clock.base.sleep_time(&clock.base, now), 0);
}

static void mock_clock_keeps_its_time_when_the_rate_changes(void) {
  MockClock clock;
  mock_clock_init(&clock);
  mock_clock_set_rate(&clock, 2);
  clock.real_base -= 100;
  mock_clock_set_rate(&clock, 0);
  double frozen = clock.base.now(&clock.base);
  CHECK(frozen >= 200);
  CHECK_NUM(clock.base.now(&clock.base), frozen);
  mock_clock_jump(&clock, 3);
  CHECK(is_near(clock.base.now(&clock.base), frozen + 3));
  // While it stood, real time did not count.
  clock.real_base -= 1000;
  double before = clock_monotonic();
  mock_clock_set_rate(&clock, 5);
  double now = clock.base.now(&clock.base);
  CHECK(now >= frozen + 3);
  CHECK(now <= frozen + 3 + 5 * (clock_monotonic() - before) + 1e-6);
}

int main(void) {
  UNIT_RUN(monotonic_never_goes_back);
  UNIT_RUN(coarse_shares_the_origin_and_lags_little);
  UNIT_RUN(real_clock_shows_monotonic_plus_offset);
  UNIT_RUN(real_clock_offset_is_large_and_differs);
  UNIT_RUN(real_clock_sleeps_the_time_left);
  UNIT_RUN(mock_clock_starts_at_zero_and_stands);
  UNIT_RUN(mock_clock_jumps);
  UNIT_RUN(mock_clock_at_rest_sleeps_practically_forever);
  UNIT_RUN(mock_clock_advances_at_its_rate);
  UNIT_RUN(mock_clock_keeps_its_time_when_the_rate_changes);
  return unit_done();
}
