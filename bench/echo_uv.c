// SPDX-License-Identifier: MIT
// echo_uv.c: what the network's benchmarks are compared with: plain C on
// libuv, with nothing around it. It does what echo.lua does; echo_load.c
// starts both.
//
// One receive buffer for all connections. What can't be sent at once is copied
// and queued, and reading waits until it is gone.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { CHUNK = 65536 };

typedef struct Connection {
  uv_tcp_t tcp;
  uv_write_t write;
  char *rest;  // what is queued, a copy
} Connection;

static uv_loop_t *loop;
static char received[CHUNK], outgoing[CHUNK];

static void die(const char *what, int status) {
  fprintf(stderr, "echo_uv: %s: %s\n", what, uv_strerror(status));
  exit(1);
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

static void hang_up(Connection *c) {
  if (!uv_is_closing((uv_handle_t *)&c->tcp)) {
    uv_close((uv_handle_t *)&c->tcp, on_closed);
  }
}

static void on_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf) {
  (void)handle;
  (void)wanted;
  *buf = uv_buf_init(received, sizeof received);
}

static void on_echo(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);

static void on_echoed(uv_write_t *write, int status) {
  Connection *c = write->data;
  free(c->rest);
  c->rest = NULL;
  if (status < 0) {
    hang_up(c);
  } else {
    uv_read_start((uv_stream_t *)&c->tcp, on_buffer, on_echo);
  }
}

static void on_echo(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
  Connection *c = stream->data;
  if (count == 0) return;
  if (count < 0) {
    hang_up(c);
    return;
  }
  uv_buf_t data = uv_buf_init(buf->base, (unsigned)count);
  int sent = uv_try_write(stream, &data, 1);
  if (sent == count) return;
  if (sent < 0) sent = 0;
  size_t left = (size_t)(count - sent);
  c->rest = malloc(left);
  if (c->rest == NULL) exit(1);
  memcpy(c->rest, buf->base + sent, left);
  data = uv_buf_init(c->rest, (unsigned)left);
  c->write.data = c;
  uv_read_stop(stream);
  uv_write(&c->write, stream, &data, 1, on_echoed);
}

static void on_sent(uv_write_t *write, int status) {
  Connection *c = write->data;
  if (status < 0) {
    hang_up(c);
    return;
  }
  uv_buf_t data = uv_buf_init(outgoing, sizeof outgoing);
  uv_write(write, (uv_stream_t *)&c->tcp, &data, 1, on_sent);
}

static void on_swallow(uv_stream_t *stream, ssize_t count,
                       const uv_buf_t *buf) {
  (void)buf;
  if (count >= 0) return;
  uv_buf_t answer = uv_buf_init(outgoing, 1);
  if (count == UV_EOF) uv_try_write(stream, &answer, 1);
  hang_up(stream->data);
}

static Connection *take(uv_stream_t *server) {
  Connection *c = calloc(1, sizeof *c);
  if (c == NULL) exit(1);
  uv_tcp_init(loop, &c->tcp);
  c->tcp.data = c;
  int status = uv_accept(server, (uv_stream_t *)&c->tcp);
  if (status != 0) die("accept", status);
  uv_tcp_nodelay(&c->tcp, 1);
  return c;
}

static void on_echo_client(uv_stream_t *server, int status) {
  if (status != 0) die("listen", status);
  uv_read_start((uv_stream_t *)&take(server)->tcp, on_buffer, on_echo);
}

static void on_send_client(uv_stream_t *server, int status) {
  if (status != 0) die("listen", status);
  Connection *c = take(server);
  c->write.data = c;
  on_sent(&c->write, 0);
}

static void on_receive_client(uv_stream_t *server, int status) {
  if (status != 0) die("listen", status);
  uv_read_start((uv_stream_t *)&take(server)->tcp, on_buffer, on_swallow);
}

static int listen_at(uv_tcp_t *server, uv_connection_cb on_client) {
  struct sockaddr_in address;
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_init(loop, server);
  int status = uv_tcp_bind(server, (struct sockaddr *)&address, 0);
  if (status == 0) status = uv_listen((uv_stream_t *)server, 1024, on_client);
  if (status != 0) die("listen", status);
  int length = sizeof address;
  uv_tcp_getsockname(server, (struct sockaddr *)&address, &length);
  return ntohs(address.sin_port);
}

int main(void) {
  static uv_tcp_t servers[3];
  loop = uv_default_loop();
  memset(outgoing, 'x', sizeof outgoing);
  int echo = listen_at(&servers[0], on_echo_client);
  int send = listen_at(&servers[1], on_send_client);
  int receive = listen_at(&servers[2], on_receive_client);
  printf("%d %d %d\n", echo, send, receive);
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
