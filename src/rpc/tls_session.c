/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection over memory. OpenSSL reads from the bytes just fed and writes to a buffer that
 * is handed out, through a BIO of our own: no copy on the way in, and an idle session keeps
 * nothing. The peer's certificate is judged inside the handshake, so that a refused peer gets an
 * alert. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/tls_internal.h"

#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct tls_session {
    SSL *ssl;
    struct slice in; /* borrowed until read to its end */
    struct buf out;
    const char *alpn;
    char *domain; /* "spiffe://indaba.local", which the peer must share */
    char *peer;
    bool established;
    bool failed;
    char errmsg[NET_DETAIL_SIZE];
};

static pthread_once_t bio_once = PTHREAD_ONCE_INIT;
static BIO_METHOD *bio_method;

static void bio_make_method(void);
static int bio_read(BIO *bio, char *data, size_t size, size_t *len_out);
static int bio_write(BIO *bio, const char *data, size_t len, size_t *written_out);
static long bio_ctrl(BIO *bio, int command, long number, void *pointer);
static int on_verify(int valid, X509_STORE_CTX *check);
static int on_alpn(SSL *ssl,
                   const unsigned char **out,
                   unsigned char *out_len,
                   const unsigned char *offered,
                   unsigned offered_len,
                   void *ctx);
static enum error session_complete(struct tls_session *session);
static enum error session_failed(struct tls_session *session, int status);
static bool reason_is_identity(int reason);

void tls_session_prepare_context(SSL_CTX *context, enum tls_role role)
{
    CHECK(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1);
    CHECK(SSL_CTX_set_num_tickets(context, 0) == 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    int verify = SSL_VERIFY_PEER;
    switch (role) {
    case TLS_CLIENT:
        break;
    case TLS_SERVER:
        verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
        SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
        break;
    case TLS_SERVER_PUBLIC:
        SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
        break;
    }
    SSL_CTX_set_verify(context, verify, on_verify);
}

struct tls_session *tls_session_new(struct tls *tls, enum tls_role role, const char *alpn)
{
    CHECK(pthread_once(&bio_once, bio_make_method) == 0);
    struct tls_session *session = mem_new(sizeof(*session));
    session->alpn = alpn;
    size_t domain_len = tls_identity_domain_len(tls->material.identity);
    session->domain = mem_new(domain_len + 1);
    memcpy(session->domain, tls->material.identity, domain_len);
    session->ssl = SSL_new(tls->material.contexts[role]);
    BIO *bio = BIO_new(bio_method);
    CHECK(session->ssl != NULL && bio != NULL);
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    CHECK(SSL_set_app_data(session->ssl, session) == 1);
    if (role == TLS_CLIENT) {
        SSL_set_connect_state(session->ssl);
        if (alpn != NULL) {
            unsigned char protocols[32];
            size_t len = strlen(alpn);
            CHECK(len > 0 && len < sizeof(protocols));
            protocols[0] = (unsigned char)len;
            memcpy(protocols + 1, alpn, len);
            CHECK(SSL_set_alpn_protos(session->ssl, protocols, (unsigned)len + 1) == 0);
        }
    } else {
        SSL_set_accept_state(session->ssl);
    }
    return session;
}

void tls_session_trust_blindly(struct tls_session *session)
{
    SSL_set_verify(session->ssl, SSL_VERIFY_NONE, NULL);
}

void tls_session_free(struct tls_session *session)
{
    if (session == NULL) {
        return;
    }
    SSL_free(session->ssl);
    buf_deinit(&session->out);
    mem_free(session->domain);
    mem_free(session->peer);
    mem_free(session);
}

void tls_session_feed(struct tls_session *session, struct slice cipher)
{
    CHECK(session->in.len == 0);
    session->in = cipher;
}

enum error
tls_session_read(struct tls_session *session, uint8_t *plain, size_t size, size_t *len_out)
{
    if (session->failed) {
        return ERR_PROTOCOL;
    }
    ERR_clear_error();
    size_t len = 0;
    int status = SSL_read_ex(session->ssl, plain, size, &len);
    if (!session->established && SSL_is_init_finished(session->ssl)) {
        TRY(session_complete(session));
    }
    if (status != 1) {
        return session_failed(session, status);
    }
    *len_out = len;
    return ERR_OK;
}

enum error tls_session_write(struct tls_session *session, struct slice plain)
{
    CHECK(session->established);
    while (plain.len > 0) {
        size_t written = 0;
        ERR_clear_error();
        int status = SSL_write_ex(session->ssl, plain.data, plain.len, &written);
        if (status != 1) {
            enum error error = session_failed(session, status);
            return error == ERR_OK ? ERR_INTERNAL : error;
        }
        plain = slice_of(plain.data + written, plain.len - written);
    }
    return ERR_OK;
}

void tls_session_shutdown(struct tls_session *session)
{
    if (session->established && !session->failed) {
        ERR_clear_error();
        (void)SSL_shutdown(session->ssl);
    }
}

void tls_session_output(struct tls_session *session, struct buf *out)
{
    if (out->len == 0) {
        buf_deinit(out);
        *out = session->out;
    } else {
        buf_append(out, session->out.data, session->out.len);
        buf_deinit(&session->out);
    }
    session->out = (struct buf){0};
}

bool tls_session_established(const struct tls_session *session)
{
    return session->established;
}

const char *tls_session_peer(const struct tls_session *session)
{
    return session->peer == NULL ? "" : session->peer;
}

const char *tls_session_errmsg(const struct tls_session *session)
{
    return session->errmsg;
}

static void bio_make_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "indaba memory");
    CHECK(bio_method != NULL);
    CHECK(BIO_meth_set_read_ex(bio_method, bio_read) == 1);
    CHECK(BIO_meth_set_write_ex(bio_method, bio_write) == 1);
    CHECK(BIO_meth_set_ctrl(bio_method, bio_ctrl) == 1);
}

