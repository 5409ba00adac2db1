/* SPDX-License-Identifier: Apache-2.0 */
/* The only user of OpenSSL's digests and of xxHash. */
#include "base/hash.h"

#include "base/check.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <xxhash.h>

/* Fetched once: EVP_sha256() would search the providers again at every digest. */
static EVP_MD *sha256_method;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void);
static int hex_value(char digit);

struct sha256 hash_sha256(const struct slice *parts, size_t count)
{
    struct sha256 digest;
    unsigned len = 0;

    CHECK(pthread_once(&sha256_once, fetch_sha256) == 0);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(ctx != NULL);
    CHECK(EVP_DigestInit_ex2(ctx, sha256_method, NULL) == 1);
    for (size_t i = 0; i < count; i++) {
        CHECK(EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) == 1);
    }
    CHECK(EVP_DigestFinal_ex(ctx, digest.bytes, &len) == 1);
    CHECK(len == SHA256_SIZE);
    EVP_MD_CTX_free(ctx);
    return digest;
}

char *sha256_format(const struct sha256 *digest, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < SHA256_SIZE; i++) {
        text[2 * i] = digits[digest->bytes[i] >> 4];
        text[2 * i + 1] = digits[digest->bytes[i] & 0xf];
    }
    text[SHA256_TEXT_SIZE - 1] = '\0';
    return text;
}

enum error sha256_parse(const char *text, struct sha256 *digest_out)
{
    struct sha256 digest;

    if (strnlen(text, SHA256_TEXT_SIZE) != SHA256_TEXT_SIZE - 1) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return ERR_INVALID;
        }
        digest.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *digest_out = digest;
    return ERR_OK;
}

uint64_t hash_xxh3(const void *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

static void fetch_sha256(void)
{
    sha256_method = EVP_MD_fetch(NULL, "SHA256", NULL);
    CHECK(sha256_method != NULL);
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if (digit >= 'A' && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}
