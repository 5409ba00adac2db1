/* SPDX-License-Identifier: Apache-2.0 */
/* Digests: SHA-256 (OpenSSL's EVP) for the ledger, XXH3-64 (xxHash) for checksums that guard
 * against accidents, not against people. */
#ifndef INDABA_BASE_HASH_H
#define INDABA_BASE_HASH_H

#include "base/buf.h"

enum {
    SHA256_SIZE = 32,
    SHA256_TEXT_SIZE = 65
};

struct sha256 {
    uint8_t bytes[SHA256_SIZE];
};

/* SHA-256 over the concatenation of `count` slices. Thread safe. */
struct sha256 hash_sha256(const struct slice *parts, size_t count);
/* 64 hex digits and a NUL into `text`; returns `text`. */
char *sha256_format(const struct sha256 *digest, char *text);
MUST_CHECK enum error sha256_parse(const char *text, struct sha256 *digest_out);

uint64_t hash_xxh3(const void *data, size_t len, uint64_t seed);

#endif
