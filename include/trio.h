// SPDX-License-Identifier: MIT
// trio.h: the C API of trio-lua: opening the module, running tasks from a
// host, sharing the libuv loop, calling into a run from other threads, and
// writing functions that suspend a task.
//
// Unless stated otherwise a function may be called only by the OS thread that
// runs the Lua state. "[-p, +q, x]" after a function tells, as in the Lua
// manual, how many values it pops and pushes and whether it raises: "-" never,
// "m" for lack of memory, "v" on purpose, "e" runs Lua, "y" may suspend.
#ifndef TRIO_H
#define TRIO_H

#include <lua.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TRIO_API __attribute__((visibility("default")))
#else
#define TRIO_API
#endif

struct uv_loop_s;

// ---- the module

// Push the module table, as require "trio" does. Give it to luaL_requiref or
// package.preload. It must have been called once before anything else here.
// [-0, +1, m]
TRIO_API int luaopen_trio(lua_State *L);

// The module trio.busted; Lua calls it for `require "trio.busted"` where only
// trio.so is there. [-0, +1, v]
TRIO_API int luaopen_trio_busted(lua_State *L);

// ---- running

// Like lua_pcall for a main function: run the function and its `nargs`
// arguments on top of the stack as the main task of a trio.run and wait for
// the end. Returns LUA_OK with `nresults` results (or LUA_MULTRET), or another
// status with the error. `options` is the index of a table of trio.run's
// options, or 0. Not inside of a run of the same state.
// [-(nargs + 1), +(nresults|1), -]
TRIO_API int trio_run(lua_State *L, int nargs, int nresults, int options);

// The libuv loop of this state, for a host's own handles and for other libuv
// code of the same thread (luv: luv_set_loop). Callbacks on it run while
// trio.run waits. It belongs to the state and is closed with it: close your
// handles before. NULL where it can't be made. [-0, +0, -]
TRIO_API struct uv_loop_s *trio_loop(lua_State *L);

// Called at the end of a guest run, on the host's loop. `status` is LUA_OK and
// `count` results are on top of L's stack, or another status and 1 error. It
// must leave the rest of the stack alone and must not raise.
typedef void (*trio_done_cb)(lua_State *L, int status, int count, void *data);

// Run the function on top of the stack as the main task of a guest run, on a
// loop that the host drives with uv_run: trio works off what is due in
// callbacks on that loop and never blocks it. When this returns LUA_OK the run
// exists (trio.current_time, tokens and spawn_system_task work from host
// code), but no code of the main function has run. Otherwise returns another
// status with the error on top. The host must keep driving the loop until
// `done` was called, and once more to let closed handles go. One guest run at
// a time per state. [-1, +(0|1), -]
TRIO_API int trio_start_guest_run(lua_State *L, struct uv_loop_s *host_loop,
                                  trio_done_cb done, void *data);

// The same with `nargs` arguments above the function, and with the table of
// trio.run's options at the index `options` (0: none). [-(nargs + 1), +(0|1),
// -]
TRIO_API int trio_start_guest_run_with(lua_State *L, int nargs, int options,
                                       struct uv_loop_s *host_loop,
                                       trio_done_cb done, void *data);

// ---- calling into a run from anywhere

typedef struct trio_token trio_token;

enum { TRIO_OK = 0, TRIO_RUN_FINISHED = 1, TRIO_NO_MEMORY = 2 };

// The present run's token, a reference that the caller must release; NULL
// outside of a run. [-0, +0, -]
TRIO_API trio_token *trio_current_token(lua_State *L);

// Any thread. Release a reference.
TRIO_API void trio_token_release(trio_token *token);

// Any thread (not from signal handlers): let the run call fn(L, data) soon, in
// its own thread, inside a system task; fn may run Lua but can't suspend, and
// an error that it raises crashes the run. Returns TRIO_OK: then the call is
// made before the run ends. TRIO_RUN_FINISHED: it ended. TRIO_NO_MEMORY.
TRIO_API int trio_token_run_sync_soon(trio_token *token,
                                      void (*fn)(lua_State *L, void *data),
                                      void *data);

// ---- functions that suspend a task
//
// A C function suspends its task with `return trio_await(L, &op, self)`. The
// op's functions are called in this order: `attempt` once; if that would
// block, `start`; then the task is parked until somebody calls trio_wake;
// `abort` if the task is cancelled meanwhile; `finish` in the woken task. The
// stack frame of the C function stays as it was: keep what must stay alive
// there (self, strings, buffers), at fixed indices.

typedef struct trio_task trio_task;

// What `attempt` returns if it must wait.
#define TRIO_WOULD_BLOCK (-1)

// Codes of trio_wake; 0 and more mean success and belong to the op.
enum {
  TRIO_WAKE_OK = 0,
  TRIO_WAKE_CANCELLED = -1,  // given by trio: the task was cancelled
  TRIO_WAKE_ERROR = -4,      // the moved value is an error to raise
  TRIO_WAKE_BROKEN = -5,     // raise BrokenResourceError
  TRIO_WAKE_CLOSED = -6      // raise ClosedResourceError
};

typedef enum trio_abort {
  TRIO_ABORT_DONE,    // `start` is undone: wake the task with Cancelled now
  TRIO_ABORT_PENDING  // not possible; trio_wake will still be called
} trio_abort;

typedef struct trio_op {
  // What the function is called in messages, "mylib.wait". Static.
  const char *name;
  // Do it now, if that's possible: push the results and return their count, or
  // return TRIO_WOULD_BLOCK. May raise. NULL: always wait.
  int (*attempt)(lua_State *L, void *self);
  // Arrange that trio_wake(task, ...) is called later, exactly once. Allocate
  // first: after the first registration nothing may raise.
  void (*start)(lua_State *L, trio_task *task, void *self);
  // Undo `start`. Runs no Lua, can't fail, is called at most once per wait.
  // Where Ctrl+C or a deadlock report interrupts the wait it is called too.
  trio_abort (*abort)(trio_task *task, void *self);
  // In the woken task: turn the code into results (return their count, on top
  // of the stack) or an error. NULL: raise if negative (trio_raise), else
  // return the values that were moved here.
  int (*finish)(lua_State *L, void *self, int code);
} trio_op;

// Suspend the calling task as described above. Always a checkpoint. Raises
// outside of tasks and where Lua can't suspend. `op` must stay valid (static).
// [-0, +n, y] Only as `return trio_await(...)` of a lua_CFunction.
TRIO_API int trio_await(lua_State *L, const trio_op *op, void *self);

// Let a parked task go on with that code. Once per wait; not in `abort`; from
// the thread of the run, for example in a callback on trio_loop. No Lua runs
// here.
TRIO_API void trio_wake(trio_task *task, int code);

// Move the `count` values on top of `from` (same Lua state) to the stack of
// the parked task, for trio_wake(task, TRIO_WAKE_OK), or 1 for
// TRIO_WAKE_ERROR. Returns 0 for lack of memory, with nothing moved.
// [-count, +0, -]
TRIO_API int trio_move(trio_task *task, lua_State *from, int count);

// In `finish`: raise what a negative code stands for. [v]
TRIO_API int trio_raise(lua_State *L, int code);

#ifdef __cplusplus
}
#endif

#endif
