// SPDX-License-Identifier: MIT
// floor.c: what the workloads of tasks.lua are compared with: the same work
// with bare Lua coroutines driven by a C loop. No task objects, no nurseries,
// no error reports, no event loop. What a runtime costs is the distance to
// this; it must stay as lean as a program can be that yields the same results.
//
//   floor WORKLOAD TASKS ROUNDS
//
// Prints one number: nanoseconds of processor time per operation; for sleep
// the seconds that went by, for sleep_mem bytes per task.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "floor_heap.h"

// Lua allows about 200 nested C calls; a scope this deep in C yields once, is
// resumed at once, and goes on from an empty C stack.
enum { DEEPEST_C_STACK = 100 };

typedef struct FloorTask {
  lua_State *co;
  FloorNode *nodes;  // one per scope that may be open at once
  FloorNode node;    // the first of them
  int open_scopes;
  int anchor;
  bool cancelled;
} FloorTask;

static lua_State *L;
static FloorHeap deadlines;
static FloorTask *tasks;
static int task_count, ended;
static int anchors;        // index of the table that keeps the threads alive
static int c_depth;        // protected calls since the last resume
static double loop_clock;  // read once per turn of the loop
static char cancelled_mark;

static _Noreturn void die(lua_State *co, const char *what) {
  const char *message = co == NULL ? NULL : lua_tostring(co, -1);
  fprintf(stderr, "floor: %s: %s\n", what, message == NULL ? "?" : message);
  exit(1);
}

static double cpu_seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static double wall_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void report(double seconds, double operations) {
  printf("%.6g\n", seconds * 1e9 / operations);
}

static double resident_bytes(void) {
  long all = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%ld %ld", &all, &resident) != 2) {
    die(NULL, "no /proc/self/statm");
  }
  fclose(file);
  return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static FloorTask *task_of(lua_State *co) {
  return *(FloorTask **)lua_getextraspace(co);
}

static int l_yield(lua_State *co) { return lua_yield(co, 0); }

static int sleep_finish(lua_State *co, int status, lua_KContext context) {
  (void)status;
  (void)context;
  if (!task_of(co)->cancelled) return 0;
  lua_pushlightuserdata(co, &cancelled_mark);
  return lua_error(co);
}

static int l_sleep(lua_State *co) {
  FloorTask *task = task_of(co);
  task->node.owner = task;
  task->node.key = loop_clock + luaL_checknumber(co, 1);
  floor_heap_add(&deadlines, &task->node);
  return lua_yieldk(co, 0, 0, sleep_finish);
}

static int scope_finish(lua_State *co, int status, lua_KContext context) {
  FloorTask *task = task_of(co);
  (void)context;
  floor_heap_remove(&deadlines, &task->nodes[--task->open_scopes]);
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(co);
  return 0;
}

static int scope_start(lua_State *co, int status, lua_KContext context) {
  FloorTask *task = task_of(co);
  (void)status;
  (void)context;
  FloorNode *node = &task->nodes[task->open_scopes++];
  node->key = loop_clock + luaL_checknumber(co, 1);
  floor_heap_add(&deadlines, node);
  c_depth++;
  status = lua_pcallk(co, 0, 0, 0, 0, scope_finish);
  c_depth--;
  return scope_finish(co, status, 0);
}

// scope(seconds, body)
static int l_scope(lua_State *co) {
  lua_settop(co, 2);
  if (c_depth < DEEPEST_C_STACK) return scope_start(co, LUA_OK, 0);
  return lua_yieldk(co, 0, 0, scope_start);
}

