/* SPDX-License-Identifier: Apache-2.0 */
/* See rpc_fixture.h. */
#include "rpc_fixture.h"

#include "rpc/certificate.h"
#include "tests/support/support_tmpdir.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WAIT_MS = 10000
};

static void on_tick(uv_timer_t *timer);
static void on_open(struct stream *stream, void *ctx);
static void on_read(struct stream *stream, struct slice bytes, void *ctx);
static void on_drain(struct stream *stream, void *ctx);
static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx);
static void make_identity(const char *dir, const char *name, const char *path);
static void make_odd(const char *dir, const char *name, const char *names);

static const struct stream_handlers peer_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_drain = on_drain,
    .on_close = on_close,
};

void rpc_start(struct rpc_fixture *fixture)
{
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    fixture->net = net_new(&fixture->loop);
}

static void print_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        print_error("left open: %s\n", uv_handle_type_name(handle->type));
    }
}

void rpc_stop(struct rpc_fixture *fixture)
{
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    net_free(fixture->net);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    int status = uv_loop_close(&fixture->loop);
    if (status != 0) {
        uv_walk(&fixture->loop, print_handle, NULL);
    }
    assert_int_equal(status, 0);
}

void rpc_run_until(struct rpc_fixture *fixture, const volatile uint32_t *flag, const char *what)
{
    uv_timer_t tick;
    uv_timer_init(&fixture->loop, &tick);
    uv_timer_start(&tick, on_tick, 20, 20);
    uv_update_time(&fixture->loop);
    uint64_t end_ms = uv_now(&fixture->loop) + WAIT_MS;
    while (*flag == 0 && uv_now(&fixture->loop) < end_ms) {
        uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    bool seen = *flag != 0; /* it may fall again while the timer is put away */
    uv_close((uv_handle_t *)&tick, NULL);
    while (uv_is_active((uv_handle_t *)&tick)) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
    }
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    if (!seen) {
        fail_msg("waited in vain for: %s", what);
    }
}

void rpc_run_for(struct rpc_fixture *fixture, uint64_t ms)
{
    uv_timer_t tick;
    uv_timer_init(&fixture->loop, &tick);
    uv_update_time(&fixture->loop); /* what a test did before is not of that time */
    uv_timer_start(&tick, on_tick, ms, 0);
    while (uv_is_active((uv_handle_t *)&tick)) {
        uv_run(&fixture->loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

const char *rpc_certs(void)
{
    static char dir[512];
    if (dir[0] == '\0') {
        struct reason reason = {0};
        snprintf(dir, sizeof(dir), "%s/certs", support_tmpdir("rpc"));
        if (cert_create_ca(dir, "indaba.test", &reason) != ERR_OK) {
            fail_msg("%s", reason.text);
        }
        make_identity(dir, "n1", "/member/n1");
        make_identity(dir, "n2", "/member/n2");
        make_identity(dir, "ops", "/operator/anna");
        make_odd(
            dir, "double", "URI:spiffe://indaba.test/member/a,URI:spiffe://indaba.test/member/b");
        make_odd(dir, "nameless", "IP:127.0.0.1");
    }
    return dir;
}

const char *rpc_other_certs(void)
{
    static char dir[512];
    if (dir[0] == '\0') {
        struct reason reason = {0};
        snprintf(dir, sizeof(dir), "%s/other", support_tmpdir("rpc"));
        if (cert_create_ca(dir, "indaba.test", &reason) != ERR_OK) {
            fail_msg("%s", reason.text);
        }
        make_identity(dir, "n1", "/member/n1");
    }
    return dir;
}

struct tls *rpc_tls(const char *dir, const char *name)
{
    char ca[600];
    char cert[600];
    char key[600];
    struct reason reason = {0};
    struct tls *tls = NULL;
    snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
    snprintf(cert, sizeof(cert), "%s/%s.pem", dir, name);
    snprintf(key, sizeof(key), "%s/%s.key", dir, name);
    struct tls_files files = {.ca_path = ca, .cert_path = cert, .key_path = key};
    if (tls_new(&files, &reason, &tls) != ERR_OK) {
        fail_msg("%s", reason.text);
    }
    return tls;
}

void rpc_copy_file(const char *from_dir, const char *from, const char *to_dir, const char *to)
{
    char path[600];
    char bytes[8192];
    snprintf(path, sizeof(path), "%s/%s", from_dir, from);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t len = read(fd, bytes, sizeof(bytes));
    close(fd);
    snprintf(path, sizeof(path), "%s/%s", to_dir, to);
    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, (size_t)len), len);
    close(fd);
}

const char *rpc_address(uint16_t port)
{
    static char texts[8][32];
    static unsigned next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof(texts[0]), "127.0.0.1:%u", port);
    return text;
}

