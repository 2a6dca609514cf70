// SPDX-License-Identifier: MIT
// floor.c: what the benchmarks are compared with. Each measure does the same
// work as its namesake in tasks.lua with bare Lua coroutines driven by a C
// loop: no task objects, no nurseries, no error reports, no event loop. What a
// runtime costs is the distance to this. The deadlines stand in the project's
// own heap, so that the comparison is not about heaps.
//
//   floor MEASURE TASKS ROUNDS      prints nanoseconds per operation, or bytes
//
// run.lua starts it; it must stay as lean as a program can be that yields the
// same results.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../src/base/heap.h"

// Lua allows about 200 nested C calls; a scope this deep in C yields once, is
// resumed at once, and goes on from an empty C stack.
enum { DEEPEST_C_STACK = 100 };

typedef struct FloorTask {
  lua_State *co;
  HeapNode *nodes;  // one per scope that may be open at once
  int open_scopes;
  bool cancelled;
} FloorTask;

static lua_State *L;
static Heap deadlines;
static FloorTask *tasks;
static int task_count;
static int c_depth;  // protected calls since the last resume
static char cancelled_mark;

static _Noreturn void die(lua_State *co, const char *what) {
  const char *message = co == NULL ? NULL : lua_tostring(co, -1);
  fprintf(stderr, "floor: %s: %s\n", what, message == NULL ? "?" : message);
  exit(1);
}

static double cpu_seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static void report(double seconds, double operations) {
  printf("%.6g\n", seconds * 1e9 / operations);
}

static double resident_bytes(void) {
  char line[256];
  double bytes = -1;
  FILE *file = fopen("/proc/self/status", "r");
  if (file == NULL) die(NULL, "no /proc/self/status");
  while (fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "VmRSS:", 6) == 0) bytes = 1024 * strtod(line + 6, NULL);
  }
  fclose(file);
  return bytes;
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
  heap_insert(&deadlines, task_of(co)->nodes, luaL_checknumber(co, 1));
  return lua_yieldk(co, 0, 0, sleep_finish);
}

static int scope_finish(lua_State *co, int status, lua_KContext context) {
  FloorTask *task = task_of(co);
  (void)context;
  heap_remove(&deadlines, &task->nodes[--task->open_scopes]);
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(co);
  return 0;
}

static int scope_start(lua_State *co, int status, lua_KContext context) {
  FloorTask *task = task_of(co);
  (void)status;
  (void)context;
  HeapNode *node = &task->nodes[task->open_scopes++];
  heap_insert(&deadlines, node, luaL_checknumber(co, 1));
  c_depth++;
  status = lua_pcallk(co, 0, 0, 0, 0, scope_finish);
  c_depth--;
  return scope_finish(co, status, 0);
}

// scope(deadline, body)
static int l_scope(lua_State *co) {
  lua_settop(co, 2);
  if (c_depth < DEEPEST_C_STACK) return scope_start(co, LUA_OK, 0);
  return lua_yieldk(co, 0, 0, scope_start);
}

// Make `count` threads, each with a copy of what stands on the main stack from
// index 1 to 1 + nargs. They stay anchored there.
static void make_tasks(int count, int nargs, int depth) {
  task_count = count;
  tasks = calloc((size_t)count, sizeof *tasks);
  if (tasks == NULL || !lua_checkstack(L, count + 10)) die(NULL, "memory");
  for (int i = 0; i < count; i++) {
    tasks[i].nodes = calloc((size_t)depth, sizeof *tasks[i].nodes);
    tasks[i].co = lua_newthread(L);
    if (tasks[i].nodes == NULL) die(NULL, "memory");
    *(FloorTask **)lua_getextraspace(tasks[i].co) = &tasks[i];
    for (int k = 1; k <= 1 + nargs; k++) lua_pushvalue(L, k);
    lua_xmove(L, tasks[i].co, 1 + nargs);
  }
}

static void free_tasks(void) {
  for (int i = 0; i < task_count; i++) free(tasks[i].nodes);
  free(tasks);
}

// Every task one step, up to its next yield.
static void step_all(int nargs) {
  int results;
  for (int i = 0; i < task_count; i++) {
    c_depth = 0;
    int status = lua_resume(tasks[i].co, L, nargs, &results);
    if (status != LUA_YIELD) die(tasks[i].co, "step");
  }
}

static void load_source(const char *source) {
  if (luaL_loadstring(L, source) != LUA_OK) die(L, "load");
}

