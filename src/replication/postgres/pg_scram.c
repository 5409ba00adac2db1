/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_scram.h. */
#include "replication/postgres/pg_scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    SALT_MAX = 64,
    ITERATIONS_MAX = 1000000,
    BASE64_MAX = 128,
};

static int decode(const char *text, size_t len, unsigned char *bytes, size_t size);

bool pg_scram_matches(const char *verifier, const char *password)
{
    static const char SCHEME[] = "SCRAM-SHA-256$";
    unsigned char salt[SALT_MAX];
    unsigned char wanted[SHA256_DIGEST_LENGTH];
    unsigned char salted[SHA256_DIGEST_LENGTH];
    unsigned char client[SHA256_DIGEST_LENGTH];
    unsigned char stored[SHA256_DIGEST_LENGTH];
    unsigned client_len = 0;
    char *at = NULL;

    if (strncmp(verifier, SCHEME, sizeof(SCHEME) - 1) != 0) {
        return false;
    }
    long iterations = strtol(verifier + sizeof(SCHEME) - 1, &at, 10);
    if (*at != ':' || iterations < 1 || iterations > ITERATIONS_MAX) {
        return false;
    }
    size_t salt_text_len = strcspn(at + 1, "$");
    int salt_len = decode(at + 1, salt_text_len, salt, sizeof(salt));
    at += 1 + salt_text_len;
    if (salt_len < 1 || *at != '$' ||
        decode(at + 1, strcspn(at + 1, ":"), wanted, sizeof(wanted)) != SHA256_DIGEST_LENGTH) {
        return false;
    }
    if (PKCS5_PBKDF2_HMAC(password,
                          (int)strlen(password),
                          salt,
                          salt_len,
                          (int)iterations,
                          EVP_sha256(),
                          sizeof(salted),
                          salted) != 1 ||
        HMAC(EVP_sha256(),
             salted,
             sizeof(salted),
             (const unsigned char *)"Client Key",
             strlen("Client Key"),
             client,
             &client_len) == NULL ||
        EVP_Digest(client, client_len, stored, NULL, EVP_sha256(), NULL) != 1) {
        return false;
    }
    return memcmp(stored, wanted, sizeof(stored)) == 0;
}

/* How many bytes base64 stands for; -1 for anything that is none, or longer than `size`. */
static int decode(const char *text, size_t len, unsigned char *bytes, size_t size)
{
    unsigned char decoded[BASE64_MAX];

    if (len == 0 || len % 4 != 0 || len > BASE64_MAX) {
        return -1;
    }
    int count = EVP_DecodeBlock(decoded, (const unsigned char *)text, (int)len);
    for (size_t i = 1; i <= 2 && count > 0 && text[len - i] == '='; i++) {
        count--;
    }
    if (count < 0 || (size_t)count > size) {
        return -1;
    }
    memcpy(bytes, decoded, (size_t)count);
    return count;
}
