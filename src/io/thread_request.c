// SPDX-License-Identifier: MIT
// thread_request.c: calls out of a worker thread into a run (Trio:
// from_thread.run, run_sync, check_cancelled), and token:run_sync_soon from
// another thread. The worker sleeps until its request is answered; whatever
// happens to the run, every request is answered or dropped.
#include <lauxlib.h>

#include "../base/mem.h"
#include "../bind/class.h"
#include "../bind/error.h"
#include "../bind/spawn.h"
#include "thread.h"

typedef struct RequestBox {
  ClassHead head;
  Request *request;  // NULL once it is answered
  Task *task;        // whose context is to be restored
  Task *server;      // the system task that is to serve it
  Link link;         // then, in the state's list until that has ended
} RequestBox;

enum { BOX_CONTEXT = 1, BOX_VALUES = 1 };

static void release(Request *r) {
  if (atomic_fetch_sub(&r->references, 1) > 1) return;
  if (r->job != NULL) thread_release(r->job);
  parcel_free(&r->call);
  parcel_free(&r->reply);
  pthread_mutex_destroy(&r->mutex);
  pthread_cond_destroy(&r->answered);
  mem_free(r);
}

// The serving side lets go.
static void answer(Request *r, int state) {
  pthread_mutex_lock(&r->mutex);
  r->state = state;
  pthread_cond_signal(&r->answered);
  pthread_mutex_unlock(&r->mutex);
  release(r);
}

void thread_drop_request(void *request) { answer(request, REQUEST_DROPPED); }

static void drop(RequestBox *box) {
  if (box->request != NULL) thread_drop_request(box->request);
  box->request = NULL;
}

static int box_gc(lua_State *L) {
  RequestBox *box = lua_touserdata(L, 1);
  drop(box);
  if (link_is_linked(&box->link)) list_remove(&box->link);
  return 0;
}

static const luaL_Reg box_meta[] = {{"__gc", box_gc}, {NULL, NULL}};
static const Class box_class = {"trio.request", NULL, NULL, box_meta};

// ---- on the run's side

static int new_box(lua_State *L) {
  class_new(L, &box_class, sizeof(RequestBox), BOX_VALUES);
  return 1;
}

void thread_push_request(lua_State *L, Request *r) {
  lua_pushcfunction(L, new_box);
  if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
    thread_drop_request(r);
    lua_error(L);
  }
  ((RequestBox *)lua_touserdata(L, -1))->request = r;
}

static Request *check_request(lua_State *L) {
  Request *r = ((RequestBox *)class_check(L, 1, &box_class))->request;
  if (r == NULL) luaL_error(L, "the request has been answered");
  return r;
}

// _open(request) -> is it synchronous?, function, arguments...
static int l_open(lua_State *L) {
  Request *r = check_request(L);
  lua_settop(L, 1);
  lua_pushboolean(L, r->sync);
  return 1 + parcel_unpack(L, &r->call);
}

