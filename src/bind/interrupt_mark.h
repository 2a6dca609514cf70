// SPDX-License-Identifier: MIT
// interrupt_mark.h: code that is protected from Ctrl+C (Trio:
// lowlevel.enable_ki_protection and the like).
//
// Protection is a matter of the stack: a function made by enable_ki_protection
// or disable_ki_protection leaves a frame there while it runs, and the
// innermost such frame decides. So nothing has to be undone on an error.
#ifndef TRIO_BIND_INTERRUPT_MARK_H
#define TRIO_BIND_INTERRUPT_MARK_H

#include "runner.h"

// Is the code that the task now runs protected? [-0, +0, -]
bool interrupt_is_protected(const Task *t);

// Add the functions to trio.lowlevel of the module table on top. [-0, +0, m]
void interrupt_open(lua_State *L);

#endif
