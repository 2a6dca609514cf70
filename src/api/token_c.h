// SPDX-License-Identifier: MIT
// token_c.h: calls into a run from C code of any thread.
#ifndef TRIO_API_TOKEN_C_H
#define TRIO_API_TOKEN_C_H

#include "token.h"

enum { TOKEN_QUEUED = 0, TOKEN_FINISHED = 1, TOKEN_NO_MEMORY = 2 };

// A reference to the run's queue, for token_release. On the run's thread.
TokenQueue *token_share(Runner *R);
// Any thread.
void token_release(TokenQueue *q);

// Any thread: let the run call function(L, data) in its token task; it may
// raise, which crashes the run. Returns one of the above.
int token_call_soon(TokenQueue *q, void (*function)(lua_State *L, void *data),
                    void *data);

#endif
