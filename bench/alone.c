// SPDX-License-Identifier: MIT
// alone.c: runs a program as undisturbed as the machine allows: on one
// processor (the last that it may use), ahead of other work where that is
// permitted, with a limit of time. run.lua starts every measured program so.
//
//   alone SECONDS 0 PROGRAM [ARGUMENT...]
//            runs it once, with its output, and adds the share of its time in
//            which it had to wait for the processor
//   alone SECONDS -1 PROGRAM [ARGUMENT...]
//            the same on all processors, for programs with threads or children
//   alone SECONDS COUNT PROGRAM [ARGUMENT...]
//            runs it COUNT times without its output; prints the median of the
//            microseconds from start to end, that share, and the most memory
//            that it had resident, in KB
#include "alone.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>

enum { MOST_RUNS = 1000 };

static pid_t child;

static void die(const char *what) {
  fprintf(stderr, "alone: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void on_alarm(int signal) {
  (void)signal;
  kill(child, SIGKILL);
}

static void start(char **command, bool silent) {
  child = fork();
  if (child < 0) die("fork");
  if (child > 0) return;
  end_with_parent();
  if (silent) dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
  execvp(command[0], command);
  die(command[0]);
}

// Wait for its end; its times are added to *times.
static struct rusage finish(Times *times) {
  siginfo_t info;
  struct rusage usage;
  int status;
  while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) != 0) {
    if (errno != EINTR) die("waitid");
  }
  Times now = times_of(child);
  times->running += now.running;
  times->waiting += now.waiting;
  if (wait4(child, &status, 0, &usage) != child) die("wait4");
  if (WIFSIGNALED(status)) {
    fprintf(stderr, "alone: ended by signal %d\n", WTERMSIG(status));
    exit(1);
  }
  if (WEXITSTATUS(status) != 0) exit(WEXITSTATUS(status));
  return usage;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  static double took[MOST_RUNS];
  if (argc < 4) return 2;
  unsigned limit = (unsigned)atoi(argv[1]);
  int count = atoi(argv[2]);
  if (count > MOST_RUNS) return 2;
  alone_here(count < 0 ? ALL_PROCESSORS : LAST_PROCESSOR);
  signal(SIGALRM, on_alarm);
  alarm(limit);
  Times times = {0, 0};
  long most = 0;
  for (int i = 0; i < count; i++) {
    double began = now_seconds();
    start(argv + 3, true);
    struct rusage usage = finish(&times);
    took[i] = (now_seconds() - began) * 1e6;
    if (usage.ru_maxrss > most) most = usage.ru_maxrss;
  }
  if (count <= 0) {
    start(argv + 3, false);
    finish(&times);
    printf("%.4f\n", waited_share(times));
    return 0;
  }
  qsort(took, (size_t)count, sizeof *took, compare);
  printf("%.6g %.4f %ld\n", took[count / 2], waited_share(times), most);
  return 0;
}
