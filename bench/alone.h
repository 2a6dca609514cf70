// SPDX-License-Identifier: MIT
// alone.h: what the programs that start measured programs share: a processor
// of one's own, priority, and how long a process had to wait for it.
#ifndef TRIO_BENCH_ALONE_H
#define TRIO_BENCH_ALONE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // sched_setaffinity
#endif
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

// Nanoseconds on a processor, and waiting for one.
typedef struct Times {
  double running, waiting;
} Times;

static inline double now_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// The times of all threads that the process has now; none where the kernel
// keeps no such account.
static inline Times times_of(pid_t pid) {
  char path[64];
  Times sum = {0, 0};
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *folder = opendir(path);
  struct dirent *entry;
  while (folder != NULL && (entry = readdir(folder)) != NULL) {
    char name[128];
    double running = 0, waiting = 0;
    snprintf(name, sizeof name, "%s/%.20s/schedstat", path, entry->d_name);
    FILE *file = entry->d_name[0] == '.' ? NULL : fopen(name, "r");
    if (file == NULL) continue;
    if (fscanf(file, "%lf %lf", &running, &waiting) == 2) {
      sum.running += running;
      sum.waiting += waiting;
    }
    fclose(file);
  }
  if (folder != NULL) closedir(folder);
  return sum;
}

static inline double waited_share(Times t) {
  double all = t.running + t.waiting;
  return all > 0 ? t.waiting / all : 0;
}

typedef enum Where { FIRST_PROCESSOR, LAST_PROCESSOR, ALL_PROCESSORS } Where;

// This process, and those that it starts, on one of the processors that it may
// use, or on all; ahead of others and with as many files as is permitted. With
// REALTIME in the environment nobody else gets the processor meanwhile, as long
// as the kernel tolerates that.
static inline void alone_here(Where where) {
  cpu_set_t may, one;
  CPU_ZERO(&one);
  if (where != ALL_PROCESSORS && sched_getaffinity(0, sizeof may, &may) == 0) {
    size_t chosen = CPU_SETSIZE;
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
      bool better = where == LAST_PROCESSOR || chosen == CPU_SETSIZE;
      if (CPU_ISSET(i, &may) && better) chosen = i;
    }
    CPU_SET(chosen, &one);  // nothing where there is none
    sched_setaffinity(0, sizeof one, &one);
  }
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  setsid();
  setpriority(PRIO_PROCESS, 0, -20);
  struct sched_param real_time = {.sched_priority = 1};
  if (getenv("REALTIME") != NULL) sched_setscheduler(0, SCHED_RR, &real_time);
  FILE *group = fopen("/proc/self/autogroup", "w");
  if (group != NULL) {
    fputs("-20", group);
    fclose(group);
  }
}

static inline void end_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL); }

// Start a server alone on the last processor and read the three ports that it
// prints. -1 where it does not start, with a reason in errno.
static inline pid_t start_server(char **command, int ports[3]) {
  int out[2];
  if (pipe(out) != 0) return -1;
  pid_t server = fork();
  if (server < 0) return -1;
  if (server == 0) {
    end_with_parent();
    alone_here(LAST_PROCESSOR);
    dup2(out[1], STDOUT_FILENO);
    close(out[0]);
    close(out[1]);
    execvp(command[0], command);
    perror(command[0]);
    _exit(1);
  }
  close(out[1]);
  FILE *file = fdopen(out[0], "r");
  if (file == NULL) return -1;
  if (fscanf(file, "%d %d %d", &ports[0], &ports[1], &ports[2]) == 3) {
    return server;
  }
  errno = ECHILD;
  return -1;
}

#endif
