/* SPDX-License-Identifier: Apache-2.0 */
/* Who may talk to whom: certificates that are missing, foreign, nameless or doubly named are
 * refused in the handshake, and both sides learn why. */
#include "base/check.h"
#include "base/clock.h"
#include "rpc/certificate.h"
#include "rpc_fixture.h"
#include "tests/support/support_tmpdir.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct meeting {
    struct rpc_fixture fixture;
    struct stream_listener *listener;
    struct rpc_peer server;
    struct rpc_peer client;
    volatile uint32_t accepted;
};

static void keep_accepted(struct stream *stream, void *ctx)
{
    struct meeting *meeting = ctx;
    rpc_peer_adopt(&meeting->server, stream);
    meeting->accepted++;
}

static void meet(struct meeting *meeting,
                 const struct stream_options *server,
                 const struct stream_options *client)
{
    *meeting = (struct meeting){0};
    rpc_start(&meeting->fixture);
    struct stream_listen_options listen = {.address = "127.0.0.1:0", .stream = *server};
    struct stream_acceptor acceptor = {.on_accept = keep_accepted, .ctx = meeting};
    struct reason reason = {0};
    assert_int_equal(
        stream_listen(meeting->fixture.net, &listen, acceptor, &reason, &meeting->listener),
        ERR_OK);
    rpc_peer_connect(
        &meeting->fixture, &meeting->client, stream_listener_port(meeting->listener), client);
}

static void part(struct meeting *meeting)
{
    if (meeting->client.stream != NULL) {
        stream_close(meeting->client.stream);
    }
    if (meeting->server.stream != NULL) {
        stream_close(meeting->server.stream);
    }
    stream_listener_close(meeting->listener);
    rpc_stop(&meeting->fixture);
    buf_deinit(&meeting->client.received);
    buf_deinit(&meeting->server.received);
}

static void expect_refusal(const struct stream_options *server,
                           const struct stream_options *client,
                           enum stream_reason client_reason,
                           const char *detail)
{
    struct meeting meeting;
    meet(&meeting, server, client);
    rpc_run_until(&meeting.fixture, &meeting.client.closed, "the refusal");
    assert_int_equal(meeting.accepted, 0);
    if (meeting.client.reason != client_reason || strstr(meeting.client.detail, detail) == NULL) {
        fail_msg("%s: %s", stream_reason_name(meeting.client.reason), meeting.client.detail);
    }
    part(&meeting);
}

static void test_a_certificate_of_another_authority_is_refused_by_both_sides(void **state)
{
    (void)state;
    struct tls *ours = rpc_tls(rpc_certs(), "n1");
    struct tls *foreign = rpc_tls(rpc_other_certs(), "n1");
    expect_refusal(&(struct stream_options){.tls = ours, .tls_role = TLS_SERVER},
                   &(struct stream_options){.tls = foreign},
                   STREAM_IDENTITY,
                   "refused");
    tls_free(ours);
    tls_free(foreign);
}

/* A client that trusts us and has only a certificate, or none, of the kind under test: OpenSSL
 * alone, since our own tls_new refuses to load such files. */