// Make `count` threads, each with a copy of what stands on the main stack from
// index 1 to 1 + nargs. A table keeps them alive until they end.
static void make_tasks(int count, int nargs, int depth) {
  task_count = count;
  tasks = calloc((size_t)count, sizeof *tasks);
  if (tasks == NULL) die(NULL, "memory");
  lua_newtable(L);
  anchors = lua_gettop(L);
  for (int i = 0; i < count; i++) {
    tasks[i].nodes = &tasks[i].node;
    if (depth > 1) tasks[i].nodes = calloc((size_t)depth, sizeof(FloorNode));
    if (tasks[i].nodes == NULL) die(NULL, "memory");
    lua_State *co = tasks[i].co = lua_newthread(L);
    *(FloorTask **)lua_getextraspace(co) = &tasks[i];
    for (int k = 1; k <= 1 + nargs; k++) lua_pushvalue(L, k);
    lua_xmove(L, co, 1 + nargs);
    tasks[i].anchor = luaL_ref(L, anchors);
  }
}

static void load_source(const char *source) {
  if (luaL_loadstring(L, source) != LUA_OK) die(L, "load");
}

// Run a task up to its next yield or its end.
static void step(FloorTask *task, int nargs) {
  int results;
  c_depth = 0;
  int status = lua_resume(task->co, L, nargs, &results);
  if (status == LUA_YIELD) return;
  if (status != LUA_OK) {
    if (lua_touserdata(task->co, -1) != &cancelled_mark) die(task->co, "task");
    lua_resetthread(task->co);
  }
  ended++;
  luaL_unref(L, anchors, task->anchor);
}

static void step_all(int nargs) {
  for (int i = 0; i < task_count; i++) step(&tasks[i], nargs);
}

// All tasks in turn, one step each per round; one that waits in its first
// step is not in the price.
static void run_steps(int count, int rounds, int nargs) {
  make_tasks(count, nargs, 1);
  step_all(nargs);
  int results, status = LUA_YIELD;
  double start = cpu_seconds();
  for (int round = 0; round < rounds; round++) {
    for (int i = 0; i < count; i++) {
      c_depth = 0;
      status = lua_resume(tasks[i].co, L, 0, &results);
      if (status != LUA_YIELD) die(tasks[i].co, "a task has ended");
    }
  }
  report(cpu_seconds() - start, (double)rounds * count);
}

static void checkpoint(int count, int rounds) {
  load_source("local yield = ... for _ = 1, math.maxinteger do yield() end");
  lua_pushcfunction(L, l_yield);
  run_steps(count, rounds, 1);
}

static void timeouts(int count, int rounds) {
  load_source(
      "local scope, yield = ... for _ = 1, math.maxinteger do scope(1, yield) "
      "end");
  lua_pushcfunction(L, l_scope);
  lua_pushcfunction(L, l_yield);
  run_steps(count, rounds, 2);
}

static void spawn_batch(lua_State **made, int count) {
  int results;
  // The stack keeps few threads alive most cheaply; it can't keep a million.
  bool few = count <= 10000;
  if (!few) lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    made[i] = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, made[i], 1);
    if (!few) lua_rawseti(L, 2, i + 1);
  }
  for (int i = 0; i < count; i++) {
    int status = lua_resume(made[i], L, 0, &results);
    if (status != LUA_OK) die(made[i], "spawn");
  }
  lua_settop(L, 1);
}

static void spawn(int count, int rounds) {
  lua_State **made = calloc((size_t)count, sizeof(lua_State *));
  load_source("return function() end");
  lua_call(L, 0, 1);
  if (made == NULL || !lua_checkstack(L, 10010)) die(NULL, "memory");
  lua_gc(L, LUA_GCCOLLECT);
  double start = cpu_seconds();
  for (int round = 0; round < rounds; round++) spawn_batch(made, count);
  report(cpu_seconds() - start, (double)rounds * count);
}

// Leaves `count` tasks that sleep: for that long, or up to that long at random
// when it is negative.
static void make_sleepers(int count, double seconds) {
  lua_settop(L, 0);
  load_source("local sleep = ... return function(s) sleep(s) end");
  lua_pushcfunction(L, l_sleep);
  lua_call(L, 1, 1);
  lua_pushnumber(L, seconds);
  loop_clock = wall_seconds();
  make_tasks(count, 1, 1);
  srand(1);
  for (int i = 0; i < count && seconds < 0; i++) {
    lua_pop(tasks[i].co, 1);
    lua_pushnumber(tasks[i].co, -seconds * rand() / RAND_MAX);
  }
  step_all(1);
}

