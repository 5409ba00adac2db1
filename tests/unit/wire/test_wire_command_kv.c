/* SPDX-License-Identifier: Apache-2.0 */
/* The one command that is no protobuf. */
#include "wire/wire_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_a_batch_of_keys_comes_back_borrowed_from_its_bytes(void **state)
{
    (void)state;
    struct command command = {.kind = COMMAND_KV, .leader_term = 7, .wall_ms = 99};
    command.kv.batch = slice_of_string("operations");
    struct buf bytes = {0};
    wire_command_encode(&command, &bytes);

    struct command decoded;
    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_OK);
    assert_int_equal(decoded.kind, COMMAND_KV);
    assert_int_equal(decoded.leader_term, 7);
    assert_int_equal(decoded.wall_ms, 99);
    assert_true(slice_equal(decoded.kv.batch, command.kv.batch));
    assert_ptr_equal(decoded.kv.batch.data + decoded.kv.batch.len, bytes.data + bytes.len);

    for (size_t len = 0; len < bytes.len - command.kv.batch.len; len++) {
        assert_int_not_equal(wire_command_decode(slice_of(bytes.data, len), &decoded), ERR_OK);
    }
    bytes.data[1]++; /* the version */
    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_VERSION);
    buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_batch_of_keys_comes_back_borrowed_from_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