static int bio_read(BIO *bio, char *data, size_t size, size_t *len_out)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (session->in.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t len = size < session->in.len ? size : session->in.len;
    memcpy(data, session->in.data, len);
    session->in = slice_of(session->in.data + len, session->in.len - len);
    *len_out = len;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t len, size_t *written_out)
{
    struct tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_append(&session->out, data, len);
    *written_out = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* Called for each certificate of the chain, the leaf last. */
static int on_verify(int valid, X509_STORE_CTX *check)
{
    if (valid != 1 || X509_STORE_CTX_get_error_depth(check) != 0) {
        return valid;
    }
    const SSL *ssl = X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get_current_cert(check);
    const char *why = "";
    char *identity = NULL;
    if (tls_certificate_identity(certificate, &why, &identity) != ERR_OK) {
        (void)snprintf(
            session->errmsg, NET_DETAIL_SIZE, "the peer's certificate is refused: %s", why);
        X509_STORE_CTX_set_error(check, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    size_t domain_len = tls_identity_domain_len(identity);
    if (strlen(session->domain) != domain_len ||
        memcmp(identity, session->domain, domain_len) != 0) {
        (void)snprintf(session->errmsg,
                       NET_DETAIL_SIZE,
                       "the peer's certificate is refused: \"%.80s\" is not of our domain %.80s",
                       identity,
                       session->domain);
        mem_free(identity);
        X509_STORE_CTX_set_error(check, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    mem_free(session->peer);
    session->peer = identity;
    return 1;
}

/* NOLINTNEXTLINE(readability-function-size): OpenSSL's signature */
static int on_alpn(SSL *ssl,
                   const unsigned char **out,
                   unsigned char *out_len,
                   const unsigned char *offered,
                   unsigned offered_len,
                   void *ctx)
{
    (void)ctx;
    const struct tls_session *session = SSL_get_app_data(ssl);
    if (session->alpn == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    size_t len = strlen(session->alpn);
    for (unsigned i = 0; i < offered_len; i += 1U + offered[i]) {
        if (offered[i] == len && i + 1 + len <= offered_len &&
            memcmp(offered + i + 1, session->alpn, len) == 0) {
            *out = offered + i + 1;
            *out_len = (unsigned char)len;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum error session_complete(struct tls_session *session)
{
    const unsigned char *selected = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(session->ssl, &selected, &len);
    if (session->alpn != NULL &&
        (len != strlen(session->alpn) || memcmp(selected, session->alpn, len) != 0)) {
        session->failed = true;
        (void)snprintf(session->errmsg,
                       NET_DETAIL_SIZE,
                       "the peer does not speak \"%s\" (ALPN)",
                       session->alpn);
        return ERR_PROTOCOL;
    }
    session->established = true;
    return ERR_OK;
}

/* ERR_OK: nothing is wrong, more input is needed. */
static enum error session_failed(struct tls_session *session, int status)
{
    int kind = SSL_get_error(session->ssl, status);
    if (kind == SSL_ERROR_WANT_READ) {
        return ERR_OK;
    }
    session->failed = true;
    session->in = slice_of(NULL, 0);
    if (kind == SSL_ERROR_ZERO_RETURN) {
        (void)snprintf(session->errmsg, NET_DETAIL_SIZE, "the peer closed the connection");
        return ERR_CLOSED;
    }
    int reason = ERR_GET_REASON(ERR_peek_error());
    const char *text = tls_openssl_reason();
    long verdict = SSL_get_verify_result(session->ssl);
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        if (session->errmsg[0] == '\0') {
            (void)snprintf(session->errmsg,
                           NET_DETAIL_SIZE,
                           "the peer's certificate is refused: %s",
                           X509_verify_cert_error_string(verdict));
        }
        return ERR_UNAUTHENTICATED;
    }
    (void)snprintf(session->errmsg, NET_DETAIL_SIZE, "TLS failed: %s", text);
    return reason_is_identity(reason) ? ERR_UNAUTHENTICATED : ERR_PROTOCOL;
}

static bool reason_is_identity(int reason)
{
    return reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ||
           reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
           reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED ||
           reason == SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED ||
           reason == SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN ||
           reason == SSL_R_SSLV3_ALERT_NO_CERTIFICATE ||
           reason == SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE ||
           reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
           reason == SSL_R_TLSV1_ALERT_ACCESS_DENIED || reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA;
}
