/* SPDX-License-Identifier: Apache-2.0 */
/* Files and names: what may be loaded, what is an identity, what the authority makes. */
#include "base/check.h"
#include "base/clock.h"
#include "rpc/certificate.h"
#include "rpc_fixture.h"
#include "tests/support/support_tmpdir.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_files_that_no_peer_would_accept_are_refused_at_start(void **state)
{
    (void)state;

    static const struct {
        const char *ca;
        const char *name;
        const char *expected;
    } cases[] = {
        {"own", "double", "more than one URI"},
        {"own", "nameless", "no URI name"},
        {"foreign", "n1", "not valid"},
        {"own", "missing", "cannot read"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char ca[600];
        char cert[600];
        char key[600];
        struct reason reason = {0};
        struct tls *tls = NULL;
        bool own = strcmp(cases[i].ca, "own") == 0;
        snprintf(ca, sizeof(ca), "%s/ca.pem", own ? rpc_certs() : rpc_other_certs());
        snprintf(cert, sizeof(cert), "%s/%s.pem", rpc_certs(), cases[i].name);
        snprintf(key, sizeof(key), "%s/%s.key", rpc_certs(), cases[i].name);
        struct tls_files files = {.ca_path = ca, .cert_path = cert, .key_path = key};
        assert_true(tls_new(&files, &reason, &tls) != ERR_OK);
        if (strstr(reason.text, cases[i].expected) == NULL) {
            fail_msg("%s", reason.text);
        }
        assert_null(tls);
    }
}

static void test_a_key_that_everybody_can_read_is_refused(void **state)
{
    (void)state;
    struct reason reason = {0};
    const char *dir = support_tmpdir("key");
    rpc_copy_file(rpc_certs(), "n1.key", dir, "n1.key");
    char key[600];
    char cert[600];
    char ca[600];
    snprintf(key, sizeof(key), "%s/n1.key", dir);
    snprintf(cert, sizeof(cert), "%s/n1.pem", rpc_certs());
    snprintf(ca, sizeof(ca), "%s/ca.pem", rpc_certs());
    assert_int_equal(chmod(key, 0644), 0);
    struct tls_files files = {.ca_path = ca, .cert_path = cert, .key_path = key};
    struct tls *tls = NULL;
    assert_int_equal(tls_new(&files, &reason, &tls), ERR_CONFIG);
    assert_non_null(strstr(reason.text, "chmod"));
}

static void test_spiffe_identities_follow_the_rules(void **state)
{
    (void)state;
    assert_int_equal(tls_check_identity("spiffe://indaba.local/member/n1"), ERR_OK);
    assert_int_equal(tls_check_identity("spiffe://a/sidecar/Orders/o_1-2.x"), ERR_OK);
    static const char *const bad[] = {
        "",
        "spiffe://",
        "spiffe://indaba.local",
        "spiffe://indaba.local/",
        "spiffe:///member/n1",
        "https://indaba.local/member/n1",
        "SPIFFE://indaba.local/member/n1",
        "spiffe://Indaba.local/member/n1",
        "spiffe://indaba.local:7400/member/n1",
        "spiffe://u@indaba.local/member/n1",
        "spiffe://indaba.local/member//n1",
        "spiffe://indaba.local/member/n1/",
        "spiffe://indaba.local/./n1",
        "spiffe://indaba.local/member/../n1",
        "spiffe://indaba.local/member/n%31",
        "spiffe://indaba.local/member/n1?x",
        "spiffe://indaba.local/member/n1#x",
        "spiffe://indaba.local/member/n 1",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(tls_check_identity(bad[i]), ERR_INVALID);
    }
    assert_string_equal(tls_identity_path("spiffe://indaba.local/member/n1"), "/member/n1");
    assert_string_equal(tls_identity_path(""), "");
    char longest[2200];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "spiffe://d/", 11);
    longest[2048] = '\0';
    assert_int_equal(tls_check_identity(longest), ERR_OK);
    longest[2048] = 'a';
    longest[2049] = '\0';
    assert_int_equal(tls_check_identity(longest), ERR_INVALID);
}

static void test_an_authority_is_never_overwritten_and_names_are_checked(void **state)
{
    (void)state;
    struct reason reason = {0};
    assert_int_equal(cert_create_ca(rpc_certs(), "indaba.test", &reason), ERR_EXISTS);
    assert_int_equal(cert_create_ca(support_tmpdir("ca"), "Indaba Test", &reason), ERR_INVALID);
    static const char *const hosts[] = {"127.0.0.1", "DNS:evil,URI:spiffe://x/y"};
    struct cert_request request = {.name = "x", .spiffe_path = "/member/x", .hosts = hosts};
    request.hosts_count = 2;
    assert_int_equal(cert_issue(rpc_certs(), &request, &reason), ERR_INVALID);
    request.hosts_count = 1;
    request.name = "../x";
    assert_int_equal(cert_issue(rpc_certs(), &request, &reason), ERR_INVALID);
    request.name = "ca";
    assert_int_equal(cert_issue(rpc_certs(), &request, &reason), ERR_INVALID);
    request.name = "x";
    request.spiffe_path = "member/x";
    assert_int_equal(cert_issue(rpc_certs(), &request, &reason), ERR_INVALID);
    request.spiffe_path = "/member/x,URI:spiffe://a/b";
    assert_int_equal(cert_issue(rpc_certs(), &request, &reason), ERR_INVALID);
    assert_int_equal(cert_issue(support_tmpdir("empty"), &request, &reason), ERR_NOT_FOUND);
}

static void test_a_certificate_is_shown_and_its_key_is_private(void **state)
{
    (void)state;
    char path[600];
    struct reason reason = {0};
    struct buf text = {0};
    struct stat key;
    uint64_t not_after_ms = 0;
    snprintf(path, sizeof(path), "%s/n1.pem", rpc_certs());
    assert_int_equal(cert_show(path, &text, &reason), ERR_OK);
    buf_put_u8(&text, 0);
    assert_non_null(strstr((const char *)text.data, "identity   spiffe://indaba.test/member/n1\n"));
    assert_non_null(strstr((const char *)text.data, "host       127.0.0.1\n"));
    assert_non_null(strstr((const char *)text.data, "host       localhost\n"));
    assert_int_equal(cert_not_after_ms(path, &reason, &not_after_ms), ERR_OK);
    uint64_t days = (not_after_ms - clock_wall_ms()) / 86400000;
    assert_true(days == CERT_DAYS || days == CERT_DAYS - 1);
    snprintf(path, sizeof(path), "%s/n1.key", rpc_certs());
    assert_int_equal(stat(path, &key), 0);
    assert_int_equal(key.st_mode & 0777, 0600);
    assert_int_equal(cert_show(path, &text, &reason), ERR_INVALID);
    assert_int_equal(cert_show("/nonexistent.pem", &text, &reason), ERR_NOT_FOUND);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_that_no_peer_would_accept_are_refused_at_start),
        cmocka_unit_test(test_a_key_that_everybody_can_read_is_refused),
        cmocka_unit_test(test_spiffe_identities_follow_the_rules),
        cmocka_unit_test(test_an_authority_is_never_overwritten_and_names_are_checked),
        cmocka_unit_test(test_a_certificate_is_shown_and_its_key_is_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
