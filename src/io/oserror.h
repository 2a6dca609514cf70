// SPDX-License-Identifier: MIT
// oserror.h: errors of the operating system as trio.OSError objects.
#ifndef TRIO_IO_OSERROR_H
#define TRIO_IO_OSERROR_H

#include <lua.h>

// Push an OSError with code ("ECONNREFUSED"), errno and syscall. `what` is
// what was tried ("connect"); `detail` (may be NULL) says on what, and stands
// in the message. [-0, +1, m]
void oserror_push(lua_State *L, int number, const char *what,
                  const char *detail);

// Push the name of an error number: "EMFILE". [-0, +1, m]
void oserror_push_name(lua_State *L, int number);

// The same, raised. [v]
int oserror_raise(lua_State *L, int number, const char *what,
                  const char *detail);

// Raise ClosedResourceError for an errno that means "closed here", else
// BrokenResourceError with the OSError as its cause. For streams. [v]
int oserror_raise_broken(lua_State *L, int number, const char *what);

#endif
