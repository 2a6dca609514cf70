// SPDX-License-Identifier: MIT
// tls_load.c: load for a server of TLS on this machine. Starts the server,
// measures for a short while, stops the server, prints the figures.
//
//   tls_load WORKLOAD SECONDS SERVER [ARGUMENT...]
//
//   handshake  a new connection again and again, on which the server says "x"
//              and goodbye; no session is resumed
//   send       one connection on which the server sends
//   receive    one connection on which the server receives
//
// Prints: operations per second (handshakes, or MB); the server's processor
// time for one in microseconds; the share of the time in which the server or
// the load had to wait for a processor. The first fifth of the time is not
// counted. The load's own work is about as large as the server's, or larger:
// so it is the processor time that tells servers apart.
//
// The server prints three ports, one for each workload, in their order. Server
// and load run on processors of their own where there are two.
#include "alone.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <sys/socket.h>

enum { CHUNK = 65536 };

typedef struct Mark {
  double seconds;
  Times server, load;
} Mark;

static SSL_CTX *context;
static char buffer[CHUNK];
static double done;  // handshakes, or MB
static double counted_from, deadline;
static Mark begun;
static pid_t server;
static int port;

static void die(const char *what) {
  fprintf(stderr, "tls_load: %s: %s\n", what, strerror(errno));
  exit(1);
}

static Mark mark(void) {
  return (Mark){now_seconds(), times_of(server), times_of(getpid())};
}

// Is there time left? The first fifth ends with all figures at zero.
static bool goes_on(void) {
  double now = now_seconds();
  if (begun.seconds == 0 && now >= counted_from) {
    begun = mark();
    done = 0;
  }
  return now < deadline;
}

static SSL *dial(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  if (fd < 0) die("socket");
  struct sockaddr_in address = {.sin_family = AF_INET};
  address.sin_port = htons((uint16_t)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    die("connect");
  }
  SSL *ssl = SSL_new(context);
  if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) {
    die("handshake");
  }
  return ssl;
}

// Not waiting for more: the ports are free again when the server has closed.
static void hang_up(SSL *ssl) {
  int fd = SSL_get_fd(ssl);
  SSL_free(ssl);
  close(fd);
}

static void run_handshakes(void) {
  while (goes_on()) {
    SSL *ssl = dial();
    if (SSL_read(ssl, buffer, sizeof buffer) != 1 ||
        SSL_read(ssl, buffer, sizeof buffer) != 0) {
      die("no greeting");
    }
    hang_up(ssl);
    done++;
  }
}

static void run_send(void) {
  SSL *ssl = dial();
  while (goes_on()) {
    int count = SSL_read(ssl, buffer, sizeof buffer);
    if (count <= 0) die("read");
    done += count / 1e6;
  }
  hang_up(ssl);
}

static void run_receive(void) {
  SSL *ssl = dial();
  while (goes_on()) {
    int count = SSL_write(ssl, buffer, sizeof buffer);
    if (count <= 0) die("write");
    done += count / 1e6;
  }
  SSL_shutdown(ssl);
  if (SSL_read(ssl, buffer, sizeof buffer) != 1) die("the server's answer");
  hang_up(ssl);
}

static void print_figures(Mark ended) {
  Times used = {ended.server.running - begun.server.running,
                ended.server.waiting - begun.server.waiting};
  double per_operation = used.running / 1e3 / done;
  used.running += ended.load.running - begun.load.running;
  used.waiting += ended.load.waiting - begun.load.waiting;
  printf("%.6g %.6g %.4f\n", done / (ended.seconds - begun.seconds),
         per_operation, waited_share(used));
}

int main(int argc, char **argv) {
  static const char *const names[] = {"handshake", "send", "receive"};
  static void (*const workloads[])(void) = {run_handshakes, run_send,
                                            run_receive};
  if (argc < 4) {
    fprintf(stderr, "see the head of tls_load.c\n");
    return 2;
  }
  int chosen = 0;
  while (chosen < 2 && strcmp(names[chosen], argv[1]) != 0) chosen++;
  double seconds = strtod(argv[2], NULL);
  alarm((unsigned)seconds + 60);
  int ports[3];
  server = start_server(argv + 3, ports);
  if (server < 0) die("the server did not start");
  alone_here(FIRST_PROCESSOR);
  context = SSL_CTX_new(TLS_client_method());
  if (context == NULL) die("SSL_CTX_new");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  port = ports[chosen];
  double now = now_seconds();
  counted_from = now + seconds / 5;
  deadline = now + seconds;
  workloads[chosen]();
  if (begun.seconds == 0 || done == 0) {
    fprintf(stderr, "tls_load: too slow for any figure\n");
    return 1;
  }
  print_figures(mark());
  kill(server, SIGKILL);
  return 0;
}
