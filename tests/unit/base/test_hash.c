/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: digests are those of the standards. Method: published answers. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_digest(const struct slice *parts, size_t count, const char *expected)
{
    char text[SHA256_TEXT_SIZE];
    struct sha256 digest = hash_sha256(parts, count);
    assert_string_equal(sha256_format(&digest, text), expected);
}

static void test_sha256_gives_the_answers_of_fips_180(void **state)
{
    (void)state;
    const struct slice abc = slice_of_string("abc");
    const struct slice two_blocks =
        slice_of_string("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
    assert_digest(NULL, 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(&abc, 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest(
        &two_blocks, 1, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_sha256_of_parts_is_that_of_the_whole(void **state)
{
    (void)state;
    const struct slice parts[] = {
        slice_of_string("a"),
        slice_of_string(""),
        {0},
        slice_of_string("bc"),
    };
    assert_digest(parts, 4, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_digest_reads_back_from_its_text(void **state)
{
    (void)state;
    const struct slice abc = slice_of_string("abc");
    char text[SHA256_TEXT_SIZE];
    struct sha256 digest = hash_sha256(&abc, 1);
    struct sha256 again;
    assert_int_equal(sha256_parse(sha256_format(&digest, text), &again), ERR_OK);
    assert_memory_equal(digest.bytes, again.bytes, SHA256_SIZE);
}

static void test_malformed_digests_are_refused(void **state)
{
    (void)state;
    char text[SHA256_TEXT_SIZE + 1];
    struct sha256 digest = {.bytes = {42}};
    memset(text, 'a', SHA256_TEXT_SIZE);
    text[SHA256_TEXT_SIZE] = '\0';
    assert_int_equal(sha256_parse(text, &digest), ERR_INVALID);
    text[SHA256_TEXT_SIZE - 2] = '\0';
    assert_int_equal(sha256_parse(text, &digest), ERR_INVALID);
    text[SHA256_TEXT_SIZE - 2] = 'z';
    text[SHA256_TEXT_SIZE - 1] = '\0';
    assert_int_equal(sha256_parse(text, &digest), ERR_INVALID);
    assert_int_equal(sha256_parse("", &digest), ERR_INVALID);
    assert_int_equal(digest.bytes[0], 42);
    text[SHA256_TEXT_SIZE - 2] = 'A';
    assert_int_equal(sha256_parse(text, &digest), ERR_OK);
}

static void test_xxh3_gives_the_published_answers(void **state)
{
    (void)state;
    /* XXH3_64bits of nothing with seed 0, from the specification. */
    assert_true(hash_xxh3("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(hash_xxh3("abc", 3, 0) == UINT64_C(0x78af5f94892f3950));
    assert_true(hash_xxh3("abc", 3, 0) != hash_xxh3("abc", 3, 1));
    assert_true(hash_xxh3("abc", 3, 0) != hash_xxh3("abd", 3, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_gives_the_answers_of_fips_180),
        cmocka_unit_test(test_sha256_of_parts_is_that_of_the_whole),
        cmocka_unit_test(test_digest_reads_back_from_its_text),
        cmocka_unit_test(test_malformed_digests_are_refused),
        cmocka_unit_test(test_xxh3_gives_the_published_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
