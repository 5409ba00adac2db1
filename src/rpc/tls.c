/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are and whom we trust: reads the files, checks them as a peer would, and keeps one OpenSSL
 * context per role. A context that sessions use is never changed: a reload builds new ones aside.
 */
#include "rpc/tls.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/plain_file.h"
#include "rpc/tls_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Read, and not in force yet. */
struct tls_reading {
    struct tls_material material;
};

enum {
    PEM_BYTES_MAX = 4 * 1024 * 1024, /* a list of revoked certificates may be long */
};

static enum error stamp_file(const char *path, struct reason *reason, struct stat *stamp_out);
static enum error
material_load(const struct tls *tls, struct reason *reason, struct tls_material *out);
static enum error
material_stamp(const struct tls *tls, struct reason *reason, struct tls_material *out);
static enum error context_load(const struct tls *tls,
                               enum tls_role role,
                               struct reason *reason,
                               SSL_CTX **context_out);
static enum error context_load_crl(SSL_CTX *context, const char *path, struct reason *reason);
static enum error check_own(SSL_CTX *context, const char *path, struct reason *reason);
static void material_deinit(struct tls_material *material);

enum error tls_new(const struct tls_files *files, struct reason *reason, struct tls **tls_out)
{
    struct tls *tls = mem_new(sizeof(*tls));
    tls_ask_nobody();
    tls->is_client_only = files->is_client_only;
    const char *paths[TLS_FILES_COUNT] = {
        files->ca_path,
        files->cert_path,
        files->key_path,
        files->crl_path,
    };
    for (size_t i = 0; i < TLS_FILES_COUNT; i++) {
        tls->paths[i] = paths[i] == NULL ? NULL : mem_dup_string(paths[i]);
    }
    enum error error = material_load(tls, reason, &tls->material);
    if (error != ERR_OK) {
        tls_free(tls);
        return error;
    }
    *tls_out = tls;
    return ERR_OK;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    material_deinit(&tls->material);
    for (size_t i = 0; i < TLS_FILES_COUNT; i++) {
        mem_free(tls->paths[i]);
    }
    mem_free(tls);
}

enum error tls_reload(struct tls *tls, struct reason *reason)
{
    struct tls_reading *reading = NULL;
    TRY(tls_read(tls, reason, &reading));
    return tls_take(tls, reading, reason);
}

enum error tls_read(const struct tls *tls, struct reason *reason, struct tls_reading **reading_out)
{
    struct tls_reading *reading = mem_new(sizeof(*reading));
    enum error error = material_load(tls, reason, &reading->material);
    if (error != ERR_OK) {
        mem_free(reading);
        return error;
    }
    *reading_out = reading;
    return ERR_OK;
}

enum error tls_take(struct tls *tls, struct tls_reading *reading, struct reason *reason)
{
    struct tls_material *fresh = &reading->material;
    if (strcmp(fresh->identity, tls->material.identity) != 0) {
        reason_say(reason,
                   "%s now names \"%.60s\", but this process is \"%.60s\"; restart to change it",
                   tls->paths[TLS_PATH_CERT],
                   fresh->identity,
                   tls->material.identity);
        tls_reading_free(reading);
        return ERR_CONFIG;
    }
    material_deinit(&tls->material);
    tls->material = *fresh;
    mem_free(reading);
    return ERR_OK;
}

void tls_reading_free(struct tls_reading *reading)
{
    if (reading != NULL) {
        material_deinit(&reading->material);
        mem_free(reading);
    }
}

bool tls_files_changed(const struct tls *tls)
{
    for (size_t i = 0; i < TLS_FILES_COUNT; i++) {
        struct stat now;
        const struct stat *then = &tls->material.stamps[i];
        if (tls->paths[i] == NULL || stat(tls->paths[i], &now) != 0) {
            continue; /* being replaced: the next look will see it */
        }
        if (now.st_ino != then->st_ino || now.st_size != then->st_size ||
            now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
            now.st_mtim.tv_nsec != then->st_mtim.tv_nsec) {
            return true;
        }
    }
    return false;
}

const char *tls_identity(const struct tls *tls)
{
    return tls->material.identity;
}

uint64_t tls_not_after_ms(const struct tls *tls)
{
    return tls->material.not_after_ms;
}

static enum error
material_load(const struct tls *tls, struct reason *reason, struct tls_material *out)
{
    struct tls_material material = {0};
    ERR_clear_error();
    TRY(material_stamp(tls, reason, &material));
    enum error error = ERR_OK;
    for (int role = TLS_CLIENT; role <= TLS_SERVER_PUBLIC && error == ERR_OK; role++) {
        error = context_load(tls, (enum tls_role)role, reason, &material.contexts[role]);
    }
    if (error != ERR_OK) {
        goto fail;
    }
    SSL_CTX *context = material.contexts[TLS_CLIENT];
    error = check_own(context, tls->paths[TLS_PATH_CERT], reason);
    if (error != ERR_OK) {
        goto fail;
    }
    X509 *certificate = SSL_CTX_get0_certificate(context);
    const char *why = "";
    if (tls_certificate_identity(certificate, &why, &material.identity) != ERR_OK) {
        error = reason_set(reason, ERR_CONFIG, "%s: %s", tls->paths[TLS_PATH_CERT], why);
        goto fail;
    }
    material.not_after_ms = tls_time_ms(X509_get0_notAfter(certificate));
    error = tls_prove(tls, &material, reason);
    if (error != ERR_OK) {
        goto fail;
    }
    *out = material;
    return ERR_OK;

fail:
    material_deinit(&material);
    return error;
}