static void expect_server_refuses(const char *name, const char *expected)
{
    struct meeting meeting = {0};
    struct tls *ours = rpc_tls(rpc_certs(), "n1");
    char path[600];
    rpc_start(&meeting.fixture);
    struct stream_listen_options listen = {
        .address = "127.0.0.1:0",
        .stream = {.tls = ours, .tls_role = TLS_SERVER},
    };
    struct stream_acceptor acceptor = {.on_accept = keep_accepted, .ctx = &meeting};
    struct reason reason = {0};
    assert_int_equal(
        stream_listen(meeting.fixture.net, &listen, acceptor, &reason, &meeting.listener), ERR_OK);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (name != NULL) {
        snprintf(path, sizeof(path), "%s/%s.pem", rpc_certs(), name);
        assert_int_equal(SSL_CTX_use_certificate_file(context, path, SSL_FILETYPE_PEM), 1);
        snprintf(path, sizeof(path), "%s/%s.key", rpc_certs(), name);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM), 1);
    }
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    rpc_peer_connect(&meeting.fixture,
                     &meeting.client,
                     stream_listener_port(meeting.listener),
                     &(struct stream_options){0});
    rpc_run_until(&meeting.fixture, &meeting.client.opened, "open");
    unsigned long seen = 0;
    for (int turn = 0; turn < 1000 && meeting.client.closed == 0; turn++) {
        char plain[64];
        ERR_clear_error();
        if (SSL_read(ssl, plain, sizeof(plain)) <= 0 && ERR_peek_error() != 0 && seen == 0) {
            seen = ERR_peek_error();
        }
        char *data = NULL;
        long len = BIO_get_mem_data(out, &data);
        if (len > 0 && meeting.client.stream != NULL) {
            (void)!stream_write(meeting.client.stream, slice_of(data, (size_t)len));
        }
        (void)BIO_reset(out);
        rpc_run_for(&meeting.fixture, 5);
        BIO_write(in, meeting.client.received.data, (int)meeting.client.received.len);
        buf_clear(&meeting.client.received);
    }
    char plain[64];
    if (seen == 0 && SSL_read(ssl, plain, sizeof(plain)) <= 0) {
        seen = ERR_peek_error();
    }
    assert_int_equal(meeting.accepted, 0);
    const char *text = seen == 0 ? "no alert" : ERR_reason_error_string(seen);
    if (strstr(text, expected) == NULL) {
        fail_msg("the client was told: %s", text);
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    part(&meeting);
    tls_free(ours);
}

static void test_a_client_without_a_certificate_is_refused(void **state)
{
    (void)state;
    expect_server_refuses(NULL, "certificate required");
}

static void test_a_certificate_with_two_identities_is_refused(void **state)
{
    (void)state;
    expect_server_refuses("double", "alert");
}

static void test_a_certificate_without_an_identity_is_refused(void **state)
{
    (void)state;
    expect_server_refuses("nameless", "alert");
}

static void test_a_peer_of_another_kind_is_refused_after_the_handshake(void **state)
{
    (void)state;
    struct tls *ours = rpc_tls(rpc_certs(), "n1");
    struct tls *other = rpc_tls(rpc_certs(), "ops");
    /* The server demands members. */
    expect_refusal(&(struct stream_options){.tls = ours,
                                            .tls_role = TLS_SERVER,
                                            .peer_path_prefix = "/member/"},
                   &(struct stream_options){.tls = other},
                   STREAM_EOF,
                   "");
    /* The client does. */
    struct meeting meeting;
    meet(&meeting,
         &(struct stream_options){.tls = other, .tls_role = TLS_SERVER},
         &(struct stream_options){.tls = ours, .peer_path_prefix = "/member/"});
    rpc_run_until(&meeting.fixture, &meeting.client.closed, "the refusal");
    assert_int_equal(meeting.client.reason, STREAM_IDENTITY);
    assert_non_null(strstr(meeting.client.detail, "/operator/anna"));
    part(&meeting);
    tls_free(ours);
    tls_free(other);
}

static void test_a_peer_that_speaks_another_protocol_is_refused(void **state)
{
    (void)state;
    struct tls *ours = rpc_tls(rpc_certs(), "n1");
    expect_refusal(&(struct stream_options){.tls = ours, .tls_role = TLS_SERVER, .alpn = "h2"},
                   &(struct stream_options){.tls = ours, .alpn = "http/1.1"},
                   STREAM_TLS_FAILED,
                   "");
    tls_free(ours);
}

static void test_a_public_server_takes_clients_with_and_without_a_certificate(void **state)
{
    (void)state;
    struct tls *ours = rpc_tls(rpc_certs(), "n1");
    struct tls *other = rpc_tls(rpc_certs(), "ops");
    struct meeting meeting;
    meet(&meeting,
         &(struct stream_options){.tls = ours, .tls_role = TLS_SERVER_PUBLIC},
         &(struct stream_options){.tls = other});
    rpc_run_until(&meeting.fixture, &meeting.accepted, "accept");
    assert_string_equal(stream_peer(meeting.server.stream), tls_identity(other));
    part(&meeting);
    tls_free(ours);
    tls_free(other);
}

