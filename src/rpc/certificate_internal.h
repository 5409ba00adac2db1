/* SPDX-License-Identifier: Apache-2.0 */
/* What certificate.c (making) and certificate_file.c (files, showing) share. */
#ifndef INDABA_RPC_CERTIFICATE_INTERNAL_H
#define INDABA_RPC_CERTIFICATE_INTERNAL_H

#include "base/reason.h"
#include "rpc/certificate.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

enum {
    CERT_PATH_SIZE = 4096
};

/* dir/file into `path` (CERT_PATH_SIZE bytes). ERR_LIMIT if too long. */
MUST_CHECK enum error
cert_path(const char *dir, const char *file, char *path, struct reason *reason);

/* Writes aside, syncs, renames; `exclusive`: ERR_EXISTS instead of replacing. */
struct cert_file {
    const char *path;
    unsigned mode;
    bool exclusive;
};
MUST_CHECK enum error cert_write(const struct cert_file *file,
                                 const X509 *certificate,
                                 const EVP_PKEY *key,
                                 struct reason *reason);
/* NULL with a text if the file has none. */
X509 *cert_read(const char *path, struct reason *reason);
EVP_PKEY *cert_read_key(const char *path, struct reason *reason);

#endif
