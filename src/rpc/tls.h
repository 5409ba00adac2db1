/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.3 over memory: the only user of OpenSSL's TLS. A `tls` is what a process is (its
 * certificate, key and the authority it trusts) and can be reloaded under live connections; a
 * `tls_session` is one connection, fed and drained by stream.c. No tickets, no resumption: each
 * connection proves itself afresh. A peer's identity is exactly one SPIFFE URI in its certificate,
 * of our own trust domain; a certificate with none or two is refused in the handshake. */
#ifndef INDABA_RPC_TLS_H
#define INDABA_RPC_TLS_H

#include "base/buf.h"
#include "base/reason.h"
#include "rpc/net.h"

struct tls;
struct tls_session;

struct tls_files {
    const char *ca_path;   /* PEM, one or more authorities */
    const char *cert_path; /* PEM, leaf first */
    const char *key_path;  /* PEM, not readable by others */
    const char *crl_path; /* PEM, or NULL; once given, a missing or expired list refuses everyone */
    bool is_client_only;  /* it never serves: a certificate for clients will do */
};

enum tls_role {
    TLS_CLIENT,        /* presents our certificate, demands the server's */
    TLS_SERVER,        /* demands a certificate of the client */
    TLS_SERVER_PUBLIC, /* asks for one; a client without is anonymous (ops port) */
};

/* Copies the paths. Fails with ERR_CONFIG, or ERR_IO for an unreadable file, and a text that names
 * the file and the reason: unreadable, not PEM, key of another certificate, not signed by the
 * authority, expired, no SPIFFE identity, key readable by others, under a pass phrase (nobody is
 * ever asked for one), of no use in a handshake with ourselves, as a client or as a server. */
MUST_CHECK enum error
tls_new(const struct tls_files *files, struct reason *reason, struct tls **tls_out);
/* Sessions still open keep what they need. NULL is allowed. */
void tls_free(struct tls *tls);
/* Reads the files again, builds everything aside and swaps; new sessions use the new. On failure
 * the old stays in force. Refuses a certificate with another SPIFFE identity than the running one.
 */
MUST_CHECK enum error tls_reload(struct tls *tls, struct reason *reason);
/* Its two halves. tls_read blocks, and may be called on any thread, one at a time; tls_take belongs
 * to the thread of the sessions, and takes `reading` whatever it returns. */
struct tls_reading;
MUST_CHECK enum error
tls_read(const struct tls *tls, struct reason *reason, struct tls_reading **reading_out);
MUST_CHECK enum error tls_take(struct tls *tls, struct tls_reading *reading, struct reason *reason);
/* NULL is allowed. */
void tls_reading_free(struct tls_reading *reading);
/* True if a file's time, size or inode differs from when it was read; for a poll once a minute.
 * Blocks; may be called where tls_read may. */
bool tls_files_changed(const struct tls *tls);

/* "spiffe://indaba.local/member/n1"; until tls_free. */
const char *tls_identity(const struct tls *tls);
/* When our certificate expires, wall clock. */
uint64_t tls_not_after_ms(const struct tls *tls);

/* The path of a SPIFFE identity, from its '/': "/member/n1"; "" for none. Borrowed from
 * `identity`.*/
const char *tls_identity_path(const char *identity);
/* ERR_INVALID unless `identity` follows the SPIFFE rules (at most 2048 bytes, lower-case domain, a
 * path without empty, "." or ".." segments, no '%', query or fragment). */
MUST_CHECK enum error tls_check_identity(const char *identity);

/* `alpn` is one protocol ("h2"), or NULL for none; a peer that does not offer it is refused. It
 * must be a literal. */
struct tls_session *tls_session_new(struct tls *tls, enum tls_role role, const char *alpn);
void tls_session_free(struct tls_session *session);
/* Takes bytes from the network. */
void tls_session_feed(struct tls_session *session, struct slice cipher);
/* Runs the handshake if it is not done, then decrypts into `plain`. ERR_OK with a length of 0: more
 * input is needed. ERR_CLOSED: the peer said goodbye. ERR_UNAUTHENTICATED: a certificate was
 * missing or refused, ours or theirs. ERR_PROTOCOL: anything else; the reason is
 * tls_session_errmsg. */
MUST_CHECK enum error
tls_session_read(struct tls_session *session, uint8_t *plain, size_t size, size_t *len_out);
/* Encrypts all of `plain` into the output. Only when established. */
MUST_CHECK enum error tls_session_write(struct tls_session *session, struct slice plain);
/* Puts a goodbye into the output. */
void tls_session_shutdown(struct tls_session *session);
/* Appends what must go to the network. */
void tls_session_output(struct tls_session *session, struct buf *out);
bool tls_session_established(const struct tls_session *session);
/* The peer's identity, "" for an anonymous one; until tls_session_free. */
const char *tls_session_peer(const struct tls_session *session);
const char *tls_session_errmsg(const struct tls_session *session);

#endif
