/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's rules as pure functions, and the frames of the peer port: every cut of the input must give
 * the same messages. */
#include "base/check.h"
#include "rpc/frame.h"
#include "rpc/grpc.h"
#include "rpc_fixture.h"

#include <string.h>

static struct buf seen;
static uint32_t seen_count;

static bool remember(struct slice message, void *ctx)
{
    (void)ctx;
    buf_append(&seen, message.data, message.len);
    buf_put_u8(&seen, '|');
    seen_count++;
    return true;
}

/* The first frame greets, and allows three bytes from then on. */
static bool lift_bound(uint8_t type, struct slice payload, void *ctx)
{
    struct frame_reader *reader = ctx;
    (void)type;
    (void)payload;
    reader->payload_bytes_max = 3;
    return true;
}

static bool remember_frame(uint8_t type, struct slice payload, void *ctx)
{
    buf_put_u8(&seen, (uint8_t)('A' + type));
    return remember(payload, ctx);
}

static bool stop(struct slice message, void *ctx)
{
    (void)message;
    (void)ctx;
    return false;
}

static void test_timeouts_are_read_in_every_unit_and_never_become_zero(void **state)
{
    (void)state;

    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = {
        {"1H", 3600000},
        {"2M", 120000},
        {"3S", 3000},
        {"4m", 4},
        {"1u", 1},
        {"1500u", 2},
        {"1n", 1},
        {"0m", 1},
        {"99999999m", 99999999},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t ms = 0;
        assert_int_equal(grpc_timeout_parse(slice_of_string(cases[i].text), &ms), ERR_OK);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void test_a_timeout_that_is_not_one_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "m", "1", "100000000m", "1x", "-1S", "1.5S", " 1S"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t ms = 7;
        assert_int_equal(grpc_timeout_parse(slice_of_string(bad[i]), &ms), ERR_INVALID);
        assert_int_equal(ms, 7);
    }
}

static void test_a_formatted_timeout_reads_back(void **state)
{
    (void)state;
    static const uint64_t values[] = {1, 250, 99999999, 100000000, 7200000000};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char text[GRPC_TIMEOUT_TEXT_SIZE];
        uint64_t ms = 0;
        grpc_timeout_format(values[i], text);
        assert_int_equal(grpc_timeout_parse(slice_of_string(text), &ms), ERR_OK);
        assert_true(ms <= values[i] && values[i] - ms < 1000);
    }
}

static void test_percent_encoding_keeps_every_byte(void **state)
{
    (void)state;
    struct buf all = {0};
    struct buf encoded = {0};
    struct buf decoded = {0};
    for (unsigned i = 0; i < 256; i++) {
        buf_put_u8(&all, (uint8_t)i);
    }
    grpc_percent_encode(buf_view(&all), &encoded);
    for (size_t i = 0; i < encoded.len; i++) {
        assert_true(encoded.data[i] >= 0x20 && encoded.data[i] <= 0x7e);
    }
    grpc_percent_decode(buf_view(&encoded), &decoded);
    assert_true(slice_equal(buf_view(&all), buf_view(&decoded)));
    buf_clear(&encoded);
    grpc_percent_encode(slice_of_string("é %\n"), &encoded);
    assert_true(slice_equal(buf_view(&encoded), slice_of_string("%C3%A9 %25%0A")));
    buf_deinit(&all);
    buf_deinit(&encoded);
    buf_deinit(&decoded);
}

static void test_a_bad_percent_escape_stands_for_itself(void **state)
{
    (void)state;
    struct buf decoded = {0};
    grpc_percent_decode(slice_of_string("100%, %4, %zz, %41"), &decoded);
    assert_true(slice_equal(buf_view(&decoded), slice_of_string("100%, %4, %zz, A")));
    buf_deinit(&decoded);
}

