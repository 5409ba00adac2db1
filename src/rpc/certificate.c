/* SPDX-License-Identifier: Apache-2.0 */
/* Makes keys and certificates. Validity begins a little in the past, for machines whose clocks
 * differ. The leaf's extensions are those that X509-SVID demands. */
#include "rpc/certificate.h"

#include "base/check.h"
#include "base/mem.h"
#include "rpc/certificate_internal.h"
#include "rpc/tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BACKDATE_SECONDS = 300,
    NAME_SIZE = 64,
    DOMAIN_SIZE = 256
};

static X509 *make_ca(EVP_PKEY *key, const char *trust_domain);
static enum error issue_check(const struct cert_request *request, struct reason *reason);
static enum error ca_domain(X509 *ca, char *domain, struct reason *reason);
static X509 *make_leaf(const struct cert_request *request, const char *identity);
static bool add_names(X509 *leaf, const struct cert_request *request, const char *identity);
static bool host_is_valid(const char *host);
static bool set_common(X509 *certificate, const char *common_name, uint32_t days);
static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value);
static bool name_is_valid(const char *name, const char *allowed, size_t len_max);

enum error cert_create_ca(const char *dir, const char *trust_domain, struct reason *reason)
{
    char cert[CERT_PATH_SIZE];
    char key_path[CERT_PATH_SIZE];
    TRY(cert_path(dir, CERT_CA_FILE, cert, reason));
    TRY(cert_path(dir, CERT_CA_KEY_FILE, key_path, reason));
    if (!name_is_valid(trust_domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_", DOMAIN_SIZE - 1)) {
        return reason_set(
            reason,
            ERR_INVALID,
            "\"%.60s\" cannot be a trust domain: lower-case letters, digits, '.', '-', '_'",
            trust_domain);
    }
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        reason_say(reason, "cannot make %s: %s", dir, strerrordesc_np(errno));
        return error_from_errno(errno);
    }
    if (access(cert, F_OK) == 0 || access(key_path, F_OK) == 0) {
        return reason_set(
            reason, ERR_EXISTS, "%s already has an authority; it stays as it is", dir);
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *ca = key == NULL ? NULL : make_ca(key, trust_domain);
    enum error error = ERR_INTERNAL;
    if (ca == NULL) {
        reason_say(reason, "OpenSSL makes no authority: %s", tls_openssl_reason());
        goto out;
    }
    /* The key first: the certificate shows that the authority is complete. */
    error = cert_write(&(struct cert_file){key_path, 0600, true}, NULL, key, reason);
    if (error == ERR_OK) {
        error = cert_write(&(struct cert_file){cert, 0644, true}, ca, NULL, reason);
    }
out:
    X509_free(ca);
    EVP_PKEY_free(key);
    return error;
}

enum error cert_issue(const char *dir, const struct cert_request *request, struct reason *reason)
{
    TRY(issue_check(request, reason));
    char path[CERT_PATH_SIZE];
    char file[NAME_SIZE + 8];
    char domain[DOMAIN_SIZE];
    char identity[TLS_IDENTITY_BYTES_MAX + 1];
    X509 *ca = NULL;
    X509 *leaf = NULL;
    EVP_PKEY *ca_key = NULL;
    EVP_PKEY *key = NULL;
    enum error error = ERR_NOT_FOUND;

    TRY(cert_path(dir, CERT_CA_FILE, path, reason));
    ca = cert_read(path, reason);
    TRY(cert_path(dir, CERT_CA_KEY_FILE, path, reason));
    ca_key = ca == NULL ? NULL : cert_read_key(path, reason);
    if (ca_key == NULL) {
        goto out;
    }
    error = ca_domain(ca, domain, reason);
    if (error != ERR_OK) {
        goto out;
    }
    (void)snprintf(identity, sizeof(identity), "spiffe://%s%s", domain, request->spiffe_path);
    error = ERR_INVALID;
    if (request->spiffe_path[0] != '/' || tls_check_identity(identity) != ERR_OK) {
        reason_say(reason,
                   "\"%.80s\" cannot be a SPIFFE path; it looks like /member/n1",
                   request->spiffe_path);
        goto out;
    }
    error = ERR_INTERNAL;
    key = EVP_EC_gen("P-256");
    leaf = make_leaf(request, identity);
    if (key == NULL || leaf == NULL || X509_set_pubkey(leaf, key) != 1 ||
        X509_set_issuer_name(leaf, X509_get_subject_name(ca)) != 1 ||
        !add_extension(leaf, ca, NID_authority_key_identifier, "keyid") ||
        X509_sign(leaf, ca_key, EVP_sha256()) == 0) {
        reason_say(reason, "OpenSSL signs nothing: %s", tls_openssl_reason());
        goto out;
    }
    (void)snprintf(file, sizeof(file), "%.63s.key", request->name);
    error = cert_path(dir, file, path, reason);
    if (error == ERR_OK) {
        error = cert_write(&(struct cert_file){path, 0600, false}, NULL, key, reason);
    }
    (void)snprintf(file, sizeof(file), "%.63s.pem", request->name);
    if (error == ERR_OK) {
        error = cert_path(dir, file, path, reason);
    }
    if (error == ERR_OK) {
        error = cert_write(&(struct cert_file){path, 0644, false}, leaf, NULL, reason);
    }
out:
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    X509_free(leaf);
    X509_free(ca);
    return error;
}

static X509 *make_ca(EVP_PKEY *key, const char *trust_domain)
{
    X509 *ca = X509_new();
    char uri[DOMAIN_SIZE + 16];
    (void)snprintf(uri, sizeof(uri), "URI:spiffe://%s", trust_domain);
    if (ca != NULL && set_common(ca, "Indaba development authority", CERT_CA_DAYS) &&
        X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1 && X509_set_pubkey(ca, key) == 1 &&
        add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        add_extension(ca, ca, NID_subject_key_identifier, "hash") &&
        add_extension(ca, ca, NID_subject_alt_name, uri) && X509_sign(ca, key, EVP_sha256()) > 0) {
        return ca;
    }
    X509_free(ca);
    return NULL;
}

static enum error issue_check(const struct cert_request *request, struct reason *reason)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    if (!name_is_valid(request->name, allowed, NAME_SIZE - 1) || request->name[0] == '.' ||
        strcmp(request->name, "ca") == 0) {
        return reason_set(
            reason,
            ERR_INVALID,
            "\"%.60s\" cannot be a name: letters, digits, '.', '-', '_', and not \"ca\"",
            request->name);
    }
    if (request->hosts_count > CERT_HOSTS_MAX) {
        return reason_set(reason, ERR_LIMIT, "at most %d hosts in one certificate", CERT_HOSTS_MAX);
    }
    for (size_t i = 0; i < request->hosts_count; i++) {
        if (!host_is_valid(request->hosts[i])) {
            return reason_set(reason,
                              ERR_INVALID,
                              "\"%.80s\" is neither an IP address nor a DNS name",
                              request->hosts[i]);
        }
    }
    return ERR_OK;
}

