/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: configurations survive their encoding, and no bytes from outside make a bad one. */
#include "base/prng.h"
#include "raft/membership.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct raft_configuration joint = {
    .servers = {{.id = {.hi = 1, .lo = 9}, .voter = true, .voter_old = true, .region = 1},
                {.id = {.hi = 2, .lo = 0}, .voter_old = true, .region = 2},
                {.id = {.hi = 2, .lo = 5}, .voter = true, .region = 3},
                {.id = {.hi = 7, .lo = 7}, .region = 3}},
    .count = 4,
};

static void test_a_configuration_survives_encoding(void **state)
{
    (void)state;
    struct buf bytes = {0};
    raft_configuration_encode(&joint, &bytes);
    struct raft_configuration decoded;
    assert_int_equal(raft_configuration_decode(buf_view(&bytes), &decoded), ERR_OK);
    assert_int_equal(decoded.count, joint.count);
    for (uint32_t i = 0; i < joint.count; i++) {
        assert_true(member_id_equal(decoded.servers[i].id, joint.servers[i].id));
        assert_int_equal(decoded.servers[i].voter, joint.servers[i].voter);
        assert_int_equal(decoded.servers[i].voter_old, joint.servers[i].voter_old);
        assert_int_equal(decoded.servers[i].region, joint.servers[i].region);
    }
    buf_deinit(&bytes);
}

static void test_rules_and_what_shall_become_of_servers_survive_encoding(void **state)
{
    (void)state;
    struct raft_configuration full = joint;
    full.servers[1].demoted = true;
    full.servers[3].promote = true;
    full.rules =
        (struct raft_rules){.heartbeat_ms = 100, .election_ms = 1000, .commit_regions_min = 2};
    struct buf bytes = {0};
    raft_configuration_encode(&full, &bytes);
    struct raft_configuration decoded;
    assert_int_equal(raft_configuration_decode(buf_view(&bytes), &decoded), ERR_OK);
    assert_true(decoded.servers[1].demoted);
    assert_true(decoded.servers[3].promote);
    assert_false(decoded.servers[0].promote || decoded.servers[0].demoted);
    assert_int_equal(decoded.rules.heartbeat_ms, 100);
    assert_int_equal(decoded.rules.election_ms, 1000);
    assert_int_equal(decoded.rules.commit_regions_min, 2);
    /* Nothing of it, and the bytes are those of version 1, for members that know no other. */
    buf_clear(&bytes);
    raft_configuration_encode(&joint, &bytes);
    assert_int_equal(bytes.data[0], 1);
    assert_int_equal(bytes.len, 1 + 4 + 4 * 21);
    /* A version that is not known, and a flag that its version does not have. */
    bytes.data[0] = 3;
    assert_int_equal(raft_configuration_decode(buf_view(&bytes), &decoded), ERR_VERSION);
    bytes.data[0] = 1;
    bytes.data[bytes.len - 1] = 4;
    assert_int_not_equal(raft_configuration_decode(buf_view(&bytes), &decoded), ERR_OK);
    buf_deinit(&bytes);
}

static void test_every_truncation_and_every_extra_byte_is_refused(void **state)
{
    (void)state;
    struct buf bytes = {0};
    raft_configuration_encode(&joint, &bytes);
    struct raft_configuration decoded;
    for (size_t len = 0; len < bytes.len; len++) {
        assert_int_not_equal(raft_configuration_decode(slice_of(bytes.data, len), &decoded),
                             ERR_OK);
    }
    buf_put_u8(&bytes, 0);
    assert_int_not_equal(raft_configuration_decode(buf_view(&bytes), &decoded), ERR_OK);
    buf_deinit(&bytes);
}

static void test_flipped_bits_never_give_a_configuration_that_is_not_well_formed(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, support_seed());
    for (int i = 0; i < 20000; i++) {
        struct buf bytes = {0};
        raft_configuration_encode(&joint, &bytes);
        for (int flips = 0; flips < 3; flips++) {
            bytes.data[prng_below(&prng, bytes.len)] ^= (uint8_t)(1U << prng_below(&prng, 8));
        }
        struct raft_configuration decoded;
        if (raft_configuration_decode(buf_view(&bytes), &decoded) == ERR_OK) {
            assert_int_equal(membership_validate(&decoded), ERR_OK);
        }
        buf_deinit(&bytes);
    }
}

static void test_ill_formed_configurations_are_refused(void **state)
{
    (void)state;
    struct raft_configuration bad = joint;
    bad.servers[1].id = bad.servers[0].id;
    assert_int_equal(membership_validate(&bad), ERR_INVALID); /* twice the same */
    bad = joint;
    bad.servers[0].id = (struct member_id){0};
    assert_int_equal(membership_validate(&bad), ERR_INVALID);
    bad = joint;
    bad.servers[0].voter = false;
    bad.servers[2].voter = false;
    assert_int_equal(membership_validate(&bad), ERR_INVALID); /* nobody votes after the change */
    bad = joint;
    bad.servers[0].promote = true; /* a voter is one already */
    assert_int_equal(membership_validate(&bad), ERR_INVALID);
    bad = joint;
    bad.servers[3].demoted = true; /* a learner cannot become less */
    assert_int_equal(membership_validate(&bad), ERR_INVALID);
    bad = joint;
    bad.rules.election_ms = 100;
    assert_int_equal(membership_validate(&bad), ERR_INVALID);
    bad = joint;
    bad.count = 0;
    assert_int_equal(membership_validate(&bad), ERR_INVALID);
    bad.count = RAFT_SERVERS_MAX + 1;
    assert_int_equal(membership_validate(&bad), ERR_INVALID);
}

static void test_joint_and_voting_are_told_from_the_sets(void **state)
{
    (void)state;
    assert_true(membership_is_joint(&joint));
    assert_true(membership_is_voter(&joint, joint.servers[1].id));
    assert_false(membership_is_voter(&joint, joint.servers[3].id));
    assert_false(membership_is_voter(&joint, (struct member_id){.lo = 99}));
    struct raft_configuration settled = joint;
    for (uint32_t i = 0; i < settled.count; i++) {
        settled.servers[i].voter_old = false;
    }
    assert_false(membership_is_joint(&settled));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_configuration_survives_encoding),
        cmocka_unit_test(test_rules_and_what_shall_become_of_servers_survive_encoding),
        cmocka_unit_test(test_every_truncation_and_every_extra_byte_is_refused),
        cmocka_unit_test(test_flipped_bits_never_give_a_configuration_that_is_not_well_formed),
        cmocka_unit_test(test_ill_formed_configurations_are_refused),
        cmocka_unit_test(test_joint_and_voting_are_told_from_the_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