static void cancel_wide(int count, int rounds) {
  double seconds = 0;
  for (int round = 0; round < rounds; round++) {
    ended = 0;
    make_sleepers(count, 1000);
    double start = cpu_seconds();
    for (int i = 0; i < count; i++) {
      tasks[i].cancelled = true;
      floor_heap_remove(&deadlines, &tasks[i].node);
      step(&tasks[i], 0);
    }
    seconds += cpu_seconds() - start;
    if (ended != count) die(NULL, "tasks are left");
    free(tasks);
  }
  report(seconds, (double)rounds * count);
}

// Here the number of tasks is the number of scopes inside each other; with one
// it is the workload "timeout".
static void cancel_deep(int depth, int rounds) {
  load_source(
      "local scope, yield, depth, rounds = ...\n"
      "local function nest(k)\n"
      "  if k == 0 then return yield() end\n"
      "  scope(1, function() nest(k - 1) end)\n"
      "end\n"
      "for _ = 1, rounds do nest(depth) end");
  lua_pushcfunction(L, l_scope);
  lua_pushcfunction(L, l_yield);
  lua_pushinteger(L, depth);
  lua_pushinteger(L, rounds);
  make_tasks(1, 4, depth);
  double start = cpu_seconds();
  for (int nargs = 4; ended == 0; nargs = 0) step(tasks, nargs);
  if (deadlines.count != 0) die(NULL, "a scope is left");
  report(cpu_seconds() - start, (double)rounds * depth);
}

static void sleep_random(int count, int rounds) {
  (void)rounds;
  double start = wall_seconds();
  make_sleepers(count, -0.1);
  while (deadlines.count > 0) {
    loop_clock = wall_seconds();
    double wait = deadlines.nodes[1]->key - loop_clock;
    if (wait > 0) {
      struct timespec t = {(time_t)wait, (long)(fmod(wait, 1) * 1e9)};
      nanosleep(&t, NULL);
      loop_clock = wall_seconds();
    }
    while (deadlines.count > 0 && deadlines.nodes[1]->key <= loop_clock) {
      FloorNode *first = deadlines.nodes[1];
      floor_heap_remove(&deadlines, first);
      step(first->owner, 0);
    }
  }
  if (ended != count) die(NULL, "tasks are left");
  printf("%.6g\n", wall_seconds() - start);
}

static void sleep_mem(int count, int rounds) {
  (void)rounds;
  double before = resident_bytes();
  make_sleepers(count, 1000);
  printf("%.6g\n", (resident_bytes() - before) / count);
}

static const struct {
  const char *name;
  void (*run)(int count, int rounds);
} workloads[] = {
    {"checkpoint", checkpoint},   {"timeouts", timeouts},
    {"timeout", cancel_deep},     {"spawn", spawn},
    {"cancel_wide", cancel_wide}, {"cancel_deep", cancel_deep},
    {"sleep", sleep_random},      {"sleep_mem", sleep_mem},
};

int main(int argc, char **argv) {
  int count = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0;
  int rounds = argc == 4 ? (int)strtol(argv[3], NULL, 10) : 0;
  L = luaL_newstate();
  if (L == NULL || count <= 0 || rounds <= 0) {
    fprintf(stderr, "usage: floor WORKLOAD TASKS ROUNDS\n");
    return 2;
  }
  luaL_openlibs(L);
  for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
    if (strcmp(argv[1], workloads[i].name) != 0) continue;
    workloads[i].run(count, rounds);
    fflush(stdout);
    _exit(0);  // taking 100,000 threads down is no part of any workload
  }
  fprintf(stderr, "floor: no workload %s\n", argv[1]);
  return 2;
}
