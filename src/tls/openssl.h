// SPDX-License-Identifier: MIT
// openssl.h: OpenSSL 3, loaded when a program first uses trio.ssl.
//
// Nothing is linked against it, so a program without TLS starts as fast as
// before and runs where OpenSSL is missing. Functions are called through one
// table: openssl.SSL_new(...). Its types come from OpenSSL's own headers, so
// the compiler checks every call. What those headers define as macros over
// the *_ctrl functions works as usual.
//
// Only src/tls/ may include this.
#ifndef TRIO_TLS_OPENSSL_H
#define TRIO_TLS_OPENSSL_H

#if defined(__has_include)
#if !__has_include(<openssl/ssl.h>)
#error "OpenSSL's headers are missing (libssl-dev): run .dev/install-deps.sh"
#endif
#endif

#include <lua.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "OpenSSL 3 or newer is needed"
#endif

// Functions of libssl.
#define OPENSSL_SSL_FUNCTIONS(X)            \
  X(DTLS_get_data_mtu)                      \
  X(DTLS_method)                            \
  X(DTLS_set_timer_cb)                      \
  X(DTLSv1_listen)                          \
  X(SSL_CIPHER_get_bits)                    \
  X(SSL_CIPHER_get_name)                    \
  X(SSL_CIPHER_get_version)                 \
  X(SSL_CTX_check_private_key)              \
  X(SSL_CTX_ctrl)                           \
  X(SSL_CTX_free)                           \
  X(SSL_CTX_get0_certificate)               \
  X(SSL_CTX_get0_privatekey)                \
  X(SSL_CTX_get_cert_store)                 \
  X(SSL_CTX_get_ciphers)                    \
  X(SSL_CTX_get0_param)                     \
  X(SSL_CTX_get_num_tickets)                \
  X(SSL_CTX_get_security_level)             \
  X(SSL_CTX_load_verify_dir)                \
  X(SSL_CTX_load_verify_file)               \
  X(SSL_CTX_new)                            \
  X(SSL_CTX_set1_cert_store)                \
  X(SSL_CTX_set1_param)                     \
  X(SSL_CTX_set_alpn_protos)                \
  X(SSL_CTX_set_alpn_select_cb)             \
  X(SSL_CTX_set_client_hello_cb)            \
  X(SSL_CTX_set_cipher_list)                \
  X(SSL_CTX_set_ciphersuites)               \
  X(SSL_CTX_set_cookie_verify_cb)           \
  X(SSL_CTX_set_default_passwd_cb)          \
  X(SSL_CTX_set_default_passwd_cb_userdata) \
  X(SSL_CTX_set_default_verify_paths)       \
  X(SSL_CTX_set_keylog_callback)            \
  X(SSL_CTX_set_num_tickets)                \
  X(SSL_CTX_set_options)                    \
  X(SSL_CTX_set_security_level)             \
  X(SSL_CTX_set_session_id_context)         \
  X(SSL_CTX_use_PrivateKey_file)            \
  X(SSL_CTX_use_cert_and_key)               \
  X(SSL_CTX_use_certificate_chain_file)     \
  X(SSL_SESSION_free)                       \
  X(SSL_SESSION_get_id)                     \
  X(SSL_SESSION_get_ticket_lifetime_hint)   \
  X(SSL_SESSION_get_time)                   \
  X(SSL_SESSION_get_timeout)                \
  X(SSL_SESSION_has_ticket)                 \
  X(SSL_SESSION_is_resumable)               \
  X(SSL_SESSION_up_ref)                     \
  X(SSL_alert_desc_string_long)             \
  X(SSL_ctrl)                               \
  X(SSL_client_hello_get0_ext)              \
  X(SSL_do_handshake)                       \
  X(SSL_export_keying_material)             \
  X(SSL_free)                               \
  X(SSL_get0_alpn_selected)                 \
  X(SSL_get0_param)                         \
  X(SSL_get1_peer_certificate)              \
  X(SSL_get1_session)                       \
  X(SSL_get_ciphers)                        \
  X(SSL_get_client_ciphers)                 \
  X(SSL_get_current_cipher)                 \
  X(SSL_get_error)                          \
  X(SSL_get_ex_data)                        \
  X(SSL_get_finished)                       \
  X(SSL_get_peer_finished)                  \
  X(SSL_get_verify_mode)                    \
  X(SSL_get_verify_result)                  \
  X(SSL_get_version)                        \
  X(SSL_is_init_finished)                   \
  X(SSL_key_update)                         \
  X(SSL_new)                                \
  X(SSL_pending)                            \
  X(SSL_read_ex)                            \
  X(SSL_select_next_proto)                  \
  X(SSL_session_reused)                     \
  X(SSL_set_SSL_CTX)                        \
  X(SSL_set_accept_state)                   \
  X(SSL_set_bio)                            \
  X(SSL_set_connect_state)                  \
  X(SSL_set_ex_data)                        \
  X(SSL_set_options)                        \
  X(SSL_set_session)                        \
  X(SSL_set_shutdown)                       \
  X(SSL_set_verify)                         \
  X(SSL_shutdown)                           \
  X(SSL_version)                            \
  X(SSL_write_ex)                           \
  X(TLS_method)

