/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is encoded comes back the same, and nothing that comes from outside can do more than
 * be refused. Method: filled structs there and back; every truncation and every single flipped byte
 * of a valid message must decode or be refused, never crash (run under the sanitizers too). */
#include "base/buf.h"
#include "base/mem.h"
#include "base/prng.h"
#include "indaba/internal/command.pb-c.h"
#include "tests/support/support_seed.h"
#include "wire/arena.h"
#include "wire/prescan.h"
#include "wire/wire_command.h"
#include "wire/wire_peer.h"
#include "wire/wire_sidecar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_a_name_that_does_not_fit_or_hides_a_nul_is_refused(void **state)
{
    (void)state;
    char longer[NAME_SIZE + 1];
    memset(longer, 'a', NAME_SIZE);
    longer[NAME_SIZE] = '\0';
    Indaba__Internal__ShardFreeze freeze = INDABA__INTERNAL__SHARD_FREEZE__INIT;
    Indaba__Internal__Command message = INDABA__INTERNAL__COMMAND__INIT;
    struct command decoded;
    struct buf bytes = {0};
    freeze.name = longer;
    message.version = WIRE_COMMAND_VERSION;
    message.kind = COMMAND_SHARD_FREEZE;
    message.body_case = INDABA__INTERNAL__COMMAND__BODY_SHARD_FREEZE;
    message.shard_freeze = &freeze;
    wire_pack(&message.base, &bytes);
    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_PROTOCOL);

    longer[NAME_SIZE - 1] = '\0';
    buf_clear(&bytes);
    wire_pack(&message.base, &bytes);
    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_OK);

    uint8_t *inside = memchr(bytes.data, 'a', bytes.len);
    assert_non_null(inside);
    inside[3] = 0;
    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_PROTOCOL);
    inside[3] = 0xff;
    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_PROTOCOL);
    buf_deinit(&bytes);
}

static void test_text_is_valid_only_as_utf8_without_nul(void **state)
{
    (void)state;
    assert_true(prescan_text_is_valid(slice_of_string("Lagos é € 😀")));
    assert_true(prescan_text_is_valid(slice_of("", 0)));
    assert_false(prescan_text_is_valid(slice_of("a\0b", 3)));
    assert_false(prescan_text_is_valid(slice_of_string("\xc0\xaf")));         /* overlong */
    assert_false(prescan_text_is_valid(slice_of_string("\xed\xa0\x80")));     /* surrogate */
    assert_false(prescan_text_is_valid(slice_of_string("\xf4\x90\x80\x80"))); /* too large */
    assert_false(prescan_text_is_valid(slice_of_string("\xe2\x82")));         /* cut */
}

static void test_amplification_ends_at_the_cap_of_the_arena(void **state)
{
    (void)state;
    /* 200,000 empty reports: two bytes each on the wire, dozens each in memory. */
    struct buf body = {0};
    for (int i = 0; i < 200000; i++) {
        buf_append(&body, "\x42\x00", 2);
    }
    struct wire_arena arena;
    wire_arena_init(&arena, wire_arena_cap_for(body.len));
    ProtobufCMessage *message = NULL;

    enum error error = wire_unpack(
        &indaba__internal__failover_step__descriptor, buf_view(&body), &arena, &message);

    assert_int_not_equal(error, ERR_OK);
    assert_null(message);
    wire_arena_deinit(&arena);
    buf_deinit(&body);
}

static struct raft_message append_message(void)
{
    struct raft_message message;
    memset(&message, 0, sizeof(message));
    message.type = RAFT_APPEND;
    message.from = (struct member_id){1, 2};
    message.to = (struct member_id){3, 4};
    message.term = 5;
    message.append.prev_index = 10;
    message.append.prev_term = 4;
    message.append.commit = 9;
    message.append.entries_count = 2;
    message.append.entries = mem_new_array(2, sizeof(*message.append.entries));
    for (uint32_t i = 0; i < 2; i++) {
        message.append.entries[i] = (struct raft_entry){
            .term = 5,
            .index = 11 + i,
            .kind = i == 0 ? RAFT_ENTRY_NOOP : RAFT_ENTRY_COMMAND,
            .payload = blob_new(slice_of_string(i == 0 ? "" : "payload")),
        };
    }
    return message;
}

static void release_append(struct raft_message *message)
{
    for (uint32_t i = 0; i < message->append.entries_count; i++) {
        blob_unref(message->append.entries[i].payload);
    }
    mem_free(message->append.entries);
}

