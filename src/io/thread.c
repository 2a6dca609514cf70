// SPDX-License-Identifier: MIT
// thread.c: calls of Lua functions in worker threads (Trio: to_thread.run_sync
// and start_thread_soon), in so far as they need C; see thread.h. The names
// made here are private: lua/trio/thread.lua takes them away.
#include "thread.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "../base/mem.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "../bind/naming.h"
#include "../bind/spawn.h"
#include "../bind/with.h"
#include "../core/cancel.h"
#include "io.h"

typedef struct JobBox {
  ClassHead head;
  Job *job;
} JobBox;

static const char callbacks_key = 0, traceback_key = 0;

_Thread_local Job *thread_job;

void thread_release(Job *job) {
  if (atomic_fetch_sub(&job->references, 1) > 1) return;
  if (job->token != NULL) token_release(job->token);
  parcel_free(&job->call);
  parcel_free(&job->result);
  mem_free(job->path);
  mem_free(job->cpath);
  mem_free(job->reason);
  mem_free(job->canceller);
  mem_free(job);
}

static int job_gc(lua_State *L) {
  JobBox *box = lua_touserdata(L, 1);
  Job *job = box->job;
  if (job == NULL) return 0;
  box->job = NULL;
  if (job->request != NULL) thread_drop_request(job->request);
  job->request = NULL;
  thread_release(job);
  return 0;
}

static const luaL_Reg job_meta[] = {{"__gc", job_gc}, {NULL, NULL}};
static const Class job_class = {"trio.job", NULL, NULL, job_meta};

static Job *check_job(lua_State *L, int idx) {
  return ((JobBox *)class_check(L, idx, &job_class))->job;
}

void thread_push_callback(lua_State *L, const char *name) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &callbacks_key);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

// ---- in the worker

static void set_search_path(lua_State *L, const char *name, const char *path) {
  lua_pushstring(L, path);
  lua_setfield(L, -2, name);
}

