// SPDX-License-Identifier: MIT
// worker.c: see worker.h. One mutex guards everything; each worker sleeps on
// a condition of its own, so that the one which was busy last is woken.
#include "worker.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "../base/list.h"
#include "../base/mem.h"
#include "../bind/runner.h"
#include "trio.h"

enum { IDLE_SECONDS = 10 };

static const char usual_name[] = "trio worker";

typedef struct Worker {
  pthread_t thread;
  pthread_cond_t wakeup;
  Work *work;
  Link link;  // in `idle`, or not
  lua_State *L;
  long kept;     // C blocks of its state that stay
  bool collect;  // asked to collect garbage
  bool quit;     // asked to end
} Worker;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t settled = PTHREAD_COND_INITIALIZER;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;
static List idle = {{&idle.head, &idle.head}};
static int count;  // workers
static int busy;   // works started and not yet delivered
static bool exiting;

static void set_name(const char *name) {
#ifdef __linux__
  prctl(PR_SET_NAME, name, 0, 0, 0);
#else
  (void)name;
#endif
}

static int open_state(lua_State *L) {
  luaL_openlibs(L);
  luaL_requiref(L, "trio", luaopen_trio, 0);
  state_of(L)->is_worker = true;
  return 0;
}

static lua_State *new_state(void) {
  lua_State *L = luaL_newstate();
  if (L == NULL) return NULL;
  lua_pushcfunction(L, open_state);
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return L;
  lua_close(L);
  return NULL;
}

static void collect(Worker *w) {
  if (w->L == NULL) return;
  lua_gc(w->L, LUA_GCCOLLECT);
  lua_gc(w->L, LUA_GCCOLLECT);
}

// What the worker's state keeps is no leak of those who count blocks.
static void note_kept(Worker *w) {
  long now = w->L == NULL ? 0 : state_of(w->L)->kept;
  mem_keep(now - w->kept);
  w->kept = now;
}

static void perform(Worker *w, Work *work) {
  if (work->name[0] != '\0') set_name(work->name);
  if (w->L == NULL) w->L = new_state();
  work->run(w->L, work);
  if (w->L != NULL) lua_settop(w->L, 0);
  note_kept(w);
  if (work->name[0] != '\0') set_name(usual_name);
}

// Sleep until there is something to do; false: nothing came for long. The
// mutex is held.
static bool wait_for_work(Worker *w) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += IDLE_SECONDS;
  while (w->work == NULL && !w->quit && !w->collect) {
    int result = pthread_cond_timedwait(&w->wakeup, &mutex, &until);
    if (result == ETIMEDOUT) break;
  }
  return w->work != NULL || w->collect;
}

static void end(Worker *w) {
  if (w->L != NULL) lua_close(w->L);
  w->L = NULL;
  mem_keep(-w->kept - 1);
  pthread_cond_destroy(&w->wakeup);
  mem_free(w);
}

// The mutex is held, and given back while the work is done.
static void do_work(Worker *w) {
  Work *work = w->work;
  pthread_mutex_unlock(&mutex);
  perform(w, work);
  pthread_mutex_lock(&mutex);
  w->work = NULL;
  list_push_front(&idle, &w->link);
  pthread_mutex_unlock(&mutex);
  work->deliver(work);
  pthread_mutex_lock(&mutex);
  busy--;
  pthread_cond_broadcast(&settled);
}

static void do_collect(Worker *w) {
  pthread_mutex_unlock(&mutex);
  collect(w);
  note_kept(w);
  pthread_mutex_lock(&mutex);
  w->collect = false;
  list_push_front(&idle, &w->link);
  pthread_cond_broadcast(&settled);
}

static void *worker_main(void *arg) {
  Worker *w = arg;
  set_name(usual_name);
  pthread_mutex_lock(&mutex);
  while (wait_for_work(w)) {
    if (w->work != NULL) {
      do_work(w);
    } else {
      do_collect(w);
    }
  }
  count--;
  if (!w->quit) {  // nobody will join it
    list_remove(&w->link);
    pthread_detach(pthread_self());
  }
  pthread_mutex_unlock(&mutex);
  end(w);
  return NULL;
}

// ---- the cache

// At exit: end the idle ones. Those at work are left to the system.
static void end_idle(void) {
  pthread_mutex_lock(&mutex);
  exiting = true;
  Link *link;
  while ((link = list_shift(&idle)) != NULL) {
    Worker *w = CONTAINER_OF(link, Worker, link);
    pthread_t thread = w->thread;
    w->quit = true;
    pthread_cond_signal(&w->wakeup);
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
    pthread_mutex_lock(&mutex);
  }
  pthread_mutex_unlock(&mutex);
}

static void before_fork(void) { pthread_mutex_lock(&mutex); }
static void after_fork(void) { pthread_mutex_unlock(&mutex); }

// A forked child has none of the threads.
static void in_child(void) {
  list_init(&idle);
  count = busy = 0;
  pthread_mutex_init(&mutex, NULL);
}

static void prepare(void) {
  atexit(end_idle);
  pthread_atfork(before_fork, after_fork, in_child);
}

static int init_condition(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  int result = pthread_condattr_init(&attributes);
  if (result != 0) return result;
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  result = pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
  return result;
}

static int create_thread(Worker *w) {
  sigset_t ours, before;
  sigemptyset(&ours);
  sigaddset(&ours, SIGINT);
  sigaddset(&ours, SIGUSR1);
  sigaddset(&ours, SIGALRM);
  sigaddset(&ours, SIGPROF);
  pthread_sigmask(SIG_BLOCK, &ours, &before);
  int result = pthread_create(&w->thread, NULL, worker_main, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result;
}

// The mutex is held.
static int start_new(Work *work) {
  Worker *w = mem_alloc(sizeof(Worker));
  if (w == NULL) return ENOMEM;
  int result = init_condition(&w->wakeup);
  if (result != 0) {
    mem_free(w);
    return result;
  }
  w->work = work;
  result = create_thread(w);
  if (result != 0) {
    pthread_cond_destroy(&w->wakeup);
    mem_free(w);
    return result;
  }
  count++;
  mem_keep(1);
  return 0;
}

int worker_start(Work *work) {
  pthread_once(&prepared, prepare);
  pthread_mutex_lock(&mutex);
  int result = 0;
  Link *link = list_shift(&idle);
  if (link != NULL) {
    Worker *w = CONTAINER_OF(link, Worker, link);
    w->work = work;
    pthread_cond_signal(&w->wakeup);
  } else if (exiting) {
    result = ECANCELED;
  } else {
    result = start_new(work);
  }
  if (result == 0) busy++;
  pthread_mutex_unlock(&mutex);
  return result;
}

// Wait until no work is under way, but not for those that hang. The mutex is
// held.
static void wait_until_idle(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 1;
  while (busy > 0) {
    if (pthread_cond_timedwait(&settled, &mutex, &until) != 0) return;
  }
}

void worker_collect(void) {
  pthread_mutex_lock(&mutex);
  wait_until_idle();
  List workers;
  list_init(&workers);
  list_splice(&workers, &idle);
  Link *link;
  while ((link = list_shift(&workers)) != NULL) {
    Worker *w = CONTAINER_OF(link, Worker, link);
    w->collect = true;
    pthread_cond_signal(&w->wakeup);
    while (w->collect) pthread_cond_wait(&settled, &mutex);
  }
  pthread_mutex_unlock(&mutex);
}

int worker_count(void) {
  pthread_mutex_lock(&mutex);
  int result = count;
  pthread_mutex_unlock(&mutex);
  return result;
}