static void test_garbage_to_a_tls_server_ends_the_connection(void **state)
{
    (void)state;
    struct tls *ours = rpc_tls(rpc_certs(), "n1");
    struct meeting meeting;
    meet(&meeting,
         &(struct stream_options){.tls = ours, .tls_role = TLS_SERVER},
         &(struct stream_options){0});
    rpc_run_until(&meeting.fixture, &meeting.client.opened, "open");
    rpc_peer_send(&meeting.client, "GET / HTTP/1.1\r\n\r\n", 18);
    rpc_run_until(&meeting.fixture, &meeting.client.closed, "the end");
    assert_int_equal(meeting.accepted, 0);
    part(&meeting);
    tls_free(ours);
}

static void test_reload_swaps_a_renewed_certificate_and_keeps_the_old_on_failure(void **state)
{
    (void)state;
    struct reason reason = {0};
    const char *dir = support_tmpdir("reload");
    rpc_copy_file(rpc_certs(), "ca.pem", dir, "ca.pem");
    rpc_copy_file(rpc_certs(), "ca.key", dir, "ca.key");
    struct cert_request request = {.name = "me", .spiffe_path = "/member/me", .days = 10};
    assert_int_equal(cert_issue(dir, &request, &reason), ERR_OK);
    struct tls *tls = rpc_tls(dir, "me");
    assert_false(tls_files_changed(tls));
    uint64_t before_ms = tls_not_after_ms(tls);

    request.days = 20;
    assert_int_equal(cert_issue(dir, &request, &reason), ERR_OK);
    assert_true(tls_files_changed(tls));
    assert_int_equal(tls_reload(tls, &reason), ERR_OK);
    assert_true(tls_not_after_ms(tls) > before_ms);
    assert_false(tls_files_changed(tls));
    before_ms = tls_not_after_ms(tls);

    /* Another key, another identity, no file: each is refused with the file's name. */
    rpc_copy_file(rpc_certs(), "n2.key", dir, "me.key");
    assert_int_equal(tls_reload(tls, &reason), ERR_CONFIG);
    assert_non_null(strstr(reason.text, "me.key"));
    rpc_copy_file(rpc_certs(), "n2.pem", dir, "me.pem");
    assert_int_equal(tls_reload(tls, &reason), ERR_CONFIG);
    assert_non_null(strstr(reason.text, "/member/n2"));
    char path[600];
    snprintf(path, sizeof(path), "%s/me.pem", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(tls_reload(tls, &reason), ERR_IO);
    assert_non_null(strstr(reason.text, "me.pem"));
    assert_int_equal(tls_not_after_ms(tls), before_ms);

    /* The old one still serves. */
    struct tls *other = rpc_tls(rpc_certs(), "n1");
    struct meeting meeting;
    meet(&meeting,
         &(struct stream_options){.tls = tls, .tls_role = TLS_SERVER},
         &(struct stream_options){.tls = other});
    rpc_run_until(&meeting.fixture, &meeting.accepted, "accept");
    part(&meeting);
    tls_free(other);
    tls_free(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_certificate_of_another_authority_is_refused_by_both_sides),
        cmocka_unit_test(test_a_client_without_a_certificate_is_refused),
        cmocka_unit_test(test_a_certificate_with_two_identities_is_refused),
        cmocka_unit_test(test_a_certificate_without_an_identity_is_refused),
        cmocka_unit_test(test_a_peer_of_another_kind_is_refused_after_the_handshake),
        cmocka_unit_test(test_a_peer_that_speaks_another_protocol_is_refused),
        cmocka_unit_test(test_a_public_server_takes_clients_with_and_without_a_certificate),
        cmocka_unit_test(test_garbage_to_a_tls_server_ends_the_connection),
        cmocka_unit_test(test_reload_swaps_a_renewed_certificate_and_keeps_the_old_on_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
