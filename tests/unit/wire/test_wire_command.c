/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a command comes back as it was encoded, whatever its kind, and what is no command is
 * refused. Method: as in test_wire.c. */
#include "base/buf.h"
#include "indaba/internal/command.pb-c.h"
#include "wire/arena.h"
#include "wire/wire_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct command failover_command(void)
{
    struct command command;
    memset(&command, 0, sizeof(command));
    command.kind = COMMAND_FAILOVER_DECIDED;
    command.leader_term = 7;
    command.wall_ms = 1234567890123;
    (void)snprintf(command.actor, sizeof(command.actor), "leader");
    struct command_failover *body = &command.failover;
    body->shard.value = 3;
    body->epoch.value = 9;
    body->cause = CAUSE_INSTANCE;
    body->proof = PROOF_QUORUM;
    body->candidate.value = 2;
    body->acked_floor = (struct position){4, 0x1234567890};
    body->reports_count = 2;
    body->reports[0] = (struct final_report){{2}, {77}, {4, 99}, 5};
    body->reports[1] = (struct final_report){{5}, {78}, {4, 98}, 6};
    body->own = body->reports[1];
    body->own.position.lsn = 97;
    body->witnessed = true;
    body->start_nonce = 0xFEDCBA9876543210;
    body->marks.acked = (struct position){4, 90};
    marks_raise(&body->marks, (struct sync_member){{2}, {77}}, (struct position){4, 91});
    body->pair.required = 1;
    body->pair.members_count = 1;
    body->pair.members[0] = (struct sync_member){{5}, {78}};
    body->fork = (struct fork){9, 5, 4, 99};
    body->loss_bound_bytes = 4096;
    (void)snprintf(body->evidence, sizeof(body->evidence), "session closed; refused");
    return command;
}

static void test_a_command_comes_back_as_it_was_encoded(void **state)
{
    (void)state;
    struct command command = failover_command();
    struct command decoded;
    struct buf bytes = {0};

    wire_command_encode(&command, &bytes);

    memset(&decoded, 0xff, sizeof(decoded));
    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_OK);
    assert_memory_equal(&decoded, &command, sizeof(command));
    buf_deinit(&bytes);
}

static void test_a_command_of_each_kind_comes_back_with_its_body(void **state)
{
    (void)state;
    static struct command command;
    static struct command decoded;
    for (int kind = COMMAND_NONE + 1; kind < COMMAND_KIND_COUNT; kind++) {
        struct buf bytes = {0};
        memset(&command, 0, sizeof(command));
        command.kind = (enum command_kind)kind;
        command.wall_ms = 1234567890123;

        wire_command_encode(&command, &bytes);

        memset(&decoded, 0xff, sizeof(decoded));
        if (wire_command_decode(buf_view(&bytes), &decoded) != ERR_OK) {
            fail_msg("kind %d does not come back", kind);
        }
        assert_int_equal(decoded.kind, command.kind);
        assert_int_equal(decoded.wall_ms, command.wall_ms);
        buf_deinit(&bytes);
    }
}

static void test_encoding_a_command_twice_gives_the_same_bytes(void **state)
{
    (void)state;
    struct command command = failover_command();
    struct buf first = {0};
    struct buf second = {0};

    wire_command_encode(&command, &first);
    wire_command_encode(&command, &second);

    assert_true(slice_equal(buf_view(&first), buf_view(&second)));
    buf_deinit(&first);
    buf_deinit(&second);
}

static void test_every_truncated_or_flipped_command_is_decoded_or_refused(void **state)
{
    (void)state;
    struct command command = failover_command();
    struct command decoded;
    struct buf bytes = {0};
    uint32_t refused = 0;
    wire_command_encode(&command, &bytes);

    for (size_t len = 0; len < bytes.len; len++) {
        refused += wire_command_decode(slice_of(bytes.data, len), &decoded) != ERR_OK;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes.data[i] ^= (uint8_t)(1U << bit);
            refused += wire_command_decode(buf_view(&bytes), &decoded) != ERR_OK;
            bytes.data[i] ^= (uint8_t)(1U << bit);
        }
    }

    assert_true(refused > bytes.len / 2);
    buf_deinit(&bytes);
}

static void test_a_command_of_a_later_version_is_told_apart_from_garbage(void **state)
{
    (void)state;
    Indaba__Internal__Command message = INDABA__INTERNAL__COMMAND__INIT;
    struct command decoded;
    struct buf bytes = {0};
    message.version = WIRE_COMMAND_VERSION + 1;
    message.kind = COMMAND_SHARD_FREEZE;
    wire_pack(&message.base, &bytes);

    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_VERSION);
    assert_int_equal(wire_command_decode(slice_of_string("\xff\xff\xff"), &decoded), ERR_PROTOCOL);
    buf_deinit(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_command_comes_back_as_it_was_encoded),
        cmocka_unit_test(test_a_command_of_each_kind_comes_back_with_its_body),
        cmocka_unit_test(test_encoding_a_command_twice_gives_the_same_bytes),
        cmocka_unit_test(test_every_truncated_or_flipped_command_is_decoded_or_refused),
        cmocka_unit_test(test_a_command_of_a_later_version_is_told_apart_from_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