/* Also tells an unreadable file apart from a bad one, which OpenSSL's errors do badly. */
static enum error
material_stamp(const struct tls *tls, struct reason *reason, struct tls_material *out)
{
    for (size_t i = 0; i < TLS_FILES_COUNT; i++) {
        const char *path = tls->paths[i];
        if (path == NULL) {
            continue;
        }
        TRY(stamp_file(path, reason, &out->stamps[i]));
        if (i == TLS_PATH_KEY && (out->stamps[i].st_mode & S_IRWXO) != 0) {
            return reason_set(
                reason,
                ERR_CONFIG,
                "%s is a private key that everybody on this machine can read; chmod 0600 it",
                path);
        }
    }
    return ERR_OK;
}

static enum error stamp_file(const char *path, struct reason *reason, struct stat *stamp_out)
{
    int fd = -1;
    enum error error = plain_file_open(path, O_RDONLY, 0, &fd);
    if (error == ERR_OK && fstat(fd, stamp_out) != 0) {
        error = error_from_errno(errno);
    }
    if (error == ERR_OK && stamp_out->st_size > PEM_BYTES_MAX) {
        error = ERR_LIMIT;
    }
    if (error != ERR_OK) {
        bool ours = error == ERR_NOT_REGULAR || error == ERR_LIMIT;
        reason_say(
            reason, "cannot read %s: %s", path, ours ? error_text(error) : strerrordesc_np(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return error == ERR_OK ? ERR_OK : ERR_IO;
}

static enum error context_load(const struct tls *tls,
                               enum tls_role role,
                               struct reason *reason,
                               SSL_CTX **context_out)
{
    SSL_CTX *context = SSL_CTX_new(role == TLS_CLIENT ? TLS_client_method() : TLS_server_method());
    if (context == NULL) {
        return reason_set(reason, ERR_INTERNAL, "OpenSSL does not start: %s", tls_openssl_reason());
    }
    bool asked = false;
    tls_session_prepare_context(context, role);
    SSL_CTX_set_default_passwd_cb(context, tls_no_pass_phrase);
    SSL_CTX_set_default_passwd_cb_userdata(context, &asked);
    const char *path = tls->paths[TLS_PATH_CA];
    const char *doing = "has no certificate authority in PEM form";
    if (SSL_CTX_load_verify_file(context, path) != 1) {
        goto fail;
    }
    if (role != TLS_CLIENT) {
        SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(path));
    }
    path = tls->paths[TLS_PATH_CERT];
    doing = "has no certificate in PEM form";
    if (SSL_CTX_use_certificate_chain_file(context, path) != 1) {
        goto fail;
    }
    path = tls->paths[TLS_PATH_KEY];
    doing = "has no private key in PEM form that belongs to the certificate";
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        goto fail;
    }
    path = tls->paths[TLS_PATH_CRL];
    if (path != NULL && context_load_crl(context, path, reason) != ERR_OK) {
        SSL_CTX_free(context);
        return ERR_CONFIG;
    }
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    *context_out = context;
    return ERR_OK;

fail:
    if (asked) {
        doing = "is under a pass phrase, and nobody is asked for one: store it without";
    }
    reason_say(reason, "%s %s (%s)", path, doing, tls_openssl_reason());
    SSL_CTX_free(context);
    return ERR_CONFIG;
}

static enum error context_load_crl(SSL_CTX *context, const char *path, struct reason *reason)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (lookup == NULL || X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) < 1) {
        return reason_set(reason,
                          ERR_CONFIG,
                          "%s has no revocation list in PEM form (%s)",
                          path,
                          tls_openssl_reason());
    }
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return ERR_OK;
}

/* Our own certificate, as a peer with the same authority will judge it: better refused at start,
 * with a reason, than by every peer. */
static enum error check_own(SSL_CTX *context, const char *path, struct reason *reason)
{
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(context, &chain);
    X509_STORE_CTX *check = X509_STORE_CTX_new();
    enum error error = ERR_OK;
    if (check == NULL || X509_STORE_CTX_init(check,
                                             SSL_CTX_get_cert_store(context),
                                             SSL_CTX_get0_certificate(context),
                                             chain) != 1) {
        error = reason_set(reason, ERR_INTERNAL, "cannot check %s: %s", path, tls_openssl_reason());
    } else if (X509_verify_cert(check) != 1) {
        int code = X509_STORE_CTX_get_error(check);
        error = reason_set(reason,
                           ERR_CONFIG,
                           "%s is not valid under the authority file: %s",
                           path,
                           X509_verify_cert_error_string(code));
    }
    X509_STORE_CTX_free(check);
    ERR_clear_error();
    return error;
}

static void material_deinit(struct tls_material *material)
{
    for (int role = TLS_CLIENT; role <= TLS_SERVER_PUBLIC; role++) {
        SSL_CTX_free(material->contexts[role]);
    }
    mem_free(material->identity);
    *material = (struct tls_material){0};
}