static enum error ca_domain(X509 *ca, char *domain, struct reason *reason)
{
    static const char scheme[] = "spiffe://";
    GENERAL_NAMES *names = X509_get_ext_d2i(ca, NID_subject_alt_name, NULL, NULL);
    enum error error = ERR_INVALID;
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) {
            continue;
        }
        const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
        size_t len = (size_t)ASN1_STRING_length(uri);
        const unsigned char *text = ASN1_STRING_get0_data(uri);
        if (len > sizeof(scheme) - 1 && len - sizeof(scheme) + 1 < DOMAIN_SIZE &&
            memcmp(text, scheme, sizeof(scheme) - 1) == 0) {
            memcpy(domain, text + sizeof(scheme) - 1, len - sizeof(scheme) + 1);
            domain[len - sizeof(scheme) + 1] = '\0';
            error = ERR_OK;
        }
    }
    GENERAL_NAMES_free(names);
    if (error != ERR_OK) {
        reason_say(reason, "the authority names no trust domain (a SPIFFE URI)");
    }
    return error;
}

static X509 *make_leaf(const struct cert_request *request, const char *identity)
{
    X509 *leaf = X509_new();
    if (leaf != NULL &&
        set_common(leaf, request->name, request->days == 0 ? CERT_DAYS : request->days) &&
        add_extension(leaf, leaf, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(leaf, leaf, NID_key_usage, "critical,digitalSignature") &&
        add_extension(leaf, leaf, NID_ext_key_usage, "serverAuth,clientAuth") &&
        add_names(leaf, request, identity)) {
        return leaf;
    }
    X509_free(leaf);
    return NULL;
}

static bool add_names(X509 *leaf, const struct cert_request *request, const char *identity)
{
    struct buf names = {0};
    buf_printf(&names, "URI:%s", identity);
    for (size_t i = 0; i < request->hosts_count; i++) {
        struct in6_addr ignored;
        bool is_ip = inet_pton(AF_INET, request->hosts[i], &ignored) == 1 ||
                     inet_pton(AF_INET6, request->hosts[i], &ignored) == 1;
        buf_printf(&names, ",%s:%s", is_ip ? "IP" : "DNS", request->hosts[i]);
    }
    bool done = add_extension(leaf, leaf, NID_subject_alt_name, (const char *)names.data);
    buf_deinit(&names);
    return done;
}

/* Neither may smuggle in another name: commas and colons mean something to OpenSSL. */
static bool host_is_valid(const char *host)
{
    struct in6_addr ignored;
    return inet_pton(AF_INET, host, &ignored) == 1 || inet_pton(AF_INET6, host, &ignored) == 1 ||
           name_is_valid(
               host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-*", 253);
}

static bool set_common(X509 *certificate, const char *common_name, uint32_t days)
{
    unsigned char serial[16];
    BIGNUM *number = NULL;
    bool done = false;
    X509_NAME *subject = X509_get_subject_name(certificate);
    if (RAND_bytes(serial, sizeof(serial)) == 1) {
        serial[0] &= 0x7f; /* serial numbers are positive */
        number = BN_bin2bn(serial, sizeof(serial), NULL);
    }
    long seconds = (long)days * 24 * 3600;
    if (number != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
        BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATE_SECONDS) != NULL &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), seconds) != NULL &&
        X509_NAME_add_entry_by_txt(
            subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1) {
        done = true;
    }
    BN_free(number);
    return done;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (extension == NULL) {
        return false;
    }
    bool done = X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool name_is_valid(const char *name, const char *allowed, size_t len_max)
{
    size_t len = strnlen(name, len_max + 1);
    return len > 0 && len <= len_max && strspn(name, allowed) == len;
}