static void test_base64_reads_padded_and_unpadded_and_refuses_the_rest(void **state)
{
    (void)state;
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const text[] = {"", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
    static const char *const padding[] = {"", "==", "=", "", "==", "=", ""};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        struct buf out = {0};
        grpc_base64_encode(slice_of_string(plain[i]), &out);
        assert_true(slice_equal(buf_view(&out), slice_of_string(text[i])));
        buf_append_string(&out, padding[i]);
        struct buf back = {0};
        assert_int_equal(grpc_base64_decode(buf_view(&out), &back), ERR_OK);
        assert_true(slice_equal(buf_view(&back), slice_of_string(plain[i])));
        buf_deinit(&out);
        buf_deinit(&back);
    }
    struct buf none = {0};
    assert_int_equal(grpc_base64_decode(slice_of_string("Z"), &none), ERR_INVALID);
    assert_int_equal(grpc_base64_decode(slice_of_string("Zm 9v"), &none), ERR_INVALID);
    buf_deinit(&none);
}

static void test_messages_are_whole_however_the_data_is_cut(void **state)
{
    (void)state;
    static const uint8_t wire[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\5hello";
    size_t len = sizeof(wire) - 1;
    for (size_t step = 1; step <= len; step++) {
        struct grpc_deframer deframer = {0};
        buf_clear(&seen);
        for (size_t at = 0; at < len; at += step) {
            size_t take = len - at < step ? len - at : step;
            assert_int_equal(
                grpc_deframer_feed(&deframer, slice_of(wire + at, take), remember, NULL), ERR_OK);
        }
        assert_true(slice_equal(buf_view(&seen), slice_of_string("abc||hello|")));
        assert_false(grpc_deframer_is_partial(&deframer));
        grpc_deframer_deinit(&deframer);
    }
    buf_deinit(&seen);
}

static void test_a_deframer_refuses_long_and_compressed_messages_and_stops_when_told(void **state)
{
    (void)state;
    struct grpc_deframer deframer = {.message_bytes_max = 4};
    assert_int_equal(grpc_deframer_feed(&deframer, slice_of("\0\0\0\0\5", 5), remember, NULL),
                     ERR_LIMIT);
    assert_int_equal(grpc_deframer_feed(&deframer, slice_of("\1\0\0\0\1a", 6), remember, NULL),
                     ERR_PROTOCOL);
    assert_int_equal(
        grpc_deframer_feed(&deframer, slice_of("\0\0\0\0\1a\0\0\0\0\1b", 12), stop, NULL),
        ERR_CANCELLED);
    grpc_deframer_deinit(&deframer);
}

static void test_frames_are_whole_however_the_bytes_are_cut(void **state)
{
    (void)state;
    static const uint8_t wire[] = "\3\0\0\0\1abc\0\0\0\0\2\5\0\0\0\0hello";
    size_t len = sizeof(wire) - 1;
    for (size_t step = 1; step <= len; step++) {
        struct frame_reader reader = {0};
        buf_clear(&seen);
        for (size_t at = 0; at < len; at += step) {
            size_t take = len - at < step ? len - at : step;
            assert_int_equal(
                frame_reader_feed(&reader, slice_of(wire + at, take), remember_frame, NULL),
                ERR_OK);
        }
        assert_true(slice_equal(buf_view(&seen), slice_of_string("Babc|C|Ahello|")));
        frame_reader_deinit(&reader);
    }
    buf_deinit(&seen);
}

static void test_a_frame_above_the_bound_is_refused_at_its_header(void **state)
{
    (void)state;
    struct frame_reader reader = {.payload_bytes_max = 100};
    assert_int_equal(frame_reader_feed(&reader, slice_of("\x65\0\0\0\1", 5), remember_frame, NULL),
                     ERR_LIMIT);
    assert_int_equal(frame_reader_feed(&reader, slice_of("\x65\0", 2), remember_frame, NULL),
                     ERR_OK);
    assert_int_equal(frame_reader_feed(&reader, slice_of("\0\0\1", 3), remember_frame, NULL),
                     ERR_LIMIT);
    frame_reader_deinit(&reader);
    /* The bound of a greeting is lifted by it, also within one piece. */
    struct frame_reader greeted = {.payload_bytes_max = 1};
    assert_int_equal(
        frame_reader_feed(
            &greeted, slice_of("\x01\0\0\0\1g\3\0\0\0\1abc", 14), lift_bound, &greeted),
        ERR_OK);
    assert_int_equal(greeted.payload_bytes_max, 3);
    assert_int_equal(frame_reader_feed(&greeted, slice_of("\4\0\0\0\1", 5), lift_bound, &greeted),
                     ERR_LIMIT);
    frame_reader_deinit(&greeted);
    struct frame_reader huge = {0};
    assert_int_equal(
        frame_reader_feed(&huge, slice_of("\xff\xff\xff\xff\1", 5), remember_frame, NULL),
        ERR_LIMIT);
    frame_reader_deinit(&huge);
}

static void test_error_info_in_details_is_found_again(void **state)
{
    (void)state;
    static const char *const pairs[] = {"leader", "10.0.0.1:7400", "term", "12"};
    struct grpc_error_info info = {
        .reason = "NOT_LEADER",
        .domain = "indaba",
        .metadata = pairs,
        .pairs_count = 2,
    };
    struct buf details = {0};
    char text[32];
    grpc_status_details_put(&details, GRPC_UNAVAILABLE, "not the leader", &info);
    assert_int_equal(grpc_status_details_find(buf_view(&details), NULL, text, sizeof(text)),
                     ERR_OK);
    assert_string_equal(text, "NOT_LEADER");
    assert_int_equal(grpc_status_details_find(buf_view(&details), "term", text, sizeof(text)),
                     ERR_OK);
    assert_string_equal(text, "12");
    assert_int_equal(grpc_status_details_find(buf_view(&details), "leader", text, 5), ERR_OK);
    assert_string_equal(text, "10.0");
    assert_int_equal(grpc_status_details_find(buf_view(&details), "epoch", text, sizeof(text)),
                     ERR_NOT_FOUND);
    /* Cut anywhere, nothing is read beyond the end. */
    for (size_t len = 0; len < details.len; len++) {
        uint8_t *copy = test_malloc(len + 1);
        memcpy(copy, details.data, len);
        (void)!grpc_status_details_find(slice_of(copy, len), "term", text, sizeof(text));
        test_free(copy);
    }
    buf_deinit(&details);
}

static void test_every_error_has_a_status_and_ok_alone_is_ok(void **state)
{
    (void)state;
    for (int error = ERR_OK; error < ERROR_COUNT; error++) {
        enum grpc_status status = grpc_status_from_error((enum error)error);
        assert_int_equal(status == GRPC_OK, error == ERR_OK);
    }
    for (uint64_t number = 0; number < 20; number++) {
        assert_non_null(grpc_status_name(grpc_status_from_number(number)));
    }
    /* An unknown outcome must never look like one that libraries retry. */
    assert_int_equal(grpc_status_from_error(ERR_OUTCOME_UNKNOWN), GRPC_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeouts_are_read_in_every_unit_and_never_become_zero),
        cmocka_unit_test(test_a_timeout_that_is_not_one_is_refused),
        cmocka_unit_test(test_a_formatted_timeout_reads_back),
        cmocka_unit_test(test_percent_encoding_keeps_every_byte),
        cmocka_unit_test(test_a_bad_percent_escape_stands_for_itself),
        cmocka_unit_test(test_base64_reads_padded_and_unpadded_and_refuses_the_rest),
        cmocka_unit_test(test_messages_are_whole_however_the_data_is_cut),
        cmocka_unit_test(test_a_deframer_refuses_long_and_compressed_messages_and_stops_when_told),
        cmocka_unit_test(test_frames_are_whole_however_the_bytes_are_cut),
        cmocka_unit_test(test_a_frame_above_the_bound_is_refused_at_its_header),
        cmocka_unit_test(test_error_info_in_details_is_found_again),
        cmocka_unit_test(test_every_error_has_a_status_and_ok_alone_is_ok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
