// SPDX-License-Identifier: MIT
// interrupt.h: Ctrl+C outside of trio.run.
//
// While a chunk runs, SIGINT raises trio.KeyboardInterrupt at the next
// instruction of the main thread, and a second SIGINT ends the process. Inside
// trio.run the runtime's own handler is in place instead; it puts ours back
// when the run ends.
#ifndef TRIO_CLI_INTERRUPT_H
#define TRIO_CLI_INTERRUPT_H

#include <lua.h>

// Around a protected call: from here on Ctrl+C raises in L. [-0, +0, -]
void interrupt_arm(lua_State *L);
// From here on Ctrl+C ends the process, and one that came too late to be
// raised is forgotten. [-0, +0, -]
void interrupt_disarm(lua_State *L);

#endif
