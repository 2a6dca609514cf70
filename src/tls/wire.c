// SPDX-License-Identifier: MIT
// wire.c: see wire.h. OpenSSL's own memory BIO would do; this one doesn't copy
// what comes in, doesn't clear memory all the time, and keeps none while the
// connection is idle.
#include "wire.h"

#include <pthread.h>
#include <string.h>

#include "../base/debug.h"

static BIO_METHOD *method;  // made once, kept

static int on_read(BIO *bio, char *buffer, size_t size, size_t *count) {
  Wire *w = openssl.BIO_get_data(bio);
  openssl.BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
  if (w->input_length == 0) {
    if (!w->input_ended) {
      openssl.BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
    }
    *count = 0;
    return 0;
  }
  if (size > w->input_length) size = w->input_length;
  memcpy(buffer, w->input, size);
  w->input += size;
  w->input_length -= size;
  *count = size;
  return 1;
}

static int on_write(BIO *bio, const char *data, size_t size, size_t *count) {
  Wire *w = openssl.BIO_get_data(bio);
  openssl.BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
  *count = 0;
  if (w->failed || !bytes_append(&w->output, data, size)) {
    w->failed = true;  // what comes later would make no sense
    return 0;
  }
  *count = size;
  return 1;
}

static long on_ctrl(BIO *bio, int command, long number, void *pointer) {
  UNUSED(number);
  UNUSED(pointer);
  const Wire *w = openssl.BIO_get_data(bio);
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return w->input_ended && w->input_length == 0;
    case BIO_CTRL_PENDING:
      return (long)w->input_length;
    default:
      return 0;
  }
}

static void make_method(void) {
  BIO_METHOD *m = openssl.BIO_meth_new(BIO_TYPE_SOURCE_SINK, "trio wire");
  if (m == NULL) return;
  if (openssl.BIO_meth_set_read_ex(m, on_read) &&
      openssl.BIO_meth_set_write_ex(m, on_write) &&
      openssl.BIO_meth_set_ctrl(m, on_ctrl)) {
    method = m;
  } else {
    openssl.BIO_meth_free(m);
  }
}

BIO *wire_bio(Wire *w) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_method);
  if (method == NULL) return NULL;
  BIO *bio = openssl.BIO_new(method);
  if (bio == NULL) return NULL;
  openssl.BIO_set_data(bio, w);
  openssl.BIO_set_init(bio, 1);
  return bio;
}
