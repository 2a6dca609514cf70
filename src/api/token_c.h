// SPDX-License-Identifier: MIT
// token_c.h: calls into a run from C code of any thread.
#ifndef TRIO_API_TOKEN_C_H
#define TRIO_API_TOKEN_C_H

#include "token.h"

enum { TOKEN_QUEUED = 0, TOKEN_FINISHED = 1, TOKEN_NO_MEMORY = 2 };

// A reference to the run's queue, for token_release. On the run's thread.
TokenQueue *token_share(Runner *R);
// Any thread.
void token_retain(TokenQueue *q);
void token_release(TokenQueue *q);

// The queue of the TrioToken at idx, or NULL. [-0, +0, -]
TokenQueue *token_at(lua_State *L, int idx);
// Push a TrioToken for the queue: the run's own where it is the current run of
// this state. [-0, +1, m]
void token_push(lua_State *L, TokenQueue *q);

// Registry key of the function that does run_sync_soon, with the arguments of
// that method, for a token whose run belongs to another Lua state.
extern const char token_far_key;

// A call in the queue. One that is part of something else and zeroed can be
// queued without memory (token_queue).
typedef struct TokenCall {
  struct TokenCall *next;
  void (*function)(lua_State *L, void *data);
  void (*dropped)(void *data);  // may be NULL
  void *data;
  bool owned;  // by the queue
} TokenCall;

// Any thread: let the run call function(L, data) in its token task; it may
// raise, which crashes the run. Returns one of the above.
int token_call_soon(TokenQueue *q, void (*function)(lua_State *L, void *data),
                    void *data);
// The same; `dropped` is called, by the run's thread, if a run that crashed
// ends with the call still queued.
int token_call_soon_or(TokenQueue *q,
                       void (*function)(lua_State *L, void *data),
                       void (*dropped)(void *data), void *data);
// The same for a call with these fields set; never TOKEN_NO_MEMORY. `function`
// may free what the call is a part of.
int token_queue(TokenQueue *q, TokenCall *call);

#endif
