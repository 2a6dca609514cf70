// SPDX-License-Identifier: MIT
// floor_channel.c: what the measures of channels.lua are compared with: the
// same work with bare Lua coroutines and a channel and a lock that can do
// nothing else. No cancellation, no closing, no argument is checked.
//
//   floor_channel MEASURE TASKS ROUNDS
//
// Prints two costs in nanoseconds. The fair one keeps the promise that every
// operation lets the others have a turn, so each goes through the queue of
// ready tasks once. The bare one suspends only where it has to wait, as Go's
// channels do.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct FloorTask {
  lua_State *co;
  struct FloorTask *next;  // in the one queue that it stands in
  int values;              // what was moved to it while it waited
} FloorTask;

typedef struct Queue {
  FloorTask *first, *last;
} Queue;

// Upvalue 1 of send and receive; upvalue 2 is the ring.
typedef struct FloorChannel {
  Queue senders, receivers;
  int limit, first, used;
} FloorChannel;

typedef struct FloorLock {
  Queue waiting;
  bool held;
} FloorLock;

static lua_State *L;
static Queue ready;
static bool fair;

static _Noreturn void die(lua_State *co, const char *what) {
  const char *message = co == NULL ? NULL : lua_tostring(co, -1);
  fprintf(stderr, "floor_channel: %s: %s\n", what,
          message == NULL ? "?" : message);
  exit(1);
}

static void push(Queue *queue, FloorTask *task) {
  task->next = NULL;
  if (queue->first == NULL) {
    queue->first = task;
  } else {
    queue->last->next = task;
  }
  queue->last = task;
}

static FloorTask *shift(Queue *queue) {
  FloorTask *task = queue->first;
  if (task != NULL) queue->first = task->next;
  return task;
}

static FloorTask *task_of(lua_State *co) {
  return *(FloorTask **)lua_getextraspace(co);
}

static int return_top(lua_State *co, int status, lua_KContext context) {
  (void)co;
  (void)status;
  return (int)context;
}

// The end of an operation that need not wait.
static int done(lua_State *co, int results) {
  if (!fair) return results;
  push(&ready, task_of(co));
  return lua_yieldk(co, 0, results, return_top);
}

static int wait_in(lua_State *co, Queue *queue, int results) {
  push(queue, task_of(co));
  return lua_yieldk(co, 0, results, return_top);
}

static void append(lua_State *co, FloorChannel *ch) {
  lua_rawseti(co, lua_upvalueindex(2),
              ((ch->first + ch->used) & (ch->limit - 1)) + 1);
  ch->used++;
}

static int l_send(lua_State *co) {
  FloorChannel *ch = lua_touserdata(co, lua_upvalueindex(1));
  FloorTask *receiver = shift(&ch->receivers);
  if (receiver != NULL) {
    lua_xmove(co, receiver->co, 1);
    push(&ready, receiver);
    return done(co, 0);
  }
  if (ch->used == ch->limit) return wait_in(co, &ch->senders, 0);
  append(co, ch);
  return done(co, 0);
}

static int l_receive(lua_State *co) {
  FloorChannel *ch = lua_touserdata(co, lua_upvalueindex(1));
  FloorTask *sender = shift(&ch->senders);
  if (ch->used == 0) {
    if (sender == NULL) return wait_in(co, &ch->receivers, 1);
    lua_xmove(sender->co, co, 1);
  } else {
    lua_rawgeti(co, lua_upvalueindex(2), ch->first + 1);
    ch->first = (ch->first + 1) & (ch->limit - 1);
    ch->used--;
    if (sender != NULL) {
      lua_xmove(sender->co, co, 1);
      append(co, ch);
    }
  }
  if (sender != NULL) push(&ready, sender);
  return done(co, 1);
}

static int l_acquire(lua_State *co) {
  FloorLock *lock = lua_touserdata(co, lua_upvalueindex(1));
  if (lock->held) return wait_in(co, &lock->waiting, 0);
  lock->held = true;
  return done(co, 0);
}

static int l_release(lua_State *co) {
  FloorLock *lock = lua_touserdata(co, lua_upvalueindex(1));
  FloorTask *next = shift(&lock->waiting);
  if (next != NULL) {
    push(&ready, next);
  } else {
    lock->held = false;
  }
  return 0;
}