void rpc_peer_connect(struct rpc_fixture *fixture,
                      struct rpc_peer *peer,
                      uint16_t port,
                      const struct stream_options *options)
{
    *peer = (struct rpc_peer){0};
    assert_int_equal(stream_connect(fixture->net, rpc_address(port), options, &peer->stream),
                     ERR_OK);
    stream_set_handlers(peer->stream, &peer_handlers, peer);
}

void rpc_peer_adopt(struct rpc_peer *peer, struct stream *stream)
{
    *peer = (struct rpc_peer){.stream = stream, .opened = 1};
    stream_set_handlers(stream, &peer_handlers, peer);
}

void rpc_peer_send(struct rpc_peer *peer, const void *data, size_t len)
{
    assert_int_equal(stream_write(peer->stream, slice_of(data, len)), ERR_OK);
}

void rpc_peer_await(struct rpc_fixture *fixture, struct rpc_peer *peer, size_t len)
{
    volatile uint32_t enough = peer->received.len >= len;
    uv_update_time(&fixture->loop);
    uint64_t end_ms = uv_now(&fixture->loop) + WAIT_MS;
    uv_timer_t tick;
    uv_timer_init(&fixture->loop, &tick);
    uv_timer_start(&tick, on_tick, 20, 20);
    while (enough == 0 && uv_now(&fixture->loop) < end_ms) {
        uv_run(&fixture->loop, UV_RUN_ONCE);
        enough = peer->received.len >= len;
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    if (enough == 0) {
        fail_msg(
            "waited in vain for %zu bytes, got %zu (%s)", len, peer->received.len, peer->detail);
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_open(struct stream *stream, void *ctx)
{
    (void)stream;
    ((struct rpc_peer *)ctx)->opened = 1;
}

static void on_read(struct stream *stream, struct slice bytes, void *ctx)
{
    (void)stream;
    struct rpc_peer *peer = ctx;
    buf_append(&peer->received, bytes.data, bytes.len);
}

static void on_drain(struct stream *stream, void *ctx)
{
    (void)stream;
    ((struct rpc_peer *)ctx)->drained = 1;
}

static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    (void)stream;
    struct rpc_peer *peer = ctx;
    peer->closed++;
    peer->reason = reason;
    peer->stream = NULL;
    snprintf(peer->detail, sizeof(peer->detail), "%s", detail);
}

static void make_identity(const char *dir, const char *name, const char *path)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    struct reason reason = {0};
    struct cert_request request = {
        .name = name,
        .spiffe_path = path,
        .hosts = hosts,
        .hosts_count = 2,
    };
    if (cert_issue(dir, &request, &reason) != ERR_OK) {
        fail_msg("%s", reason.text);
    }
}

static void *read_pem(const char *dir, const char *file, int is_key)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    FILE *stream = fopen(path, "r");
    assert_non_null(stream);
    void *object = is_key ? (void *)PEM_read_PrivateKey(stream, NULL, NULL, NULL)
                          : (void *)PEM_read_X509(stream, NULL, NULL, NULL);
    fclose(stream);
    assert_non_null(object);
    return object;
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* A certificate that cert_issue would never make, signed by the same authority. */
static void make_odd(const char *dir, const char *name, const char *names)
{
    X509 *ca = read_pem(dir, "ca.pem", 0);
    EVP_PKEY *ca_key = read_pem(dir, "ca.key", 1);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *leaf = X509_new();
    assert_non_null(leaf);
    X509_set_version(leaf, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(leaf), 77);
    X509_gmtime_adj(X509_getm_notBefore(leaf), -60);
    X509_gmtime_adj(X509_getm_notAfter(leaf), 3600);
    X509_set_pubkey(leaf, key);
    X509_set_issuer_name(leaf, X509_get_subject_name(ca));
    add_extension(leaf, NID_key_usage, "critical,digitalSignature");
    add_extension(leaf, NID_subject_alt_name, names);
    assert_true(X509_sign(leaf, ca_key, EVP_sha256()) > 0);
    char path[600];
    snprintf(path, sizeof(path), "%s/%s.pem", dir, name);
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    PEM_write_X509(stream, leaf);
    fclose(stream);
    snprintf(path, sizeof(path), "%s/%s.key", dir, name);
    stream = fopen(path, "w");
    assert_non_null(stream);
    PEM_write_PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL);
    fclose(stream);
    assert_int_equal(chmod(path, 0600), 0);
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
}
