// SPDX-License-Identifier: MIT
// clock.c: the real clock and the mock clock. The runner owns a Clock for the
// length of a run and asks it only through the three functions of its record;
// the testing API sets rate and jumps of the mock clock between such calls.
// The mock clock only does arithmetic: when to jump is the scheduler's
// business (it knows who is idle). Nothing here may allocate or fail.
#include "clock.h"

#include <stdint.h>
#include <time.h>

#include "debug.h"

enum { OFFSET_MIN = 10000, OFFSET_MAX = 200000 };

// What a mock clock at rate 0 answers for a deadline ahead: only a jump gets
// there, and a jump wakes the sleeper anyway. Finite, so that it fits a poll.
static const double PRACTICALLY_FOREVER = 999999999;

static double read_clock(clockid_t id) {
  struct timespec time = {0};
  clock_gettime(id, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

double clock_monotonic(void) { return read_clock(CLOCK_MONOTONIC); }

double clock_coarse(void) {
#ifdef CLOCK_MONOTONIC_COARSE
  return read_clock(CLOCK_MONOTONIC_COARSE);
#else
  return read_clock(CLOCK_MONOTONIC);
#endif
}

static double real_now(Clock *self) {
  return clock_monotonic() + CONTAINER_OF(self, RealClock, base)->offset;
}

static double real_sleep_time(Clock *self, double deadline) {
  double seconds = deadline - real_now(self);
  return seconds > 0 ? seconds : 0;
}

// A number in [0, 1) that differs between processes and between clocks. It
// has to surprise people, not attackers: time and address, well stirred
// (splitmix64), do.
static double random_fraction(const void *address) {
  struct timespec time = {0};
  clock_gettime(CLOCK_REALTIME, &time);
  uint64_t bits = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
  bits ^= (uint64_t)(uintptr_t)address << 20;
  bits += 0x9e3779b97f4a7c15u;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
  bits ^= bits >> 31;
  return (double)(bits >> 11) * 0x1p-53;
}

void real_clock_init(RealClock *clock) {
  clock->base = (Clock){.now = real_now, .sleep_time = real_sleep_time};
  double width = OFFSET_MAX - OFFSET_MIN;
  clock->offset = OFFSET_MIN + random_fraction(clock) * width;
}

static double mock_now(Clock *self) {
  const MockClock *clock = CONTAINER_OF(self, MockClock, base);
  // At rate 0 the answer has to be exact and must not cost a system call.
  if (clock->rate == 0) return clock->virtual_base;
  double passed = clock_monotonic() - clock->real_base;
  return clock->virtual_base + clock->rate * passed;
}

static double mock_sleep_time(Clock *self, double deadline) {
  double seconds = deadline - mock_now(self);
  double rate = CONTAINER_OF(self, MockClock, base)->rate;
  if (seconds <= 0) return 0;
  return rate > 0 ? seconds / rate : PRACTICALLY_FOREVER;
}

void mock_clock_init(MockClock *clock) {
  clock->base = (Clock){.now = mock_now, .sleep_time = mock_sleep_time};
  clock->real_base = clock_monotonic();
  clock->virtual_base = 0;
  clock->rate = 0;
  clock->autojump_threshold = INFINITY;
}

void mock_clock_set_rate(MockClock *clock, double rate) {
  ASSERT(rate >= 0);
  clock->virtual_base = mock_now(&clock->base);
  clock->real_base = clock_monotonic();
  clock->rate = rate;
}

void mock_clock_jump(MockClock *clock, double seconds) {
  ASSERT(seconds >= 0);
  clock->virtual_base += seconds;
}
