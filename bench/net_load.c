// SPDX-License-Identifier: MIT
// net_load.c: load for a server on this machine. Starts the server, measures
// for a short while over 127.0.0.0/8, stops the server, prints the figures.
//
//   net_load WORKLOAD SIZE CONNECTIONS SECONDS SERVER [ARGUMENT...]
//
//   echo     SIZE bytes there and back on each of the connections, again and
//            again, one request at a time on each
//   connect  the same with a new connection for each request
//   send     one connection on which the server sends
//   receive  one connection on which the server receives
//
// Prints: operations per second (requests, or MB); p50 and p99 in microseconds;
// the server's processor time for one in microseconds; the share of the time
// in which the server or the load had to wait for a processor; the server's
// resident memory in KB, before the first connection and at the end. The first
// fifth of the time is not counted.
//
// The server prints three ports: one that echoes, one that sends until the
// connection closes, one that receives and answers with one byte at the end;
// 0 for one that it doesn't have. Server and load run on processors of their
// own where there are two.
#include "alone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
  MOST_CONNECTIONS = 10000,
  CHUNK = 65536,
  SLOTS = 2000000,  // of the histogram, one microsecond each
  SOURCES = 250     // addresses to connect from: ports are few
};

// Figures at the begin and the end of the time that counts.
typedef struct Mark {
  double seconds;
  Times server, load;
} Mark;

typedef struct Connection {
  int fd;
  size_t sent, received;  // of the current request
  double since;
  bool wants_out;
} Connection;

static Connection connections[MOST_CONNECTIONS];
static char buffer[CHUNK], message[1 << 20];
static uint32_t histogram[SLOTS];
static uint64_t done;  // requests, or bytes
static double counted_from, deadline;
static Mark begun;
static pid_t server;
static size_t size;
static int port, poller;
static uint32_t dialled;
static bool reconnects;

static void die(const char *what) {
  fprintf(stderr, "net_load: %s: %s\n", what, strerror(errno));
  exit(1);
}

// ---- the server

static long resident_kb(void) {
  char path[64];
  long all = 0, resident = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", (int)server);
  FILE *file = fopen(path, "r");
  if (file == NULL || fscanf(file, "%ld %ld", &all, &resident) != 2) die(path);
  fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

// ---- the time

static Mark mark(void) {
  return (Mark){now_seconds(), times_of(server), times_of(getpid())};
}

static void start_clock(double seconds) {
  double now = now_seconds();
  counted_from = now + seconds / 5;
  deadline = now + seconds;
}

// Is there time left? The first fifth ends with all figures at zero; if it was
// longer, because others had the processor, the rest begins later.
static bool goes_on(void) {
  double now = now_seconds();
  if (begun.seconds == 0 && now >= counted_from) {
    begun = mark();
    deadline += begun.seconds - counted_from;
    done = 0;
    memset(histogram, 0, sizeof histogram);
  }
  return now < deadline || done == 0;
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
  c->since = now_seconds();
  if (reconnects) {
    c->fd = dial(SOCK_NONBLOCK);
    watch(c, EPOLL_CTL_ADD, false);
  }
  send_rest(c);
}

static void end(Connection *c) {
  double slot = (now_seconds() - c->since) * 1e6;
  histogram[slot < SLOTS ? (int)slot : SLOTS - 1]++;
  done++;
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
  if (c->received > size || buffer[count - 1] != 'x') {
    errno = EBADMSG;
    die("a wrong answer");
  }
  end(c);
  begin(c);
}

static void run_requests(int count, double seconds) {
  poller = epoll_create1(0);
  if (poller < 0) die("epoll_create1");
  for (int i = 0; i < count; i++) {
    Connection *c = &connections[i];
    if (!reconnects) {
      c->fd = dial(0);
      fcntl(c->fd, F_SETFL, O_NONBLOCK);
      watch(c, EPOLL_CTL_ADD, false);
    }
  }
  start_clock(seconds);
  for (int i = 0; i < count; i++) begin(&connections[i]);
  while (goes_on()) {
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
  uint64_t wanted = (uint64_t)((double)done * share), sum = 0;
  int slot = 0;
  while (slot < SLOTS - 1 && (sum += histogram[slot]) < wanted) slot++;
  return slot;
}

// ---- one way

static void run_send(double seconds) {  // thrown away in the kernel
  int fd = dial(0);
  start_clock(seconds);
  while (goes_on()) {
    ssize_t count = recv(fd, NULL, 1 << 20, MSG_TRUNC);
    if (count <= 0) die("recv");
    done += (uint64_t)count;
  }
  close(fd);
}

static void run_receive(double seconds) {
  int fd = dial(0);
  start_clock(seconds);
  while (goes_on()) {
    ssize_t count = send(fd, buffer, sizeof buffer, MSG_NOSIGNAL);
    if (count <= 0) die("send");
    done += (uint64_t)count;
  }
  shutdown(fd, SHUT_WR);
  if (recv(fd, buffer, 1, 0) != 1) die("the server did not answer");
  close(fd);
}

static void print_figures(bool bytes, long kb_before, long kb_after) {
  Mark ended = mark();
  double count = bytes ? (double)done / 1e6 : (double)done;
  Times used = {ended.server.running - begun.server.running,
                ended.server.waiting - begun.server.waiting};
  double per_operation = used.running / 1e3 / count;
  used.running += ended.load.running - begun.load.running;
  used.waiting += ended.load.waiting - begun.load.waiting;
  printf("%.6g %d %d %.6g %.4f %ld %ld\n",
         count / (ended.seconds - begun.seconds), bytes ? 0 : percentile(0.5),
         bytes ? 0 : percentile(0.99), per_operation, waited_share(used),
         kb_before, kb_after);
}

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "see the head of net_load.c\n");
    return 2;
  }
  const char *workload = argv[1];
  size = strtoul(argv[2], NULL, 10);
  int count = atoi(argv[3]);
  double seconds = strtod(argv[4], NULL);
  if (size == 0 || size > sizeof message || count > MOST_CONNECTIONS) return 2;
  memset(message, 'x', sizeof message);
  alarm((unsigned)seconds + 60);
  int ports[3];
  server = start_server(argv + 5, ports);
  if (server < 0) die("the server did not start");
  alone_here(FIRST_PROCESSOR);
  bool sends = strcmp(workload, "send") == 0;
  bool receives = strcmp(workload, "receive") == 0;
  reconnects = strcmp(workload, "connect") == 0;
  port = ports[sends ? 1 : receives ? 2 : 0];
  long kb_before = resident_kb();
  if (sends) {
    run_send(seconds);
  } else if (receives) {
    run_receive(seconds);
  } else {
    run_requests(count, seconds);
  }
  print_figures(sends || receives, kb_before, resident_kb());
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  return 0;
}