// The state works as that of the run: same paths, same coroutine library.
static void prepare(lua_State *L, const Job *job) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_LOADLIBNAME);
  if (lua_istable(L, -1)) {
    if (job->path != NULL) set_search_path(L, "path", job->path);
    if (job->cpath != NULL) set_search_path(L, "cpath", job->cpath);
  }
  lua_pop(L, 1);
  if (job->warnings && !state_of(L)->warnings) {
    state_of(L)->warnings = true;
    lua_warning(L, "@on", 0);
  }
  if (job->installed && !state_of(L)->installed) {
    lua_getfield(L, -1, "trio");
    lua_getfield(L, -1, "install");
    lua_call(L, 0, 0);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

// (job): call the function, pack the results.
static int work_body(lua_State *L) {
  Job *job = lua_touserdata(L, 1);
  prepare(L, job);
  int count = parcel_unpack(L, &job->call);
  parcel_free(&job->call);
  thread_job = job->has_host ? job : NULL;
  lua_call(L, count - 1, LUA_MULTRET);
  thread_job = NULL;
  parcel_move(parcel_push(L, lua_gettop(L) - 1, PARCEL_RESULTS), &job->result);
  return 0;
}

// The message handler: the traceback waits in the registry.
static int note_traceback(lua_State *L) {
  lua_settop(L, 1);
  luaL_traceback(L, L, NULL, 1);
  error_attach_traceback(L, 1, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  return 1;
}

// (job, error): pack the error and its traceback.
static int pack_error(lua_State *L) {
  Job *job = lua_touserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  parcel_move(parcel_push(L, 2, PARCEL_ERROR), &job->result);
  return 0;
}

// (job, error, problem): the error can't be sent, but its text can.
static int pack_error_text(lua_State *L) {
  Job *job = lua_touserdata(L, 1);
  error_push_text(L, 2);
  luaL_tolstring(L, 3, NULL);
  lua_pushfstring(L, "%s (%s)", lua_tostring(L, -2), lua_tostring(L, -1));
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  parcel_move(parcel_push(L, 2, PARCEL_ERROR), &job->result);
  return 0;
}

static void do_job(lua_State *L, Work *work) {
  Job *job = CONTAINER_OF(work, Job, work);
  job->ok = false;
  if (L == NULL) return;
  lua_pushcfunction(L, note_traceback);
  lua_pushcfunction(L, work_body);
  lua_pushlightuserdata(L, job);
  job->ok = lua_pcall(L, 1, 0, 1) == LUA_OK;
  thread_job = NULL;
  if (job->ok) return;
  lua_pushcfunction(L, pack_error);
  lua_pushlightuserdata(L, job);
  lua_pushvalue(L, 2);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
  lua_pushcfunction(L, pack_error_text);
  lua_pushlightuserdata(L, job);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_pcall(L, 3, 0, 0);  // out of memory: the result stays empty
}

// ---- the way back, in the token task of the run

static void wake_host(Job *job) {
  Task *t = job->host;
  job->host = NULL;
  if (t != NULL) task_wake(t, WAKE_OK);
}

static int tell_done(lua_State *L) {
  thread_push_callback(L, "done");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

static void on_done(lua_State *L, void *data) {
  Job *job = data;
  runner_require(L)->threads--;
  lua_pushcfunction(L, tell_done);
  lua_pushlightuserdata(L, job);
  int status = lua_pcall(L, 1, 0, 0);
  wake_host(job);
  thread_release(job);
  if (status != LUA_OK) lua_error(L);
}

static void forget_job(void *job) { thread_release(job); }

static void deliver(Work *work) {
  Job *job = CONTAINER_OF(work, Job, work);
  job->delivery =
      (TokenCall){.function = on_done, .dropped = forget_job, .data = job};
  int status = token_queue(job->token, &job->delivery);
  if (status != TOKEN_QUEUED) thread_release(job);
}

// ---- private functions

// Push "<function> from <task>" as the name of the thread that calls the
// function at idx.
static void push_default_name(lua_State *L, int idx) {
  naming_push_function(L, idx);
  Task *t = task_maybe(L);
  if (t == NULL) return;
  task_push_name(L, t);
  lua_pushfstring(L, "%s from %s", lua_tostring(L, -2), lua_tostring(L, -1));
}

static char *copy_search_path(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_LOADLIBNAME);
  char *copy = NULL;
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, name);
    const char *path = lua_tostring(L, -1);
    if (path != NULL && (copy = mem_strdup(path)) == NULL) {
      luaL_error(L, "not enough memory");
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return copy;
}

static Job *push_job(lua_State *L) {
  JobBox *box = class_new(L, &job_class, sizeof(JobBox), 0);
  Job *job = mem_alloc(sizeof(Job));
  if (job == NULL) luaL_error(L, "not enough memory");
  box->job = job;
  atomic_init(&job->references, 1);
  atomic_init(&job->cancel, 0);
  job->work.run = do_job;
  job->work.deliver = deliver;
  return job;
}

// Start the worker; its entry stands in the table of entries from before, so
// that nothing can fail once it works.
static void start_worker(lua_State *L, Job *job, int entries, int entry) {
  lua_pushvalue(L, entry);
  lua_rawsetp(L, entries, job);
  atomic_fetch_add(&job->references, 1);
  int status = worker_start(&job->work);
  if (status == 0) return;
  atomic_fetch_sub(&job->references, 1);
  lua_pushnil(L);
  lua_rawsetp(L, entries, job);
  luaL_error(L, "a thread can't be started: %s", strerror(status));
}

// _start(entries, entry, has_host, abandon, name, fn, ...) -> the job. The
// callback "done" gets the key under which the entry then stands in entries.
static int l_start(lua_State *L) {
  enum { ENTRIES = 1, ENTRY, HAS_HOST, ABANDON, NAME, FUNCTION };
  Runner *R = runner_require(L);
  int count = lua_gettop(L) - FUNCTION + 1;
  if (lua_isnil(L, NAME)) {
    push_default_name(L, FUNCTION);
    lua_replace(L, NAME);
    lua_settop(L, FUNCTION + count - 1);
  }
  Parcel *parcel = parcel_push(L, count, PARCEL_CALL);
  Job *job = push_job(L);
  parcel_move(parcel, &job->call);
  job->path = copy_search_path(L, "path");
  job->cpath = copy_search_path(L, "cpath");
  job->has_host = lua_toboolean(L, HAS_HOST);
  job->abandon = lua_toboolean(L, ABANDON);
  job->installed = R->state->installed;
  job->warnings = R->state->warnings;
  const char *name = lua_tostring(L, NAME);
  if (name != NULL) strncpy(job->work.name, name, sizeof job->work.name - 1);
  job->token = token_share(R);
  start_worker(L, job, ENTRIES, ENTRY);
  R->threads++;
  return 1;
}

static void note_cancellation(Job *job, const Task *t, int code) {
  if (atomic_load(&job->cancel) != 0 || code == WAKE_DISCARDED) return;
  const CancelReason *r = t->cancel_reason;
  if (code == WAKE_CANCELLED && r == NULL) r = &cancel_reason_misnesting;
  if (r != NULL) {
    job->source = cancel_source_name(r->source);
    if (r->text != NULL) job->reason = mem_strdup(r->text);
    if (r->task != NULL) job->canceller = mem_strdup(r->task);
  }
  atomic_store(&job->cancel, code);
}

static AbortResult interrupt(Task *t, void *self, int code) {
  Job *job = self;
  note_cancellation(job, t, code);
  if (!job->abandon && code != WAKE_DISCARDED) return ABORT_PENDING;
  job->host = NULL;
  return ABORT_DONE;
}

static void start_waiting(lua_State *L, Task *t, void *self) {
  UNUSED(L);
  ((Job *)self)->host = t;
}

static int stop_waiting(lua_State *L, Task *t, void *self, int code) {
  if (code < 0) return await_raise(L, t, code);
  Job *job = self;
  Request *r = job->request;
  job->request = NULL;
  if (r == NULL) return 0;
  thread_push_request(L, r);
  return 1;
}

// _wait(job) -> a request to serve, or nothing once the thread is done.
static int l_wait(lua_State *L) {
  static const Op op = {.name = "trio.to_thread.run_sync",
                        .start = start_waiting,
                        .abort = interrupt,
                        .finish = stop_waiting};
  Job *job = check_job(L, 1);
  lua_settop(L, 1);
  return await(L, &op, job);
}

// _results(job) -> true, results... or false, error, traceback.
static int l_results(lua_State *L) {
  Job *job = check_job(L, 1);
  if (job->result.data == NULL) return luaL_error(L, "not enough memory");
  lua_pushboolean(L, job->ok);
  return 1 + parcel_unpack(L, &job->result);
}

// _raise(error, traceback): raise the worker's error, with both tracebacks.
static int l_raise(lua_State *L) {
  lua_settop(L, 2);
  const char *worker = lua_tostring(L, 2);
  if (worker == NULL) worker = "";
  lua_pushfstring(L, "%s\n(in a worker thread, called from here:)", worker);
  luaL_traceback(L, L, lua_tostring(L, -1), 2);
  lua_replace(L, 2);
  return with_raise_recorded(L);
}

// _callbacks(table)
static int l_callbacks(lua_State *L) {
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &callbacks_key);
  return 0;
}

static int l_collect(lua_State *L) {
  UNUSED(L);
  worker_collect();
  return 0;
}

static int l_count(lua_State *L) {
  lua_pushinteger(L, worker_count());
  return 1;
}

void thread_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"start", l_start}, {"wait", l_wait},           {"results", l_results},
      {"raise", l_raise}, {"callbacks", l_callbacks}, {"collect", l_collect},
      {"count", l_count}, {"handler", with_handler},  {NULL, NULL}};
  class_register(L, &job_class);
  parcel_open(L);
  luaL_newlib(L, functions);
  thread_request_open(L);
  lua_setfield(L, -2, "_thread");
}