// Functions of libcrypto.
#define OPENSSL_CRYPTO_FUNCTIONS(X)  \
  X(ASN1_INTEGER_to_BN)              \
  X(ASN1_STRING_get0_data)           \
  X(ASN1_STRING_length)              \
  X(ASN1_STRING_to_UTF8)             \
  X(ASN1_TIME_to_tm)                 \
  X(BIO_ADDR_free)                   \
  X(BIO_ADDR_new)                    \
  X(BIO_clear_flags)                 \
  X(BIO_free)                        \
  X(BIO_get_data)                    \
  X(BIO_meth_free)                   \
  X(BIO_meth_new)                    \
  X(BIO_meth_set_ctrl)               \
  X(BIO_meth_set_read_ex)            \
  X(BIO_meth_set_write_ex)           \
  X(BIO_new)                         \
  X(BIO_new_mem_buf)                 \
  X(BIO_set_data)                    \
  X(BIO_set_flags)                   \
  X(BIO_set_init)                    \
  X(BN_bn2hex)                       \
  X(BN_free)                         \
  X(CRYPTO_free)                     \
  X(CRYPTO_memcmp)                   \
  X(ERR_clear_error)                 \
  X(ERR_get_error)                   \
  X(ERR_lib_error_string)            \
  X(ERR_peek_error)                  \
  X(ERR_peek_last_error)             \
  X(ERR_reason_error_string)         \
  X(EVP_sha256)                      \
  X(GENERAL_NAME_free)               \
  X(HMAC)                            \
  X(OBJ_nid2ln)                      \
  X(OBJ_obj2nid)                     \
  X(OBJ_obj2txt)                     \
  X(OPENSSL_sk_num)                  \
  X(OPENSSL_sk_pop_free)             \
  X(OPENSSL_sk_free)                 \
  X(OPENSSL_sk_find)                 \
  X(OPENSSL_sk_value)                \
  X(PEM_read_bio_X509)               \
  X(RAND_bytes)                      \
  X(X509_NAME_ENTRY_get_data)        \
  X(X509_NAME_ENTRY_get_object)      \
  X(X509_NAME_entry_count)           \
  X(X509_NAME_get_entry)             \
  X(X509_STORE_add_cert)             \
  X(X509_VERIFY_PARAM_set1_host)     \
  X(X509_VERIFY_PARAM_set1_ip_asc)   \
  X(X509_VERIFY_PARAM_set_flags)     \
  X(X509_VERIFY_PARAM_set_hostflags) \
  X(X509_free)                       \
  X(X509_get0_notAfter)              \
  X(X509_get0_notBefore)             \
  X(X509_get0_serialNumber)          \
  X(X509_get_ext_d2i)                \
  X(X509_get_issuer_name)            \
  X(X509_get_subject_name)           \
  X(X509_get_version)                \
  X(X509_verify_cert_error_string)   \
  X(d2i_X509)                        \
  X(i2d_X509)

#define OPENSSL_MEMBER(name) __typeof__(name) *name;
typedef struct OpenSsl {
  OPENSSL_SSL_FUNCTIONS(OPENSSL_MEMBER)
  OPENSSL_CRYPTO_FUNCTIONS(OPENSSL_MEMBER)
} OpenSsl;
#undef OPENSSL_MEMBER

// Filled by openssl_load; the same for all threads.
extern OpenSsl openssl;

// Load the libraries, once for the process. Raises a Lua error that says what
// is missing. [-0, +0, v]
void openssl_load(lua_State *L);

// For OpenSSL's macros.
#define SSL_CTX_ctrl openssl.SSL_CTX_ctrl
#define SSL_ctrl openssl.SSL_ctrl
#define OPENSSL_sk_num openssl.OPENSSL_sk_num
#define OPENSSL_sk_value openssl.OPENSSL_sk_value
#define OPENSSL_sk_find openssl.OPENSSL_sk_find
#define OPENSSL_sk_free openssl.OPENSSL_sk_free
#define OPENSSL_sk_pop_free openssl.OPENSSL_sk_pop_free
#define CRYPTO_free openssl.CRYPTO_free

#endif
