/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: quorum arithmetic is right for every small configuration. Method: every assignment of up to
 * seven servers to {none, new, old, both} is compared with a naive model that tries all subsets. */
#include "raft/quorum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    SERVERS_MAX = 7,
    ROLES = 4
};

static unsigned size_of_set(const struct raft_configuration *configuration, bool old)
{
    unsigned size = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_server *server = &configuration->servers[i];
        size += (old ? server->voter_old : server->voter) ? 1 : 0;
    }
    return size;
}

/* A set of servers is a quorum if it has more than half of each voting set that is not empty. */
static bool is_quorum(const struct raft_configuration *configuration, unsigned members)
{
    for (int old = 0; old <= 1; old++) {
        unsigned size = size_of_set(configuration, old == 1);
        unsigned present = 0;
        for (uint32_t i = 0; i < configuration->count; i++) {
            const struct raft_server *server = &configuration->servers[i];
            bool votes = old == 1 ? server->voter_old : server->voter;
            present += votes && (members >> i & 1U) != 0 ? 1 : 0;
        }
        if (size > 0 && present * 2 <= size) {
            return false;
        }
    }
    return true;
}

/* New voters of how many known regions are among them. */
static unsigned regions_of(const struct raft_configuration *configuration, unsigned members)
{
    unsigned regions = 0;
    for (uint32_t region = 1; region <= SERVERS_MAX; region++) {
        bool present = false;
        for (uint32_t i = 0; i < configuration->count; i++) {
            const struct raft_server *server = &configuration->servers[i];
            present =
                present || (server->voter && server->region == region && (members >> i & 1U) != 0);
        }
        regions += present ? 1 : 0;
    }
    return regions;
}

/* The largest value that some quorum of enough regions has reached as a whole. */
static uint64_t naive_value(const struct raft_configuration *configuration, const uint64_t *values)
{
    uint64_t best = 0;
    for (unsigned members = 0; members < 1U << configuration->count; members++) {
        uint64_t least = UINT64_MAX;
        for (uint32_t i = 0; i < configuration->count; i++) {
            if ((members >> i & 1U) != 0 && values[i] < least) {
                least = values[i];
            }
        }
        uint32_t needed = configuration->rules.commit_regions_min;
        if (needed > 1 && regions_of(configuration, members) < needed) {
            continue;
        }
        if (is_quorum(configuration, members) && least != UINT64_MAX && least > best) {
            best = least;
        }
    }
    return best;
}

static void check_configuration(const struct raft_configuration *configuration)
{
    for (unsigned members = 0; members < 1U << configuration->count; members++) {
        bool yes[RAFT_SERVERS_MAX] = {false};
        for (uint32_t i = 0; i < configuration->count; i++) {
            yes[i] = (members >> i & 1U) != 0;
        }
        assert_int_equal(quorum_has(configuration, yes), is_quorum(configuration, members));
    }
    /* Distinct and equal values, in two orders. */
    for (uint64_t step = 0; step < 3; step++) {
        uint64_t values[RAFT_SERVERS_MAX];
        for (uint32_t i = 0; i < configuration->count; i++) {
            values[i] = 1 + (i * (step * 2 + 3) + step) % (step + 5);
        }
        assert_int_equal(quorum_value(configuration, values), naive_value(configuration, values));
    }
}

static void test_every_configuration_of_up_to_seven_agrees_with_the_naive_model(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= SERVERS_MAX; count++) {
        unsigned assignments = 1U << (2 * count);
        for (unsigned assignment = 0; assignment < assignments; assignment++) {
            struct raft_configuration configuration = {.count = count};
            for (uint32_t i = 0; i < count; i++) {
                unsigned role = assignment >> (2 * i) & (ROLES - 1);
                configuration.servers[i] = (struct raft_server){
                    .id = {.lo = i + 1},
                    .voter = (role & 1U) != 0,
                    .voter_old = (role & 2U) != 0,
                };
            }
            if (size_of_set(&configuration, false) > 0) {
                check_configuration(&configuration);
            }
        }
    }
}

static void test_every_order_of_values_of_five_voters_gives_the_median(void **state)
{
    (void)state;
    struct raft_configuration configuration = {.count = 5};
    for (uint32_t i = 0; i < 5; i++) {
        configuration.servers[i] = (struct raft_server){.id = {.lo = i + 1}, .voter = true};
    }
    for (unsigned draw = 0; draw < 5 * 5 * 5 * 5 * 5; draw++) {
        uint64_t values[5];
        unsigned rest = draw;
        for (uint32_t i = 0; i < 5; i++) {
            values[i] = rest % 5;
            rest /= 5;
        }
        assert_int_equal(quorum_value(&configuration, values), naive_value(&configuration, values));
    }
}

static void test_a_rule_of_regions_agrees_with_the_naive_model(void **state)
{
    (void)state;
    for (unsigned draw = 0; draw < 4 * 4 * 4 * 4 * 4; draw++) {
        struct raft_configuration configuration = {.count = 5};
        unsigned rest = draw;
        for (uint32_t i = 0; i < 5; i++) {
            /* Region 0 is unknown; the last one is only on its way out. */
            configuration.servers[i] = (struct raft_server){
                .id = {.lo = i + 1}, .voter = i<4, .voter_old = i> 1, .region = rest % 4};
            rest /= 4;
        }
        assert_int_equal(quorum_regions(&configuration), regions_of(&configuration, 31));
        for (uint32_t needed = 0; needed <= 3; needed++) {
            configuration.rules.commit_regions_min = needed;
            for (uint64_t step = 1; step < 8; step++) {
                uint64_t values[RAFT_SERVERS_MAX] = {0};
                for (uint32_t i = 0; i < 5; i++) {
                    values[i] = 1 + (i * step * 3 + step) % 5;
                }
                assert_int_equal(quorum_commit(&configuration, values),
                                 naive_value(&configuration, values));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_configuration_of_up_to_seven_agrees_with_the_naive_model),
        cmocka_unit_test(test_every_order_of_values_of_five_voters_gives_the_median),
        cmocka_unit_test(test_a_rule_of_regions_agrees_with_the_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
