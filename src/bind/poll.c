// SPDX-License-Identifier: MIT
// poll.c: see poll.h. Deadlines are not libuv timers: the runner computes one
// timeout per pass, and the single timer here only bounds the blocking.
#include "poll.h"

#include <math.h>
#include <unistd.h>
#include <uv.h>

#include "../base/debug.h"
#include "../base/mem.h"

struct Poll {
  uv_loop_t own;    // unused where the loop is a host's
  uv_loop_t *loop;  // the one in use
  uv_timer_t timer;
  uv_async_t async;
  int open;  // of these two handles, while a host's loop closes them
  bool timed_out;
  pid_t process;  // that made its own loop, or renewed it
};

// uv_run looks at timers before it blocks. If ours is due already then, because
// the thread was not scheduled for a millisecond, nothing would end the block
// that follows: uv_stop keeps this uv_run from blocking.
static void on_timer(uv_timer_t *timer) {
  CONTAINER_OF(timer, Poll, timer)->timed_out = true;
  uv_stop(timer->loop);
}

static void on_async(uv_async_t *async) { UNUSED(async); }

static bool init_handles(Poll *p) {
  return uv_timer_init(p->loop, &p->timer) == 0 &&
         uv_async_init(p->loop, &p->async, on_async) == 0;
}

Poll *poll_new(void) {
  Poll *p = mem_alloc(sizeof(Poll));
  if (p == NULL) return NULL;
  p->loop = &p->own;
  if (uv_loop_init(&p->own) != 0) goto fail_loop;
  if (!init_handles(p)) goto fail_handle;
  p->process = getpid();
  return p;
fail_handle:
  uv_loop_close(&p->own);
fail_loop:
  mem_free(p);
  return NULL;
}

Poll *poll_borrow(uv_loop_t *loop) {
  Poll *p = mem_alloc(sizeof(Poll));
  if (p == NULL) return NULL;
  p->loop = loop;
  if (!init_handles(p)) {
    mem_free(p);
    return NULL;
  }
  // The host's loop may end although a run waits; its own handles decide.
  uv_unref((uv_handle_t *)&p->async);
  return p;
}

bool poll_is_borrowed(const Poll *p) { return p->loop != &p->own; }

bool poll_renew(Poll *p) {
  if (poll_is_borrowed(p) || p->process == getpid()) return true;
  if (uv_loop_fork(&p->own) != 0) return false;
  p->process = getpid();
  return true;
}

static void close_handle(uv_handle_t *handle, void *arg) {
  UNUSED(arg);
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void on_timer_closed(uv_handle_t *handle) {
  Poll *p = CONTAINER_OF(handle, Poll, timer);
  if (--p->open == 0) mem_free(p);
}

static void on_async_closed(uv_handle_t *handle) {
  Poll *p = CONTAINER_OF(handle, Poll, async);
  if (--p->open == 0) mem_free(p);
}

void poll_free(Poll *p) {
  if (p->loop != &p->own) {
    p->open = 2;
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
    uv_close((uv_handle_t *)&p->async, on_async_closed);
    return;
  }
  poll_renew(p);
  uv_walk(p->loop, close_handle, NULL);
  while (uv_run(p->loop, UV_RUN_DEFAULT) != 0) continue;
  int result = uv_loop_close(p->loop);
  ASSERT(result == 0);
  mem_free(p);
}

bool poll_wait(Poll *p, double seconds) {
  if (seconds <= 0) {
    uv_run(p->loop, UV_RUN_NOWAIT);
    return true;
  }
  p->timed_out = false;
  if (seconds != INFINITY) {
    // Rounded up: a wait that ends a little late is looked at once, one that
    // ends early would spin.
    uv_update_time(p->loop);
    uv_timer_start(&p->timer, on_timer, (uint64_t)ceil(seconds * 1000), 0);
  }
  uv_run(p->loop, UV_RUN_ONCE);
  uv_timer_stop(&p->timer);
  return p->timed_out;
}

void poll_stop(Poll *p) { uv_stop(p->loop); }

void poll_wake(Poll *p) { uv_async_send(&p->async); }

typedef struct Count {
  const Poll *poll;
  int open, active;
} Count;

static void count_handle(uv_handle_t *handle, void *arg) {
  Count *count = arg;
  if (handle == (const uv_handle_t *)&count->poll->timer) return;
  if (handle == (const uv_handle_t *)&count->poll->async) return;
  if (!uv_is_closing(handle)) count->open++;
  if (uv_is_active(handle) && uv_has_ref(handle)) count->active++;
}

static Count count_handles(Poll *p) {
  Count count = {p, 0, 0};
  uv_walk(p->loop, count_handle, &count);
  return count;
}

bool poll_has_sources(Poll *p) {
  if (p->loop->active_reqs.count > 0) return true;
  return count_handles(p).active > 0;
}

int poll_count_handles(Poll *p) { return count_handles(p).open; }

struct uv_loop_s *poll_loop(Poll *p) {
  return p->loop;
}