// All tasks in turn, one step each per round; one that waits in its first
// step is not in the price.
static void measure_steps(int count, int rounds, int nargs) {
  make_tasks(count, nargs, 1);
  step_all(nargs);
  double start = cpu_seconds();
  for (int i = 0; i < rounds; i++) step_all(0);
  report(cpu_seconds() - start, (double)rounds * count);
}

static void measure_checkpoint(int count, int rounds) {
  load_source("local yield = ... while true do yield() end");
  lua_pushcfunction(L, l_yield);
  measure_steps(count, rounds, 1);
}

static void measure_timeout(int count, int rounds) {
  load_source("local scope, yield = ... while true do scope(1, yield) end");
  lua_pushcfunction(L, l_scope);
  lua_pushcfunction(L, l_yield);
  measure_steps(count, rounds, 2);
}

static void measure_spawn(int count, int rounds) {
  lua_State **made = calloc((size_t)count, sizeof(lua_State *));
  int results;
  load_source("");
  if (made == NULL || !lua_checkstack(L, count + 10)) die(NULL, "memory");
  lua_gc(L, LUA_GCCOLLECT);
  double start = cpu_seconds();
  for (int round = 0; round < rounds; round++) {
    for (int i = 0; i < count; i++) {
      made[i] = lua_newthread(L);
      lua_pushvalue(L, 1);
      lua_xmove(L, made[i], 1);
    }
    for (int i = 0; i < count; i++) {
      int status = lua_resume(made[i], L, 0, &results);
      if (status != LUA_OK) die(made[i], "spawn");
    }
    lua_settop(L, 1);
  }
  report(cpu_seconds() - start, (double)rounds * count);
  free(made);
}

// Leaves `count` sleeping tasks.
static void make_sleepers(int count) {
  lua_settop(L, 0);
  lua_pushcfunction(L, l_sleep);
  lua_pushnumber(L, 1000);
  make_tasks(count, 1, 1);
  step_all(1);
}

static void cancel_all(void) {
  int results;
  for (int i = 0; i < task_count; i++) {
    lua_State *co = tasks[i].co;
    tasks[i].cancelled = true;
    heap_remove(&deadlines, tasks[i].nodes);
    int status = lua_resume(co, L, 0, &results);
    if (status != LUA_ERRRUN || lua_touserdata(co, -1) != &cancelled_mark) {
      die(co, "cancel");
    }
    lua_resetthread(co);
  }
}

static void measure_cancel(int count, int rounds) {
  double seconds = 0;
  for (int round = 0; round < rounds; round++) {
    make_sleepers(count);
    lua_gc(L, LUA_GCCOLLECT);
    double start = cpu_seconds();
    cancel_all();
    seconds += cpu_seconds() - start;
    free_tasks();
  }
  report(seconds, (double)rounds * count);
}

// Here the number of tasks is the number of scopes inside each other.
static void measure_nested(int depth, int rounds) {
  int results;
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
  lua_State *co = tasks[0].co;
  double start = cpu_seconds();
  int status = lua_resume(co, L, 4, &results);
  while (status == LUA_YIELD) {
    c_depth = 0;
    status = lua_resume(co, L, 0, &results);
  }
  if (status != LUA_OK || deadlines.count != 0) die(co, "nested");
  report(cpu_seconds() - start, (double)rounds * depth);
}

static void measure_memory(int count, int rounds) {
  (void)rounds;
  double before = resident_bytes();
  make_sleepers(count);
  printf("%.6g\n", (resident_bytes() - before) / count);
}

static const struct {
  const char *name;
  void (*run)(int count, int rounds);
} measures[] = {
    {"checkpoint", measure_checkpoint}, {"timeout", measure_timeout},
    {"spawn", measure_spawn},           {"cancel", measure_cancel},
    {"nested", measure_nested},         {"memory", measure_memory},
};

int main(int argc, char **argv) {
  int count = argc == 4 ? (int)strtol(argv[2], NULL, 10) : 0;
  int rounds = argc == 4 ? (int)strtol(argv[3], NULL, 10) : 0;
  L = luaL_newstate();
  if (L == NULL || count <= 0 || rounds <= 0) {
    fprintf(stderr, "usage: floor MEASURE TASKS ROUNDS\n");
    return 2;
  }
  luaL_openlibs(L);
  heap_init(&deadlines);
  for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
    if (strcmp(argv[1], measures[i].name) != 0) continue;
    measures[i].run(count, rounds);
    fflush(stdout);
    _exit(0);  // taking 100,000 threads down is no part of any measure
  }
  fprintf(stderr, "floor: no measure %s\n", argv[1]);
  return 2;
}
