// SPDX-License-Identifier: MIT
// fs.c: the system calls behind trio.Path, each a job in the pool. For
// lua/trio/path.lua only: they stand in trio._fs, and all of them wait.
//
// One Request per call, in C memory. Its box stands on the stack of the task
// that waits, so that a request whose task is thrown away is freed too, by the
// job's return if it still runs.
#include "fs.h"

#include <string.h>

#include "../base/debug.h"
#include "../base/mem.h"
#include "../bind/error.h"
#include "io.h"
#include "path.h"

typedef struct Box {
  ClassHead head;
  FsRequest *request;
} Box;

enum { FIRST = 1, SECOND = 2, THIRD = 3, BOX = 4 };

static void request_free(FsRequest *r) {
  mem_free(r->path);
  mem_free(r->other);
  bytes_free(&r->out);
  mem_free(r);
}

static void on_back(Job *j) {
  FsRequest *r = CONTAINER_OF(j, FsRequest, job);
  if (!r->boxed) request_free(r);
}

static void box_release(Box *box) {
  FsRequest *r = box->request;
  if (r == NULL) return;
  box->request = NULL;
  r->boxed = false;
  if (!r->job.running) request_free(r);
}

static int l_gc(lua_State *L) {
  box_release(lua_touserdata(L, 1));
  return 0;
}

static const luaL_Reg meta[] = {{"__gc", l_gc}, {NULL, NULL}};
static const Class request_class = {"file system request", NULL, NULL, meta};

static void run_call(Job *j) {
  FsRequest *r = CONTAINER_OF(j, FsRequest, job);
  r->call->run(r);
}

static void start_call(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  FsRequest *r = self;
  r->job.work = run_call;
  r->job.done = on_back;
  job_submit(&r->job, job_loop(t), t);
}

static AbortResult abort_call(Task *t, void *self, int code) {
  UNUSED(t);
  return job_abort(&((FsRequest *)self)->job, code);
}

static int finish_call(lua_State *L, Task *t, void *self, int code) {
  UNUSED(code);
  FsRequest *r = self;
  Box *box = lua_touserdata(L, BOX);
  if (r->job.skipped || r->job.cut) return await_raise(L, t, r->job.abort_code);
  if (r->error == ENOMEM) return luaL_error(L, "not enough memory");
  if (r->error != 0) {
    path_push_error(L, r->error, r->call->name, r->path);
    return lua_error(L);
  }
  int results = r->call->push == NULL ? 0 : r->call->push(L, r);
  box_release(box);
  return results;
}

static char *copy_text(lua_State *L, int idx) {
  char *copy = mem_strdup(lua_tostring(L, idx));
  if (copy == NULL) luaL_error(L, "not enough memory");
  return copy;
}

// Every function of trio._fs. Upvalue 1: the FsCall.
static int l_call(lua_State *L) {
  static const Op op = {.name = "trio.Path",
                        .attempt = job_attempt,
                        .start = start_call,
                        .abort = abort_call,
                        .finish = finish_call};
  const FsCall *call = lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, THIRD);
  if (call->paths > 0) path_check(L, FIRST);
  if (call->paths > 1) path_check(L, SECOND);
  lua_Integer first = luaL_optinteger(L, call->paths + 1, 0);
  lua_Integer second = call->paths < 2 ? luaL_optinteger(L, THIRD, 0) : 0;
  await_check(L, op.name);
  Box *box = class_new(L, &request_class, sizeof(Box), 0);
  FsRequest *r = box->request = mem_alloc(sizeof(FsRequest));
  if (r == NULL) return luaL_error(L, "not enough memory");
  r->boxed = true;
  r->call = call;
  r->numbers[0] = first;
  r->numbers[1] = second;
  if (call->paths > 0) r->path = copy_text(L, FIRST);
  if (call->paths > 1) r->other = copy_text(L, SECOND);
  return await(L, &op, r);
}

void fs_open(lua_State *L) {
  class_register(L, &request_class);
  lua_newtable(L);
  for (const FsCall *call = fs_calls; call->name != NULL; call++) {
    lua_pushlightuserdata(L, (void *)call);
    lua_pushcclosure(L, l_call, 1);
    lua_setfield(L, -2, call->name);
  }
  lua_setfield(L, -2, "_fs");
}