static void test_an_append_comes_back_with_its_entries(void **state)
{
    (void)state;
    struct raft_message message = append_message();
    struct raft_message decoded;
    struct buf bytes = {0};

    wire_raft_message_encode(&message, &bytes);

    assert_int_equal(wire_raft_message_decode(buf_view(&bytes), &decoded), ERR_OK);
    assert_int_equal(decoded.type, RAFT_APPEND);
    assert_int_equal(decoded.term, 5);
    assert_int_equal(decoded.append.prev_index, 10);
    assert_int_equal(decoded.append.commit, 9);
    assert_int_equal(decoded.append.entries_count, 2);
    assert_int_equal(decoded.append.entries[1].index, 12);
    assert_true(
        slice_equal(blob_view(decoded.append.entries[1].payload), slice_of_string("payload")));
    raft_message_deinit(&decoded);
    release_append(&message);
    buf_deinit(&bytes);
}

static void test_an_append_whose_entries_are_not_contiguous_is_refused(void **state)
{
    (void)state;
    struct raft_message message = append_message();
    struct raft_message decoded;
    struct buf bytes = {0};
    message.append.entries[1].index = 14;

    wire_raft_message_encode(&message, &bytes);

    assert_int_equal(wire_raft_message_decode(buf_view(&bytes), &decoded), ERR_PROTOCOL);
    release_append(&message);
    buf_deinit(&bytes);
}

static void test_every_truncated_or_flipped_append_is_decoded_or_refused(void **state)
{
    (void)state;
    struct raft_message message = append_message();
    struct raft_message decoded;
    struct buf bytes = {0};
    uint32_t refused = 0;
    wire_raft_message_encode(&message, &bytes);

    for (size_t i = 0; i < bytes.len * 9; i++) {
        size_t len = i < bytes.len ? i : bytes.len;
        size_t place = i < bytes.len ? 0 : (i - bytes.len) / 8;
        uint8_t flip = (uint8_t)(i < bytes.len ? 0U : 1U << (i % 8));
        bytes.data[place] ^= flip;
        if (wire_raft_message_decode(slice_of(bytes.data, len), &decoded) == ERR_OK) {
            raft_message_deinit(&decoded);
        } else {
            refused++;
        }
        bytes.data[place] ^= flip;
    }

    assert_true(refused > bytes.len);
    release_append(&message);
    buf_deinit(&bytes);
}

static void test_a_report_and_a_goal_come_back_as_they_were_sent(void **state)
{
    (void)state;
    struct wire_sidecar_message up;
    struct wire_sidecar_message up_decoded;
    struct wire_coordinator_message down;
    struct wire_coordinator_message down_decoded;
    struct buf bytes = {0};
    memset(&up, 0, sizeof(up));
    up.kind = WIRE_REPORT;
    up.report.instance.value = 4;
    up.report.incarnation.value = UINT64_MAX - 3;
    up.report.epoch.value = 12;
    up.report.goal_role = GOAL_CUT;
    up.report.goal_met = true;
    up.report.state = INSTANCE_STANDBY;
    up.report.position = (struct position){3, 0xabcdef};
    up.report.position_final = true;
    up.report.primary_reach = REACH_REFUSED;
    up.report.caught_up_count = 1;
    up.report.caught_up[0] = (struct sync_member){{2}, {9}};
    (void)snprintf(up.report.detail, sizeof(up.report.detail), "cut: receiver gone");
    up.report.start_nonce = 12;
    up.report.continuous = true;
    up.report.number = 13;
    marks_raise(&up.report.marks, (struct sync_member){{2}, {77}}, (struct position){4, 91});
    memset(&down, 0, sizeof(down));
    down.kind = WIRE_GOAL;
    down.goal.shard.value = 1;
    down.goal.instance.value = 4;
    down.goal.epoch.value = 12;
    down.goal.index = 99;
    down.goal.role = GOAL_PRIMARY;
    down.goal.mode = SHARD_SYNC;
    down.goal.may_promote = true;
    down.goal.timeline = 6;
    down.goal.sync.required = 1;
    down.goal.sync.members_count = 1;
    down.goal.sync.members[0] = (struct sync_member){{2}, {9}};
    down.goal.siblings_count = 1;
    down.goal.siblings[0] = (struct sync_member){{2}, {9}};

    wire_sidecar_encode(&up, &bytes);
    memset(&up_decoded, 0xff, sizeof(up_decoded));
    assert_int_equal(wire_sidecar_decode(buf_view(&bytes), &up_decoded), ERR_OK);
    assert_memory_equal(&up_decoded, &up, sizeof(up));

    buf_clear(&bytes);
    wire_coordinator_encode(&down, &bytes);
    memset(&down_decoded, 0xff, sizeof(down_decoded));
    assert_int_equal(wire_coordinator_decode(buf_view(&bytes), &down_decoded), ERR_OK);
    assert_memory_equal(&down_decoded, &down, sizeof(down));
    buf_deinit(&bytes);
}

