// SPDX-License-Identifier: MIT
// reschedule.h: which waits may be ended by trio.lowlevel.reschedule.
#ifndef TRIO_API_RESCHEDULE_H
#define TRIO_API_RESCHEDULE_H

#include "../core/task.h"

// The abort of a wait that registered nothing; such a wait may be rescheduled.
AbortResult reschedule_abort_nothing(Task *t, void *self, int code);

#endif
