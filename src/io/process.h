// SPDX-License-Identifier: MIT
// process.h: a child process, for its two files: process_spawn.c starts it,
// process.c has all the rest. And what guest runs have to tell them.
#ifndef TRIO_IO_PROCESS_H
#define TRIO_IO_PROCESS_H

#include <lua.h>
#include <uv.h>

#include "../bind/class.h"
#include "../core/lot.h"

typedef struct Child {
  uv_process_t handle;
  Link link;    // in the Children of its state
  Lot lot;      // tasks in wait()
  bool boxed;   // a Process points here
  bool closed;  // libuv is done with the handle
  bool exited;
  int returncode;  // once exited: -number where a signal ended it
} Child;

typedef struct Process {
  ClassHead head;
  Child *child;
} Process;

// User values of a Process.
enum { STREAMS = 1, STDIO = 4, COMMAND = 5, VALUES = 5 };

extern const Class process_class, process_plan_class;

// A Child for the Process. [-0, +0, v]
Child *process_new_child(lua_State *L, Process *p);

// Callbacks of its handle.
void process_on_exit(uv_process_t *handle, int64_t status, int number);
void process_on_closed(uv_handle_t *handle);

// trio.lowlevel._open_process.
int process_spawn(lua_State *L);

// The state's loop is about to change: give up the handles of children that
// still run. They are reaped when their Process is looked at. No failure.
void process_forget_all(lua_State *L);

#endif
