// SPDX-License-Identifier: MIT
// interrupt.h: Ctrl+C. While a run lasts, SIGINT becomes a KeyboardInterrupt
// in its main task: at its next checkpoint, or, while it runs Lua code, at the
// next instruction. Taken over only where SIGINT would end the process.
#ifndef TRIO_BIND_INTERRUPT_H
#define TRIO_BIND_INTERRUPT_H

#include "runner.h"

// Take SIGINT over for the run, and give it back. No failure, no Lua.
void interrupt_begin(Runner *R);
void interrupt_end(Runner *R);

// Protection has changed in L: raise at its next instruction what was kept and
// need not be any more. [-0, +0, -]
void interrupt_recheck(lua_State *L);

// Is there a signal that interrupt_check has not seen? For guest runs.
bool interrupt_is_pending(const Runner *R);

// Between steps: did a signal come? Delivers it to main if that is parked.
void interrupt_check(Runner *R);

#endif
