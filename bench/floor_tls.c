// SPDX-License-Identifier: MIT
// floor_tls.c: what tls_server.lua is compared with: TLS by OpenSSL on libuv,
// in C, through memory BIOs, as OpenSSL's manual has it. tls_load.c starts
// both.
//
//   floor_tls CERTIFICATE_AND_KEY
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { CHUNK = 65536, MAX_OUTPUT = 2 * CHUNK };

typedef enum Role { GREET, SEND, RECEIVE, ROLES } Role;

typedef struct Connection {
  uv_tcp_t tcp;
  uv_write_t write;
  Role role;
  SSL *ssl;
  BIO *in, *out;
  char output[MAX_OUTPUT];
  bool writing, closing;
} Connection;

static uv_loop_t *loop;
static SSL_CTX *context;
static char received[CHUNK], plain[CHUNK];

static void die(const char *what) {
  fprintf(stderr, "floor_tls: %s\n", what);
  exit(1);
}

static void on_closed(uv_handle_t *handle) {
  Connection *c = (Connection *)handle;
  SSL_free(c->ssl);
  free(c);
}

static void close_connection(Connection *c) {
  if (!c->closing) uv_close((uv_handle_t *)&c->tcp, on_closed);
  c->closing = true;
}

static void work(Connection *c);

static void on_written(uv_write_t *write, int status) {
  Connection *c = (Connection *)write->handle;
  c->writing = false;
  if (status == 0 && !c->closing) work(c);
  if (status != 0) close_connection(c);
}

// Send what OpenSSL has put out; false: wait until that has gone.
static bool flush(Connection *c) {
  int size = BIO_read(c->out, c->output, MAX_OUTPUT);
  if (size <= 0) return true;
  uv_stream_t *stream = (uv_stream_t *)&c->tcp;
  uv_buf_t buf = uv_buf_init(c->output, (unsigned)size);
  int sent = uv_try_write(stream, &buf, 1);
  if (sent == size) return true;
  if (sent < 0 && sent != UV_EAGAIN) {
    close_connection(c);
    return false;
  }
  if (sent > 0) {
    buf.base += sent;
    buf.len -= (size_t)sent;
  }
  c->writing = uv_write(&c->write, stream, &buf, 1, on_written) == 0;
  return false;
}

static void say_goodbye(Connection *c) {
  SSL_shutdown(c->ssl);
  flush(c);
  if (!c->writing) close_connection(c);
}

static void receive_all(Connection *c) {
  size_t count;
  while (SSL_read_ex(c->ssl, plain, sizeof plain, &count)) continue;
  if (SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN) {
    SSL_write_ex(c->ssl, "x", 1, &count);
    say_goodbye(c);
  }
}

// Do what can be done now.
static void work(Connection *c) {
  if (!SSL_is_init_finished(c->ssl)) {
    ERR_clear_error();
    SSL_do_handshake(c->ssl);
    if (!flush(c) || !SSL_is_init_finished(c->ssl)) return;
  }
  if (c->role == GREET) {
    size_t count;
    SSL_write_ex(c->ssl, "x", 1, &count);
    say_goodbye(c);
  } else if (c->role == SEND) {
    size_t count;
    while (!c->closing && !c->writing) {
      if (!SSL_write_ex(c->ssl, plain, sizeof plain, &count)) {
        close_connection(c);
      } else {
        flush(c);
      }
    }
  } else {
    receive_all(c);
  }
}

static void on_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf) {
  (void)handle;
  (void)wanted;
  *buf = uv_buf_init(received, sizeof received);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
  Connection *c = (Connection *)stream;
  if (count < 0) close_connection(c);
  if (count <= 0 || c->closing) return;
  BIO_write(c->in, buf->base, (int)count);
  if (!c->writing) work(c);
}

static void on_client(uv_stream_t *server, int status) {
  Connection *c = calloc(1, sizeof *c);
  if (status != 0 || c == NULL) die("listen");
  uv_tcp_init(loop, &c->tcp);
  if (uv_accept(server, (uv_stream_t *)&c->tcp) != 0) die("accept");
  uv_tcp_nodelay(&c->tcp, 1);
  c->role = (Role)(intptr_t)server->data;
  c->ssl = SSL_new(context);
  c->in = BIO_new(BIO_s_mem());
  c->out = BIO_new(BIO_s_mem());
  SSL_set_bio(c->ssl, c->in, c->out);
  SSL_set_accept_state(c->ssl);
  uv_read_start((uv_stream_t *)&c->tcp, on_buffer, on_read);
}

static int listen_as(uv_tcp_t *server, Role role) {
  struct sockaddr_in address;
  int length = sizeof address;
  uv_ip4_addr("127.0.0.1", 0, &address);
  uv_tcp_init(loop, server);
  server->data = (void *)(intptr_t)role;
  if (uv_tcp_bind(server, (struct sockaddr *)&address, 0) != 0 ||
      uv_listen((uv_stream_t *)server, 1024, on_client) != 0) {
    die("listen");
  }
  uv_tcp_getsockname(server, (struct sockaddr *)&address, &length);
  return ntohs(address.sin_port);
}

int main(int argc, char **argv) {
  static uv_tcp_t servers[ROLES];
  loop = uv_default_loop();
  context = SSL_CTX_new(TLS_server_method());
  if (argc < 2 || context == NULL ||
      SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, argv[1], SSL_FILETYPE_PEM) != 1) {
    die("the certificate");
  }
  for (int i = 0; i < ROLES; i++) {
    printf("%d ", listen_as(&servers[i], (Role)i));
  }
  printf("\n");
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
