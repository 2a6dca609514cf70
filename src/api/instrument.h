// SPDX-License-Identifier: MIT
// instrument.h: instruments watch a run: tables with hook methods. One that
// raises is reported through `warn` and removed.
#ifndef TRIO_API_INSTRUMENT_H
#define TRIO_API_INSTRUMENT_H

#include "../bind/runner.h"

// Add the instrument on top of the stack to the run. [-1, +0, e]
void instrument_add(lua_State *L, Runner *R);
// Forget all of them. No failure.
void instrument_end(Runner *R);

#endif
