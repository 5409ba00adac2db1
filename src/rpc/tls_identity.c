/* SPDX-License-Identifier: Apache-2.0 */
/* SPIFFE identities: which texts are one, and how one is read from a certificate. The rules are
 * those of the SPIFFE-ID and X509-SVID documents, without exceptions: a byte that two readers could
 * take differently is a way to be someone else. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/tls_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define SPIFFE_SCHEME "spiffe://"

static bool identity_domain_valid(const char *domain, size_t len);
static bool identity_path_valid(const char *path);
static enum error identity_from_names(const GENERAL_NAMES *names, const char **why, char **out);

const char *tls_identity_path(const char *identity)
{
    if (strncmp(identity, SPIFFE_SCHEME, strlen(SPIFFE_SCHEME)) != 0) {
        return "";
    }
    const char *path = strchr(identity + strlen(SPIFFE_SCHEME), '/');
    return path == NULL ? "" : path;
}

enum error tls_check_identity(const char *identity)
{
    if (strnlen(identity, TLS_IDENTITY_BYTES_MAX + 1) > TLS_IDENTITY_BYTES_MAX) {
        return ERR_INVALID;
    }
    const char *path = tls_identity_path(identity);
    if (path[0] == '\0') {
        return ERR_INVALID;
    }
    const char *domain = identity + strlen(SPIFFE_SCHEME);
    if (!identity_domain_valid(domain, (size_t)(path - domain)) || !identity_path_valid(path)) {
        return ERR_INVALID;
    }
    return ERR_OK;
}

size_t tls_identity_domain_len(const char *identity)
{
    const char *path = tls_identity_path(identity);
    return path[0] == '\0' ? strlen(identity) : (size_t)(path - identity);
}

enum error tls_certificate_identity(X509 *certificate, const char **why_out, char **identity_out)
{
    /* Fills the flags read below. */
    (void)X509_check_purpose(certificate, -1, 0);
    uint32_t flags = X509_get_extension_flags(certificate);
    uint32_t usage = X509_get_key_usage(certificate);
    if ((flags & EXFLAG_CA) != 0 || (flags & EXFLAG_KUSAGE) == 0 ||
        (usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0 || (usage & KU_DIGITAL_SIGNATURE) == 0) {
        *why_out = "it may sign others, or its key usage is not digitalSignature";
        return ERR_INVALID;
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    if (names == NULL) {
        *why_out = "it has no subject alternative name, so no SPIFFE identity";
        return ERR_INVALID;
    }
    enum error error = identity_from_names(names, why_out, identity_out);
    GENERAL_NAMES_free(names);
    return error;
}

uint64_t tls_time_ms(const ASN1_TIME *time)
{
    struct tm parts;
    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1) {
        return 0;
    }
    time_t seconds = timegm(&parts);
    return seconds < 0 ? 0 : (uint64_t)seconds * 1000;
}

const char *tls_openssl_reason(void)
{
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    return reason == NULL ? "unknown reason" : reason;
}

static bool identity_domain_valid(const char *domain, size_t len)
{
    return len > 0 && len <= 255 &&
           strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == len;
}

/* Every segment has letters, digits, '.', '-', '_', is not empty and is neither "." nor "..". */
static bool identity_path_valid(const char *path)
{
    while (*path == '/') {
        path++;
        size_t len =
            strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
        if (len == 0 || (len == 1 && path[0] == '.') ||
            (len == 2 && path[0] == '.' && path[1] == '.')) {
            return false;
        }
        path += len;
    }
    return *path == '\0';
}

static enum error identity_from_names(const GENERAL_NAMES *names, const char **why, char **out)
{
    const ASN1_IA5STRING *uri = NULL;
    int uris_count = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI) {
            uri = name->d.uniformResourceIdentifier;
            uris_count++;
        }
    }
    if (uris_count != 1) {
        *why = uris_count == 0 ? "it has no URI name, so no SPIFFE identity"
                               : "it has more than one URI name";
        return ERR_INVALID;
    }
    int len = ASN1_STRING_length(uri);
    const unsigned char *data = ASN1_STRING_get0_data(uri);
    if (len <= 0 || len > TLS_IDENTITY_BYTES_MAX || memchr(data, 0, (size_t)len) != NULL) {
        *why = "its URI name is empty, too long, or has a zero byte";
        return ERR_INVALID;
    }
    char *identity = mem_new((size_t)len + 1);
    memcpy(identity, data, (size_t)len);
    if (tls_check_identity(identity) != ERR_OK) {
        mem_free(identity);
        *why = "its URI name is not a SPIFFE identity";
        return ERR_INVALID;
    }
    *out = identity;
    return ERR_OK;
}
