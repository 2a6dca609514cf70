// SPDX-License-Identifier: MIT
// clock.h: where the scheduler takes its time from. A Clock is a record of
// three functions; the real clock and the mock clock live here, a clock
// written in Lua is wrapped by the runner.
#ifndef TRIO_BASE_CLOCK_H
#define TRIO_BASE_CLOCK_H

#include <math.h>
#include <stdbool.h>

typedef struct Clock {
  // Seconds on this clock, from an origin that means nothing.
  double (*now)(struct Clock *self);
  // Real seconds to sleep until the clock shows `deadline`; may be INFINITY.
  double (*sleep_time)(struct Clock *self, double deadline);
  // Once per run, before the first use; NULL: nothing to do.
  void (*start)(struct Clock *self);
} Clock;

// Monotonic real seconds since an arbitrary origin, straight from the system.
double clock_monotonic(void);

// A cheap, coarse reading (a few milliseconds of grain) of the same origin,
// to notice that time has passed without paying for an exact reading.
double clock_coarse(void);

// Monotonic seconds plus a large random offset, so that times of different
// runs, or of os.clock, are not mixed up unnoticed.
typedef struct RealClock {
  Clock base;
  double offset;
} RealClock;
void real_clock_init(RealClock *clock);

// Virtual time: starts at 0, advances by `rate` virtual seconds per real
// second (0: only by jumps).
typedef struct MockClock {
  Clock base;
  double real_base, virtual_base;
  double rate;
  double autojump_threshold;  // real seconds of idleness; INFINITY: never
} MockClock;
void mock_clock_init(MockClock *clock);
void mock_clock_set_rate(MockClock *clock, double rate);  // rate >= 0
void mock_clock_jump(MockClock *clock, double seconds);   // seconds >= 0

#endif
