/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that know OpenSSL share: contexts, identities, times. Nobody else includes this.
 */
#ifndef INDABA_RPC_TLS_INTERNAL_H
#define INDABA_RPC_TLS_INTERNAL_H

#include "base/reason.h"
#include "rpc/tls.h"

#include <openssl/ssl.h>
#include <sys/stat.h>

enum {
    TLS_IDENTITY_BYTES_MAX = 2048,
    TLS_FILES_COUNT = 4
};

/* One reading of the files. */
struct tls_material {
    SSL_CTX *contexts[TLS_SERVER_PUBLIC + 1]; /* by role */
    char *identity;
    uint64_t not_after_ms;
    struct stat stamps[TLS_FILES_COUNT];
};

struct tls {
    char *paths[TLS_FILES_COUNT]; /* ca, certificate, key, revocations */
    bool is_client_only;
    struct tls_material material;
};

enum {
    TLS_PATH_CA,
    TLS_PATH_CERT,
    TLS_PATH_KEY,
    TLS_PATH_CRL
};

/* Settings that every context has; with the callbacks of tls_session.c. */
void tls_session_prepare_context(SSL_CTX *context, enum tls_role role);

/* Does not look at the certificate of its peer; before the first byte. */
void tls_session_trust_blindly(struct tls_session *session);

/* tls_prove.c. Nobody is ever asked for a pass phrase in this process. */
void tls_ask_nobody(void);
/* A pem_password_cb that has none; `asked`, a bool or NULL, becomes true. */
int tls_no_pass_phrase(char *text, int size, int is_writing, void *asked);
/* A handshake with ourselves: ERR_CONFIG and a text if a peer would refuse us. */
MUST_CHECK enum error
tls_prove(const struct tls *tls, const struct tls_material *fresh, struct reason *reason);

/* The one SPIFFE identity of an end certificate, allocated. ERR_INVALID with a reason (a literal)
 * if there is none, more than one, or the certificate may sign others. */
MUST_CHECK enum error
tls_certificate_identity(X509 *certificate, const char **why_out, char **identity_out);
/* Wall milliseconds; 0 for a time that cannot be read. */
uint64_t tls_time_ms(const ASN1_TIME *time);
/* Length of "spiffe://domain". */
size_t tls_identity_domain_len(const char *identity);
/* The reason of OpenSSL's oldest queued error, a literal; clears the queue. */
const char *tls_openssl_reason(void);

#endif