/* As when names in a database are longer than the place there is for them. */
static void test_a_report_with_a_text_that_was_cut_inside_a_character_is_read(void **state)
{
    (void)state;
    struct wire_sidecar_message up;
    struct wire_sidecar_message decoded;
    struct buf bytes = {0};
    memset(&up, 0, sizeof(up));
    up.kind = WIRE_REPORT;
    up.report.instance.value = 4;
    up.report.state = INSTANCE_PRIMARY;
    (void)snprintf(
        up.report.concern, sizeof(up.report.concern), "settings of role m\xc3\xbcll\xc3");
    (void)snprintf(up.report.detail, sizeof(up.report.detail), "in Latin 1: M\xfcll, \xe2\x82\xac");
    wire_sidecar_encode(&up, &bytes);
    assert_int_equal(wire_sidecar_decode(buf_view(&bytes), &decoded), ERR_OK);
    assert_string_equal(decoded.report.concern, "settings of role m\xc3\xbcll?");
    assert_string_equal(decoded.report.detail, "in Latin 1: M?ll, \xe2\x82\xac");
    buf_deinit(&bytes);
}

static void test_a_command_with_a_reason_that_was_cut_inside_a_character_is_read(void **state)
{
    (void)state;
    struct command command = {.kind = COMMAND_FAILOVER_REQUEST};
    struct command decoded;
    struct buf bytes = {0};
    (void)snprintf(command.failover_request.shard, NAME_SIZE, "main");
    (void)snprintf(command.failover_request.reason, TEXT_SIZE, "%.7s", "weil: \xc3\xbc");
    wire_command_encode(&command, &bytes);
    assert_int_equal(wire_command_decode(buf_view(&bytes), &decoded), ERR_OK);
    assert_string_equal(decoded.failover_request.reason, "weil: ?");
    buf_deinit(&bytes);
}

static void test_random_bytes_never_get_past_the_decoders_as_anything_unbounded(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, support_seed());
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[96];
        size_t len = (size_t)prng_below(&prng, sizeof(bytes));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)prng_next(&prng);
        }
        struct wire_sidecar_message up;
        struct wire_coordinator_message down;
        struct wire_handshake handshake;
        struct slice slice = slice_of(bytes, len);
        if (wire_sidecar_decode(slice, &up) == ERR_OK && up.kind == WIRE_REPORT) {
            assert_true(up.report.caught_up_count <= SYNC_SET_MAX);
        }
        if (wire_coordinator_decode(slice, &down) == ERR_OK && down.kind == WIRE_GOAL) {
            assert_true(down.goal.siblings_count <= SHARD_INSTANCES_MAX);
        }
        if (wire_handshake_decode(slice, &handshake) == ERR_OK) {
            assert_true(strnlen(handshake.refusal, WIRE_REFUSAL_SIZE) < WIRE_REFUSAL_SIZE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_that_does_not_fit_or_hides_a_nul_is_refused),
        cmocka_unit_test(test_text_is_valid_only_as_utf8_without_nul),
        cmocka_unit_test(test_amplification_ends_at_the_cap_of_the_arena),
        cmocka_unit_test(test_an_append_comes_back_with_its_entries),
        cmocka_unit_test(test_an_append_whose_entries_are_not_contiguous_is_refused),
        cmocka_unit_test(test_every_truncated_or_flipped_append_is_decoded_or_refused),
        cmocka_unit_test(test_a_report_and_a_goal_come_back_as_they_were_sent),
        cmocka_unit_test(test_a_report_with_a_text_that_was_cut_inside_a_character_is_read),
        cmocka_unit_test(test_a_command_with_a_reason_that_was_cut_inside_a_character_is_read),
        cmocka_unit_test(test_random_bytes_never_get_past_the_decoders_as_anything_unbounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