// Push send and receive of a new channel.
static void push_channel(int limit) {
  FloorChannel *ch = lua_newuserdatauv(L, sizeof *ch, 0);
  memset(ch, 0, sizeof *ch);
  ch->limit = limit;
  lua_createtable(L, limit, 0);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, l_receive, 2);
  lua_insert(L, -3);
  lua_pushcclosure(L, l_send, 2);
  lua_insert(L, -2);
}

static void push_lock(void) {
  FloorLock *lock = lua_newuserdatauv(L, sizeof *lock, 0);
  memset(lock, 0, sizeof *lock);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, l_acquire, 1);
  lua_insert(L, -2);
  lua_pushcclosure(L, l_release, 1);
}

// A task that runs the source with `n` and the values on the main stack.
static void add_task(FloorTask *task, const char *source, int n) {
  int count = lua_gettop(L);
  task->co = lua_newthread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, task);
  *(FloorTask **)lua_getextraspace(task->co) = task;
  if (luaL_loadstring(task->co, source) != LUA_OK) die(task->co, "load");
  lua_pushinteger(task->co, n);
  for (int i = 1; i <= count; i++) lua_pushvalue(L, i);
  lua_xmove(L, task->co, count);
  task->values = count + 1;
  push(&ready, task);
}

// Run until nobody is ready; how many tasks have ended?
static int run(void) {
  int results;
  int ended = 0;
  FloorTask *task;
  while ((task = shift(&ready)) != NULL) {
    int values = task->values;
    task->values = 0;
    int status = lua_resume(task->co, L, values, &results);
    if (status == LUA_YIELD) continue;
    if (status != LUA_OK) die(task->co, "run");
    ended++;
  }
  return ended;
}

static const char producer[] =
    "local n, send = ... for i = 1, n do send(i) end";
static const char consumer[] =
    "local n, _, receive = ... for _ = 1, n do receive() end";

static double pingpong(FloorTask *tasks, int count, int rounds) {
  (void)count;
  push_channel(0);
  push_channel(0);
  add_task(&tasks[0],
           "local n, there, _, _, answer = ... "
           "for _ = 1, n do there(1) answer() end",
           rounds);
  add_task(&tasks[1],
           "local n, _, here, back = ... for _ = 1, n do here() back(2) end",
           rounds);
  return 2.0 * rounds;
}

static double throughput(FloorTask *tasks, int count, int rounds) {
  int each = (int)((double)rounds * count / (count - 1));
  push_channel(1024);
  add_task(&tasks[0], consumer, each * (count - 1));
  for (int i = 1; i < count; i++) add_task(&tasks[i], producer, each);
  return (double)each * (count - 1);
}

static double lock(FloorTask *tasks, int count, int rounds) {
  push_lock();
  for (int i = 0; i < count; i++) {
    add_task(&tasks[i],
             "local n, acquire, release = ... "
             "for _ = 1, n do acquire() release() end",
             rounds);
  }
  return (double)rounds * count;
}

static const struct {
  const char *name;
  double (*start)(FloorTask *tasks, int count, int rounds);
} measures[] = {{"pingpong", pingpong},
                {"throughput", throughput},
                {"fan_in", throughput},
                {"lock", lock},
                {"contended", lock}};

static double measured(size_t measure, int count, int rounds) {
  FloorTask *tasks = calloc((size_t)count, sizeof *tasks);
  L = luaL_newstate();
  if (tasks == NULL || L == NULL) die(NULL, "memory");
  luaL_openlibs(L);
  double operations = measures[measure].start(tasks, count, rounds);
  double start = (double)clock() / CLOCKS_PER_SEC;
  if (run() != count) die(NULL, "tasks are left");
  double seconds = (double)clock() / CLOCKS_PER_SEC - start;
  lua_close(L);
  free(tasks);
  return seconds * 1e9 / operations;
}

int main(int argc, char **argv) {
  int count = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0;
  int rounds = argc == 4 ? (int)strtol(argv[3], NULL, 10) : 0;
  if (rounds <= 0) count = 0;
  for (size_t i = 0; count > 0 && i < sizeof measures / sizeof *measures; i++) {
    if (strcmp(argv[1], measures[i].name) != 0) continue;
    fair = true;
    double with_turns = measured(i, count, rounds);
    fair = false;
    printf("%.6g %.6g\n", with_turns, measured(i, count, rounds));
    return 0;
  }
  fprintf(stderr, "usage: floor_channel MEASURE TASKS ROUNDS\n");
  return 2;
}