// _call_sync(fn, ...): call it so that it can't wait.
static int l_call_sync(lua_State *L) {
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

// _borrow(request): the host task serves it; changes of context variables by
// the function will not stay.
static int l_borrow(lua_State *L) {
  RequestBox *box = class_check(L, 1, &box_class);
  Task *t = task_require(L);
  spawn_push_object(L, t);
  lua_getiuservalue(L, -1, TASK_CONTEXT);
  lua_setiuservalue(L, 1, BOX_CONTEXT);
  box->task = t;
  t->context_shared = true;
  return 0;
}

static void restore_context(lua_State *L, RequestBox *box) {
  Task *t = box->task;
  if (t == NULL) return;
  box->task = NULL;
  spawn_push_object(L, t);
  t->has_context = lua_getiuservalue(L, 1, BOX_CONTEXT) == LUA_TTABLE;
  t->context_shared = true;
  lua_setiuservalue(L, -2, TASK_CONTEXT);
  lua_pop(L, 1);
}

// _answer(request, ok, results... or error)
static int l_answer(lua_State *L) {
  RequestBox *box = class_check(L, 1, &box_class);
  restore_context(L, box);
  Request *r = check_request(L);
  bool ok = lua_toboolean(L, 2);
  Parcel *parcel =
      parcel_push(L, lua_gettop(L) - 2, ok ? PARCEL_RESULTS : PARCEL_ERROR);
  parcel_move(parcel, &r->reply);
  box->request = NULL;
  answer(r, ok ? REQUEST_OK : REQUEST_ERROR);
  return 0;
}

// _drop(request): its run can't serve it.
static int l_drop(lua_State *L) {
  drop(class_check(L, 1, &box_class));
  return 0;
}

// Without memory a task may end before it has even begun.
static void on_server_exit(Task *t) {
  List *served = &runner_of_task(t)->state->served;
  for (Link *l = list_first(served); l != NULL;) {
    RequestBox *box = CONTAINER_OF(l, RequestBox, link);
    l = list_next(served, l);
    if (box->server != t) continue;
    list_remove(&box->link);
    drop(box);
  }
  runner_of_task(t)->child_exit(t);
}

// _entrust(request, task): the new system task will serve it, or drops it with
// its end.
static int l_entrust(lua_State *L) {
  RequestBox *box = class_check(L, 1, &box_class);
  TaskObject *server = class_check(L, 2, &task_class);
  box->server = &server->task;
  list_push(&state_of(L)->served, &box->link);
  server->task.on_exit = on_server_exit;
  return 0;
}

// Any task may serve it: the callback does, or finds one.
static void on_free_request(lua_State *L, void *data) {
  bool sync = ((Request *)data)->sync;
  thread_push_request(L, data);
  RequestBox *box = lua_touserdata(L, -1);
  thread_push_callback(L, "request");
  lua_pushvalue(L, -2);
  lua_pushboolean(L, sync);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return;
  drop(box);
  lua_error(L);
}

static void on_host_request(lua_State *L, void *data) {
  Request *r = data;
  Job *job = r->job;
  if (job->host == NULL) return on_free_request(L, data);
  Task *t = job->host;
  job->host = NULL;
  job->request = r;
  task_wake(t, WAKE_OK);
}

// ---- in the worker

static Request *push_new_request(lua_State *L, Parcel *parcel) {
  new_box(L);
  RequestBox *box = lua_touserdata(L, -1);
  Request *r = mem_alloc(sizeof(Request));
  if (r == NULL) luaL_error(L, "not enough memory");
  pthread_mutex_init(&r->mutex, NULL);
  pthread_cond_init(&r->answered, NULL);
  atomic_init(&r->references, 1);
  box->request = r;
  parcel_move(parcel, &r->call);
  return r;
}

static void wait_for_answer(Request *r) {
  pthread_mutex_lock(&r->mutex);
  while (r->state == REQUEST_OPEN) pthread_cond_wait(&r->answered, &r->mutex);
  pthread_mutex_unlock(&r->mutex);
}

static int raise_finished(lua_State *L) {
  return error_raise(L, ERROR_RUN_FINISHED, "the run is over");
}

// The queue to use: of the token at idx, or of the thread's own run.
static TokenQueue *queue_for(lua_State *L, int idx) {
  TokenQueue *q = token_at(L, idx);
  if (q == NULL && !lua_isnoneornil(L, idx)) {
    luaL_error(L, "option 'trio_token' must be a TrioToken, got %s",
               luaL_typename(L, idx));
  }
  if (q == NULL && thread_job == NULL) {
    luaL_error(L,
               "this thread wasn't created by trio.to_thread: pass the "
               "option trio_token");
  }
  if (q == NULL) q = thread_job->token;
  const Runner *R = runner_maybe(L);
  if (task_maybe(L) != NULL || (R != NULL && R->token == q)) {
    luaL_error(L,
               "this function blocks the thread: call it from a worker "
               "thread, not from the thread of trio.run");
  }
  return q;
}

// _ask(sync, token or nil, fn, ...) -> true, results... or false, error. Own
// errors are raised.
static int l_ask(lua_State *L) {
  enum { SYNC = 1, TOKEN, FUNCTION };
  TokenQueue *q = queue_for(L, TOKEN);
  bool own = lua_isnil(L, TOKEN) && !thread_job->abandon;
  Parcel *parcel = parcel_push(L, lua_gettop(L) - FUNCTION + 1, PARCEL_CALL);
  Request *r = push_new_request(L, parcel);
  r->sync = lua_toboolean(L, SYNC);
  if (own) {
    r->job = thread_job;
    atomic_fetch_add(&thread_job->references, 1);
  }
  atomic_fetch_add(&r->references, 1);
  int status = token_call_soon_or(q, own ? on_host_request : on_free_request,
                                  thread_drop_request, r);
  if (status != TOKEN_QUEUED) {
    atomic_fetch_sub(&r->references, 1);
    if (status == TOKEN_FINISHED) return raise_finished(L);
    return luaL_error(L, "not enough memory");
  }
  wait_for_answer(r);
  if (r->state == REQUEST_DROPPED) return raise_finished(L);
  lua_pushboolean(L, r->state == REQUEST_OK);
  return 1 + parcel_unpack(L, &r->reply);
}

// _check_cancelled(): raise if the host was asked to stop.
static int l_check_cancelled(lua_State *L) {
  const Job *job = thread_job;
  if (job == NULL || task_maybe(L) != NULL) {
    return luaL_error(L,
                      "this thread wasn't created by trio.to_thread, so "
                      "nothing can tell whether it is cancelled");
  }
  int code = atomic_load(&job->cancel);
  if (code == 0) return 0;
  if (code == WAKE_INTERRUPTED) {
    return error_raise(L, ERROR_KEYBOARD_INTERRUPT, "interrupted");
  }
  error_push_cancelled(L, job->source, job->reason, job->canceller);
  return lua_error(L);
}

// ---- token:run_sync_soon from another thread

// A call on its way; idempotent ones stand in `pending`.
typedef struct FarCall {
  struct FarCall *next;
  TokenQueue *token;  // only compared
  Parcel call;
  bool idempotent;
} FarCall;

static pthread_mutex_t pending_mutex = PTHREAD_MUTEX_INITIALIZER;
static FarCall *pending;

static bool is_pending(const FarCall *call) {
  for (const FarCall *c = pending; c != NULL; c = c->next) {
    if (c->token == call->token && parcel_equals(&c->call, &call->call)) {
      return true;
    }
  }
  return false;
}

static void free_far_call(void *data) {
  FarCall *call = data;
  if (call->idempotent) {
    pthread_mutex_lock(&pending_mutex);
    FarCall **place = &pending;
    while (*place != NULL && *place != call) place = &(*place)->next;
    if (*place != NULL) *place = call->next;
    pthread_mutex_unlock(&pending_mutex);
  }
  parcel_free(&call->call);
  mem_free(call);
}

static int unpack_far_call(lua_State *L) {
  const FarCall *call = lua_touserdata(L, 1);
  return parcel_unpack(L, &call->call);
}

static void on_far_call(lua_State *L, void *data) {
  int base = lua_gettop(L);
  lua_pushcfunction(L, unpack_far_call);
  lua_pushlightuserdata(L, data);
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  free_far_call(data);
  if (status != LUA_OK) lua_error(L);
  lua_call(L, lua_gettop(L) - base - 1, 0);
}

// Queue the call, or find an equal one queued already.
static int send_far_call(TokenQueue *q, FarCall *call) {
  if (!call->idempotent) {
    return token_call_soon_or(q, on_far_call, free_far_call, call);
  }
  pthread_mutex_lock(&pending_mutex);
  int status = TOKEN_QUEUED;
  if (is_pending(call)) {
    parcel_free(&call->call);
    mem_free(call);
  } else {
    status = token_call_soon_or(q, on_far_call, free_far_call, call);
    if (status == TOKEN_QUEUED) {
      call->next = pending;
      pending = call;
    }
  }
  pthread_mutex_unlock(&pending_mutex);
  return status;
}

// (token, [opts,] fn, ...)
static int l_far_run_sync_soon(lua_State *L) {
  static const char *const known[] = {"idempotent", NULL};
  TokenQueue *q = token_at(L, 1);
  bool idempotent = false;
  if (opts_is(L, 2)) {
    opts_check(L, 2, known);
    idempotent = opts_boolean(L, 2, "idempotent", false);
    lua_remove(L, 2);
  }
  arg_callable(L, 2);
  Parcel *parcel = parcel_push(L, lua_gettop(L) - 1, PARCEL_CALL);
  FarCall *call = mem_alloc(sizeof(FarCall));
  if (call == NULL) return luaL_error(L, "not enough memory");
  call->token = q;
  call->idempotent = idempotent;
  parcel_move(parcel, &call->call);
  int status = send_far_call(q, call);
  if (status == TOKEN_QUEUED) return 0;
  parcel_free(&call->call);
  mem_free(call);
  if (status == TOKEN_FINISHED) return raise_finished(L);
  return luaL_error(L, "not enough memory");
}

void thread_request_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", l_open},
                                       {"borrow", l_borrow},
                                       {"entrust", l_entrust},
                                       {"call_sync", l_call_sync},
                                       {"answer", l_answer},
                                       {"drop", l_drop},
                                       {"ask", l_ask},
                                       {"check_cancelled", l_check_cancelled},
                                       {NULL, NULL}};
  class_register(L, &box_class);
  luaL_setfuncs(L, functions, 0);
  lua_pushcfunction(L, l_far_run_sync_soon);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &token_far_key);
}
