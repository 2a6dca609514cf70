// SPDX-License-Identifier: MIT
// echo_load.c: load for a server on this machine. Starts the server, measures
// for a short while over 127.0.0.0/8, stops the server, prints the figures.
//
//   echo_load MEASURE SIZE CONNECTIONS SECONDS SERVER [ARGUMENT...]
//
//   echo     SIZE bytes there and back on each of the connections, again and
//            again: requests per second, p50 and p99 in microseconds, and the
//            server's processor time for one in microseconds
//   connect  a new connection for each request: the same figures
//   send     one connection on which the server sends: MB per second, 0, 0,
//            and the server's processor time for one MB in microseconds
//   receive  one connection on which the server receives: the same figures
//
// The server prints three ports: one that echoes, one that sends until the
// connection closes, one that receives and answers with one byte at the end.
// Server and load run on processors of their own where there are two.
#define _GNU_SOURCE  // sched_setaffinity, MSG_TRUNC on streams
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  MOST_CONNECTIONS = 1000,
  CHUNK = 65536,
  SLOTS = 200000,  // of the histogram, one microsecond each
  SOURCES = 250    // addresses to connect from: ports are few
};

typedef struct Connection {
  int fd;
  size_t sent, received;  // of the current request
  uint64_t since;
  bool wants_out;
} Connection;

static Connection connections[MOST_CONNECTIONS];
static char buffer[CHUNK], message[1 << 20];
static uint32_t histogram[SLOTS];
static uint64_t requests, deadline;
static size_t size;
static int port, poller;
static uint32_t dialled;
static bool reconnects;

static void die(const char *what) {
  fprintf(stderr, "echo_load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void use_processor(unsigned number) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(number, &set);
  if (sysconf(_SC_NPROCESSORS_ONLN) > 1) sched_setaffinity(0, sizeof set, &set);
}

// ---- the server

static pid_t start_server(char **command, int ports[3]) {
  int out[2];
  if (pipe(out) != 0) die("pipe");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    use_processor(0);
    dup2(out[1], STDOUT_FILENO);
    close(out[0]);
    close(out[1]);
    execv(command[0], command);
    die(command[0]);
  }
  close(out[1]);
  FILE *file = fdopen(out[0], "r");
  if (file == NULL) die("fdopen");
  if (fscanf(file, "%d %d %d", &ports[0], &ports[1], &ports[2]) != 3) {
    errno = ECHILD;
    die("the server did not start");
  }
  return pid;
}

static double processor_seconds(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  if (file == NULL) die(path);
  unsigned long user = 0, kernel = 0;
  int fields = fscanf(file,
                      "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
                      "%*u %lu %lu",
                      &user, &kernel);
  fclose(file);
  if (fields != 2) die(path);
  return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

// ---- requests

static int dial(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  if (fd < 0) die("socket");
  int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET};
  if (reconnects) {
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + dialled++ % SOURCES);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  address.sin_port = htons((uint16_t)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 &&
      errno != EINPROGRESS) {
    die("connect");
  }
  return fd;
}

static void watch(Connection *c, int operation, bool out) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (out) event.events |= EPOLLOUT;
  c->wants_out = out;
  if (epoll_ctl(poller, operation, c->fd, &event) != 0) die("epoll_ctl");
}

static void send_rest(Connection *c) {
  while (c->sent < size) {
    ssize_t count =
        send(c->fd, message + c->sent, size - c->sent, MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == ENOTCONN)) break;
    if (count <= 0) die("send");
    c->sent += (size_t)count;
  }
  bool out = c->sent < size;
  if (out != c->wants_out) watch(c, EPOLL_CTL_MOD, out);
}

static void begin(Connection *c) {
  c->sent = c->received = 0;
  c->since = now_ns();
  if (reconnects) {
    c->fd = dial(SOCK_NONBLOCK);
    watch(c, EPOLL_CTL_ADD, false);
  }
  send_rest(c);
}

static void end(Connection *c) {
  uint64_t slot = (now_ns() - c->since) / 1000;
  histogram[slot < SLOTS ? slot : SLOTS - 1]++;
  requests++;
  if (reconnects) close(c->fd);
}

static void on_event(Connection *c, uint32_t events) {
  if (events & EPOLLOUT) send_rest(c);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  ssize_t count = recv(c->fd, buffer, sizeof buffer, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) die("recv");
  c->received += (size_t)count;
  if (c->received < size) return;
  end(c);
  begin(c);
}

static void run_requests(int count) {
  poller = epoll_create1(0);
  if (poller < 0) die("epoll_create1");
  for (int i = 0; i < count; i++) {
    Connection *c = &connections[i];
    if (!reconnects) {
      c->fd = dial(0);
      fcntl(c->fd, F_SETFL, O_NONBLOCK);
      watch(c, EPOLL_CTL_ADD, false);
    }
    begin(c);
  }
  while (now_ns() < deadline) {
    struct epoll_event events[64];
    int ready = epoll_wait(poller, events, 64, 100);
    for (int i = 0; i < ready; i++) {
      on_event(events[i].data.ptr, events[i].events);
    }
  }
  for (int i = 0; i < count; i++) close(connections[i].fd);
}

// The latency that this share of the requests doesn't exceed.
static int percentile(double share) {
  uint64_t wanted = (uint64_t)((double)requests * share), sum = 0;
  int slot = 0;
  while (slot < SLOTS - 1 && (sum += histogram[slot]) < wanted) slot++;
  return slot;
}

// ---- one way

static uint64_t run_send(void) {  // the server's, thrown away in the kernel
  int fd = dial(0);
  uint64_t total = 0;
  while (now_ns() < deadline) {
    ssize_t count = recv(fd, NULL, 1 << 20, MSG_TRUNC);
    if (count <= 0) die("recv");
    total += (uint64_t)count;
  }
  close(fd);
  return total;
}

static uint64_t run_receive(void) {
  int fd = dial(0);
  uint64_t total = 0;
  while (now_ns() < deadline) {
    ssize_t count = send(fd, buffer, sizeof buffer, MSG_NOSIGNAL);
    if (count <= 0) die("send");
    total += (uint64_t)count;
  }
  shutdown(fd, SHUT_WR);
  if (recv(fd, buffer, 1, 0) != 1) die("the server did not answer");
  close(fd);
  return total;
}

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "see the head of echo_load.c\n");
    return 2;
  }
  const char *measure = argv[1];
  size = strtoul(argv[2], NULL, 10);
  int count = atoi(argv[3]);
  double seconds = strtod(argv[4], NULL);
  if (size == 0 || size > sizeof message || count > MOST_CONNECTIONS) return 2;
  memset(message, 'x', sizeof message);
  int ports[3];
  pid_t server = start_server(argv + 5, ports);
  use_processor(1);
  bool sends = strcmp(measure, "send") == 0;
  bool receives = strcmp(measure, "receive") == 0;
  reconnects = strcmp(measure, "connect") == 0;
  port = ports[sends ? 1 : receives ? 2 : 0];

  double used = processor_seconds(server);
  uint64_t began = now_ns();
  deadline = began + (uint64_t)(seconds * 1e9);
  double done;
  if (sends || receives) {
    done = (double)(sends ? run_send() : run_receive()) / 1e6;
  } else {
    run_requests(count);
    done = (double)requests;
  }
  double elapsed = (double)(now_ns() - began) / 1e9;
  used = processor_seconds(server) - used;
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  printf("%.6g %d %d %.6g\n", done / elapsed, percentile(0.5), percentile(0.99),
         used * 1e6 / done);
  return 0;
}
