// SPDX-License-Identifier: MIT
// scope_fields.h: the properties and the text form of CancelScope.
#ifndef TRIO_API_SCOPE_FIELDS_H
#define TRIO_API_SCOPE_FIELDS_H

#include "../bind/class.h"

extern const ClassField scope_fields[];
int scope_tostring(lua_State *L);

#endif
