/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys as files: written aside and renamed, read, shown. */
#include "base/check.h"
#include "base/clock.h"
#include "base/plain_file.h"
#include "base/plain_text.h"
#include "rpc/certificate_internal.h"
#include "rpc/tls_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FILE *open_read(const char *path, struct reason *reason);
static enum error failed(const char *doing, const char *path, struct reason *reason);
static enum error write_pem(int fd, const X509 *certificate, const EVP_PKEY *key);
static void sync_folder(const char *path);
static void show_name(struct buf *out, const char *label, const X509_NAME *name);
static void show_alternatives(struct buf *out, X509 *certificate);

enum error cert_path(const char *dir, const char *file, char *path, struct reason *reason)
{
    int len = snprintf(path, CERT_PATH_SIZE, "%s/%s", dir, file);
    if (len < 0 || len >= CERT_PATH_SIZE - 8) {
        return reason_set(reason, ERR_LIMIT, "the path of the folder is too long");
    }
    return ERR_OK;
}

enum error cert_write(const struct cert_file *file,
                      const X509 *certificate,
                      const EVP_PKEY *key,
                      struct reason *reason)
{
    char aside[CERT_PATH_SIZE + 8];
    (void)snprintf(aside, sizeof(aside), "%s.new", file->path);
    if (unlink(aside) != 0 && errno != ENOENT) { /* left by a crash */
        return failed("cannot replace", aside, reason);
    }
    int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode);
    if (fd < 0) {
        return failed("cannot write", aside, reason);
    }
    enum error error = write_pem(fd, certificate, key);
    if (error == ERR_OK && (fchmod(fd, file->mode) != 0 || fsync(fd) != 0)) {
        error = error_from_errno(errno);
    }
    close(fd);
    if (error != ERR_OK) {
        unlink(aside);
        reason_say(reason, "cannot write %.150s: %s", aside, error_text(error));
        return error;
    }
    if (file->exclusive) {
        /* A link fails where a rename would replace. */
        int status = link(aside, file->path);
        error = status == 0 ? ERR_OK : failed("cannot make", file->path, reason);
        unlink(aside);
    } else if (rename(aside, file->path) != 0) {
        error = failed("cannot replace", file->path, reason);
        unlink(aside);
    }
    sync_folder(file->path);
    return error;
}

static FILE *open_read(const char *path, struct reason *reason)
{
    int fd = -1;
    if (plain_file_open(path, O_RDONLY, 0, &fd) != ERR_OK) {
        (void)failed("cannot read", path, reason);
        return NULL;
    }
    FILE *file = fdopen(fd, "r");
    CHECK(file != NULL);
    return file;
}

X509 *cert_read(const char *path, struct reason *reason)
{
    FILE *file = open_read(path, reason);
    if (file == NULL) {
        return NULL;
    }
    X509 *certificate = PEM_read_X509(file, NULL, tls_no_pass_phrase, NULL);
    if (certificate == NULL) {
        reason_say(reason, "%s has no certificate in PEM form", path);
        ERR_clear_error();
    }
    (void)fclose(file);
    return certificate;
}

EVP_PKEY *cert_read_key(const char *path, struct reason *reason)
{
    FILE *file = open_read(path, reason);
    if (file == NULL) {
        return NULL;
    }
    bool asked = false;
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, tls_no_pass_phrase, &asked);
    if (key == NULL) {
        reason_say(reason,
                   "%s has no private key in PEM form%s",
                   path,
                   asked ? " without a pass phrase, and nobody is asked for one" : "");
        ERR_clear_error();
    }
    (void)fclose(file);
    return key;
}

enum error cert_show(const char *path, struct buf *out, struct reason *reason)
{
    if (access(path, R_OK) != 0) {
        return failed("cannot read", path, reason);
    }
    X509 *certificate = cert_read(path, reason);
    if (certificate == NULL) {
        return ERR_INVALID;
    }
    show_name(out, "subject", X509_get_subject_name(certificate));
    show_name(out, "issuer", X509_get_issuer_name(certificate));
    show_alternatives(out, certificate);
    char from[CLOCK_WALL_TEXT_SIZE];
    char until[CLOCK_WALL_TEXT_SIZE];
    uint64_t not_after_ms = tls_time_ms(X509_get0_notAfter(certificate));
    buf_printf(out,
               "valid      %s to %s\n",
               clock_format_wall(tls_time_ms(X509_get0_notBefore(certificate)), from),
               clock_format_wall(not_after_ms, until));
    uint64_t now_ms = clock_wall_ms();
    if (not_after_ms <= now_ms) {
        buf_append_string(out, "remaining  none: it has expired\n");
    } else {
        buf_printf(out, "remaining  %" PRIu64 " days\n", (not_after_ms - now_ms) / 86400000);
    }
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    char group[32] = "";
    if (key != NULL && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1) {
        group[0] = '\0';
    }
    buf_printf(out,
               "key        %s %s, %d bits\n",
               key == NULL ? "unknown" : EVP_PKEY_get0_type_name(key),
               group,
               key == NULL ? 0 : EVP_PKEY_get_bits(key));
    buf_printf(out, "authority  %s\n", X509_check_ca(certificate) != 0 ? "yes" : "no");
    X509_free(certificate);
    return ERR_OK;
}

enum error cert_not_after_ms(const char *path, struct reason *reason, uint64_t *not_after_out)
{
    if (access(path, R_OK) != 0) {
        return failed("cannot read", path, reason);
    }
    X509 *certificate = cert_read(path, reason);
    if (certificate == NULL) {
        return ERR_INVALID;
    }
    *not_after_out = tls_time_ms(X509_get0_notAfter(certificate));
    X509_free(certificate);
    return ERR_OK;
}

static enum error failed(const char *doing, const char *path, struct reason *reason)
{
    int saved = errno;
    reason_say(reason, "%s %.150s: %s", doing, path, strerrordesc_np(saved));
    enum error error = error_from_errno(saved);
    return error == ERR_OK ? ERR_IO : error;
}

static enum error write_pem(int fd, const X509 *certificate, const EVP_PKEY *key)
{
    BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
    if (bio == NULL) {
        return ERR_INTERNAL;
    }
    int done = certificate != NULL ? PEM_write_bio_X509(bio, certificate)
                                   : PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    if (BIO_flush(bio) != 1) {
        done = 0;
    }
    BIO_free(bio);
    return done == 1 ? ERR_OK : ERR_IO;
}

/* The rename is durable only with its folder. A folder that cannot be synced is no failure: the
 * files are made anew by the same command. */
static void sync_folder(const char *path)
{
    char copy[CERT_PATH_SIZE];
    (void)snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static void show_name(struct buf *out, const char *label, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        long len = BIO_get_mem_data(bio, &text);
        buf_printf(out, "%-10s %.*s\n", label, (int)len, text);
    }
    BIO_free(bio);
}

static void show_alternatives(struct buf *out, X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_IPADD) {
            const ASN1_OCTET_STRING *ip = name->d.iPAddress;
            char text[INET6_ADDRSTRLEN] = "?";
            int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;
            inet_ntop(family, ASN1_STRING_get0_data(ip), text, sizeof(text));
            buf_printf(out, "host       %s\n", text);
        } else if (name->type == GEN_DNS || name->type == GEN_URI) {
            const ASN1_IA5STRING *text = name->d.ia5;
            buf_printf(out, "%-10s ", name->type == GEN_URI ? "identity" : "host");
            plain_text_append(
                out, (const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
            buf_append_string(out, "\n");
        }
    }
    GENERAL_NAMES_free(names);
}
