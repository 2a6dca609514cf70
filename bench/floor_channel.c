// SPDX-License-Identifier: MIT
// floor_channel.c: what the workloads of tasks.lua about channels and locks are
// compared with: the same work with bare Lua coroutines and a channel and a
// lock that can do nothing else. No cancellation, no closing, no argument is
// checked. As there, every operation lets the others have a turn: it goes
// through the queue of ready tasks once.
//
//   floor_channel WORKLOAD TASKS ROUNDS
//
// Prints nanoseconds of processor time per operation.
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
  int values;              // how many it is resumed with
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
static int added, ended;

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

// The end of an operation that need not wait. What it returns stays on the
// stack, and the task is resumed with it.
static int done(lua_State *co, int results) {
  FloorTask *task = task_of(co);
  task->values = results;
  push(&ready, task);
  return lua_yield(co, results);
}

static int wait_in(lua_State *co, Queue *queue, int kept) {
  push(queue, task_of(co));
  return lua_yield(co, kept);
}

static void wake(FloorTask *task, int values) {
  task->values = values;
  push(&ready, task);
}

static void append(lua_State *co, FloorChannel *ch) {
  lua_rawseti(co, lua_upvalueindex(2),
              ((ch->first + ch->used) & (ch->limit - 1)) + 1);
  ch->used++;
}

static int l_send(lua_State *co) {
  lua_settop(co, 1);
  FloorChannel *ch = lua_touserdata(co, lua_upvalueindex(1));
  FloorTask *receiver = shift(&ch->receivers);
  if (receiver != NULL) {
    lua_xmove(co, receiver->co, 1);
    wake(receiver, 1);
    return done(co, 0);
  }
  if (ch->used == ch->limit) return wait_in(co, &ch->senders, 1);
  append(co, ch);
  return done(co, 0);
}

static int l_receive(lua_State *co) {
  lua_settop(co, 0);
  FloorChannel *ch = lua_touserdata(co, lua_upvalueindex(1));
  FloorTask *sender = shift(&ch->senders);
  if (ch->used == 0) {
    if (sender == NULL) return wait_in(co, &ch->receivers, 0);
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
  if (sender != NULL) wake(sender, 0);
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
    wake(next, 0);
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
  added++;
}

// Run until nobody is ready.
static void run(void) {
  int results;
  FloorTask *task;
  while ((task = shift(&ready)) != NULL) {
    int status = lua_resume(task->co, L, task->values, &results);
    if (status == LUA_YIELD) continue;
    if (status != LUA_OK) die(task->co, "run");
    ended++;
  }
}

static double channel(FloorTask *tasks, int producers, int each, int limit) {
  push_channel(limit);
  add_task(&tasks[0],
           "local n, _, receive = ... local sum = 0 "
           "for _ = 1, n do sum = sum + receive() end",
           producers * each);
  for (int i = 1; i <= producers; i++) {
    add_task(&tasks[i], "local n, send = ... for i = 1, n do send(i) end",
             each);
  }
  return (double)producers * each;
}

static double unbuffered(FloorTask *tasks, int producers, int each) {
  return channel(tasks, producers, each, 0);
}

static double buffered(FloorTask *tasks, int producers, int each) {
  return channel(tasks, producers, each, 1024);
}

// One task uses that many channels in turn.
static double many(FloorTask *tasks, int count, int rounds) {
  lua_createtable(L, 2 * count, 0);
  for (int i = 0; i < count; i++) {
    push_channel(1);
    lua_rawseti(L, 1, 2 * i + 2);
    lua_rawseti(L, 1, 2 * i + 1);
    lua_settop(L, 1);
  }
  add_task(&tasks[0],
           "local n, ends = ... for round = 1, n do "
           "for i = 1, #ends, 2 do ends[i](round) ends[i + 1]() end end",
           rounds);
  return (double)rounds * count;
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
} workloads[] = {{"channel0", unbuffered},
                 {"channel1024", buffered},
                 {"fan", unbuffered},
                 {"channels", many},
                 {"lock", lock}};

int main(int argc, char **argv) {
  int count = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0;
  int rounds = argc == 4 ? (int)strtol(argv[3], NULL, 10) : 0;
  FloorTask *tasks = calloc((size_t)count + 1, sizeof *tasks);
  L = luaL_newstate();
  if (tasks == NULL || L == NULL) die(NULL, "memory");
  luaL_openlibs(L);
  if (rounds <= 0) count = 0;
  for (size_t i = 0; count > 0 && i < sizeof workloads / sizeof *workloads;
       i++) {
    if (strcmp(argv[1], workloads[i].name) != 0) continue;
    double operations = workloads[i].start(tasks, count, rounds);
    double start = (double)clock() / CLOCKS_PER_SEC;
    run();
    double seconds = (double)clock() / CLOCKS_PER_SEC - start;
    if (ended != added) die(NULL, "tasks are left");
    printf("%.6g\n", seconds * 1e9 / operations);
    fflush(stdout);
    _exit(0);
  }
  fprintf(stderr, "usage: floor_channel WORKLOAD TASKS ROUNDS\n");
  return 2;
}
