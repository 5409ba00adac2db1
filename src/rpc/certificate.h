/* SPDX-License-Identifier: Apache-2.0 */
/* A development authority: P-256 keys, and certificates with one SPIFFE identity each. For demos,
 * tests and small installations; larger ones bring their own (docs/certificates). Files are written
 * aside and renamed into place; keys have mode 0600; an existing authority is never overwritten. */
#ifndef INDABA_RPC_CERTIFICATE_H
#define INDABA_RPC_CERTIFICATE_H

#include "base/buf.h"
#include "base/reason.h"
#include "rpc/net.h"

#define CERT_CA_FILE     "ca.pem"
#define CERT_CA_KEY_FILE "ca.key"

enum {
    CERT_CA_DAYS = 3650,
    CERT_DAYS = 365,
    CERT_HOSTS_MAX = 16
};

/* Makes `dir` (0700) if needed, and ca.pem and ca.key in it. ERR_EXISTS if there is one already.
 * `trust_domain`: lower-case letters, digits, '.', '-', '_'. */
MUST_CHECK enum error
cert_create_ca(const char *dir, const char *trust_domain, struct reason *reason);

struct cert_request {
    const char *name;         /* makes NAME.pem and NAME.key: letters, digits, '.', '-', '_' */
    const char *spiffe_path;  /* "/member/n1"; the domain is the authority's */
    const char *const *hosts; /* IP addresses and DNS names */
    size_t hosts_count;
    uint32_t days; /* 0: CERT_DAYS */
};

/* Signs with the authority in `dir`. Replaces NAME.pem and NAME.key (a renewal). ERR_NOT_FOUND
 * without an authority; ERR_INVALID for what cannot be a name, path or host. */
MUST_CHECK enum error
cert_issue(const char *dir, const struct cert_request *request, struct reason *reason);

/* Appends what people want to know of a PEM file, line by line: subject, issuer, SPIFFE identity,
 * hosts, validity, key. ERR_NOT_FOUND, ERR_INVALID. */
MUST_CHECK enum error cert_show(const char *path, struct buf *out, struct reason *reason);

/* Reads the first certificate of a PEM file: when it expires, in wall milliseconds. */
MUST_CHECK enum error
cert_not_after_ms(const char *path, struct reason *reason, uint64_t *not_after_out);

#endif
