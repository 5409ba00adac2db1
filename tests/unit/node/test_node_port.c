/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of the port (node_port.h), point by point. */
#include "port_world.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
    FAR_MS = 3600 * 1000
};

/* What a waiter heard. */
struct heard {
    struct world *world;
    uint32_t count;
    struct node_port_answer answer;
    bool reads_again; /* posts a read from inside */
    struct heard *again;
};

static void on_done(const struct node_port_answer *answer, void *ctx)
{
    struct heard *heard = ctx;
    heard->count++;
    heard->answer = *answer;
    if (heard->reads_again) {
        node_port_read(heard->world->port,
                       (struct node_port_waiter){.done = on_done, .ctx = heard->again});
        assert_int_equal(heard->again->count, 0);
    }
}

static struct node_port_waiter waiter_of(struct heard *heard)
{
    return (struct node_port_waiter){.done = on_done, .ctx = heard};
}

static void run(const struct tables *tables, void *ctx)
{
    (void)tables;
    (void)ctx;
}

/* Point 1. */
static void test_a_read_joins_only_a_confirmation_begun_after_it_was_posted(void **state)
{
    (void)state;
    struct world world;
    struct heard early[2] = {0};
    struct heard late = {0};
    begin(&world);
    node_port_read(world.port, waiter_of(&early[0]));
    node_port_read(world.port, waiter_of(&early[1]));
    assert_true(node_port_flush(world.port));
    assert_int_equal(world.handed_count, 1); /* both share one */
    node_port_read(world.port, waiter_of(&late));
    answer(&world, 0, ERR_OK, 17);
    assert_int_equal(early[0].answer.index, 17);
    assert_int_equal(early[1].answer.index, 17);
    assert_int_equal(late.count, 0); /* the one under way was not for it */
    assert_true(node_port_flush(world.port));
    assert_int_equal(world.handed_count, 2);
    answer(&world, 1, ERR_OK, 19);
    assert_int_equal(late.answer.index, 19);
    assert_false(node_port_flush(world.port));
    end(&world);
}

static void test_a_read_that_a_waiter_posts_does_not_join_what_that_waiter_hears_of(void **state)
{
    (void)state;
    struct world world;
    struct heard again = {0};
    begin(&world);
    struct heard first = {.world = &world, .reads_again = true, .again = &again};
    struct heard second = {0};
    node_port_read(world.port, waiter_of(&first));
    node_port_read(world.port, waiter_of(&second));
    (void)node_port_flush(world.port);
    answer(&world, 0, ERR_OK, 3);
    assert_int_equal(first.count, 1);
    assert_int_equal(second.count, 1);
    assert_int_equal(again.count, 0);
    (void)node_port_flush(world.port);
    answer(&world, 1, ERR_NOT_LEADER, 0);
    assert_int_equal(again.answer.error, ERR_NOT_LEADER);
    end(&world);
}

/* Point 2. */
static void test_what_was_posted_first_is_handed_over_first(void **state)
{
    (void)state;
    struct world world;
    struct heard heard[7] = {0};
    struct command *command = mem_new(sizeof(*command));
    begin(&world);
    node_port_read(world.port, waiter_of(&heard[0]));
    node_port_query(world.port, run, waiter_of(&heard[1]));
    node_port_read(world.port, waiter_of(&heard[2])); /* nothing was proposed since: joins */
    node_port_propose(world.port, command, waiter_of(&heard[3]));
    node_port_read(world.port, waiter_of(&heard[4])); /* a proposal stands between */
    node_port_read_at(world.port, 42, waiter_of(&heard[5]));
    node_port_propose_keys(
        world.port, slice_of_string("ops"), clock_monotonic_ms() + FAR_MS, waiter_of(&heard[6]));
    (void)node_port_flush(world.port);
    char order[HANDED_MAX] = "";
    for (uint32_t i = 0; i < world.handed_count; i++) {
        order[i] = world.handed[i].what;
    }
    assert_string_equal(order, "rqprap");
    assert_int_equal(world.handed[4].index, 42);
    for (uint32_t i = 0; i < world.handed_count; i++) {
        answer(&world, i, ERR_OK, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(heard); i++) {
        assert_int_equal(heard[i].count, 1);
    }
    mem_free(command);
    end(&world);
}

static void test_a_query_says_how_far_what_it_saw_goes(void **state)
{
    (void)state;
    struct world world;
    struct heard heard = {0};
    begin(&world);
    world.submitted = 30;
    node_port_query(world.port, run, waiter_of(&heard));
    world.submitted = 31; /* it is asked when it is handed over, not before */
    (void)node_port_flush(world.port);
    world.submitted = 90;
    answer(&world, 0, ERR_OK, 0);
    assert_int_equal(heard.answer.index, 31);
    end(&world);
}

/* Point 3. */
struct applied {
    uint32_t count;
    uint64_t index;
    int64_t revision;
};

static void on_applied(const struct node_port_applied *told, void *ctx)
{
    struct applied *applied = ctx;
    assert_true(told->index > applied->index && told->revision >= applied->revision);
    applied->count++;
    applied->index = told->index;
    applied->revision = told->revision;
}

static void tell(struct world *world, uint64_t index, int64_t revision)
{
    const struct node_port_applied applied = {.index = index, .revision = revision};
    node_port_tell_applied(world->port, &applied);
}

static void test_what_was_applied_is_told_to_all_who_observe_and_to_no_one_after(void **state)
{
    (void)state;
    struct world world;
    struct applied applied[2] = {0};
    struct node_port_observer observers[2] = {{.on_applied = on_applied, .ctx = &applied[0]},
                                              {.on_applied = on_applied, .ctx = &applied[1]}};
    begin(&world);
    node_port_observe(world.port, &observers[0]);
    node_port_observe(world.port, &observers[1]);
    node_port_tell_leader_changed(world.port); /* whom nobody wants to hear of */
    tell(&world, 4, 2);
    node_port_unobserve(world.port, &observers[0]);
    tell(&world, 5, 3);
    node_port_unobserve(world.port, &observers[1]);
    tell(&world, 6, 4);
    assert_int_equal(applied[0].count, 1);
    assert_int_equal(applied[1].count, 2);
    assert_int_equal(applied[1].revision, 3);
    end(&world);
}

/* Point 4. */
static void test_what_only_a_leader_may_say_is_refused_to_one_that_was_not_confirmed(void **state)
{
    (void)state;
    struct world world;
    struct heard heard[2] = {0};
    begin(&world);
    node_port_read(world.port, waiter_of(&heard[0]));
    node_port_read(world.port, waiter_of(&heard[1]));
    (void)node_port_flush(world.port);
    world.office = (struct node_office){.term = 6};
    answer(&world, 0, ERR_NOT_LEADER, 0);
    for (size_t i = 0; i < ARRAY_LEN(heard); i++) {
        assert_int_equal(heard[i].count, 1);
        assert_int_equal(heard[i].answer.error, ERR_NOT_LEADER);
        assert_int_equal(heard[i].answer.term, 6);
    }
    end(&world);
}

/* Point 5. */
static void test_each_of_many_is_answered_once_though_the_core_takes_its_time(void **state)
{
    (void)state;
    struct world world;
    static struct heard heard[HANDED_MAX];
    memset(heard, 0, sizeof(heard));
    begin(&world);
    for (uint32_t i = 0; i < HANDED_MAX; i++) {
        node_port_query(world.port, run, waiter_of(&heard[i]));
        assert_int_equal(heard[i].count, 0);
    }
    (void)node_port_flush(world.port);
    for (uint32_t i = HANDED_MAX; i-- > 0;) {
        answer(&world, i, ERR_OK, 0);
    }
    for (uint32_t i = 0; i < HANDED_MAX; i++) {
        assert_int_equal(heard[i].count, 1);
    }
    end(&world);
}

/* Point 6. */
static void test_an_answer_to_what_is_over_reaches_nobody(void **state)
{
    (void)state;
    struct world world;
    struct heard first = {0};
    struct heard second = {0};
    begin(&world);
    node_port_read_at(world.port, 1, waiter_of(&first));
    (void)node_port_flush(world.port);
    answer(&world, 0, ERR_OK, 1);
    answer(&world, 0, ERR_OK, 1);
    assert_int_equal(first.count, 1);
    node_port_read_at(world.port, 2, waiter_of(&second)); /* in the same slot */
    (void)node_port_flush(world.port);
    assert_int_equal(world.handed[1].ticket.slot, world.handed[0].ticket.slot);
    answer(&world, 0, ERR_OK, 1);
    assert_int_equal(second.count, 0);
    answer(&world, 1, ERR_OK, 2);
    assert_int_equal(second.count, 1);
    assert_int_equal(first.count, 1);
    end(&world);
}

static void test_what_has_expired_or_is_of_an_office_that_is_over_is_not_proposed(void **state)
{
    (void)state;
    struct world world;
    struct heard expired = {0};
    struct heard outlived = {0};
    struct heard outlived_too = {0};
    struct heard current = {0};
    struct command *command = mem_new(sizeof(*command));
    const struct slice ops = slice_of_string("ops");
    const uint64_t now_ms = clock_monotonic_ms();
    begin(&world);
    node_port_propose(world.port, command, waiter_of(&outlived_too));
    node_port_propose_keys(world.port, ops, now_ms - 1, waiter_of(&expired));
    node_port_propose_keys(world.port, ops, now_ms + FAR_MS, waiter_of(&outlived));
    world.office.term = 6;
    node_port_propose_keys(world.port, ops, now_ms + FAR_MS, waiter_of(&current));
    assert_int_equal(expired.count, 0);
    (void)node_port_flush(world.port);
    assert_int_equal(expired.answer.error, ERR_TIMEOUT);
    assert_int_equal(outlived.answer.error, ERR_NOT_LEADER);
    assert_int_equal(outlived_too.answer.error, ERR_NOT_LEADER);
    assert_int_equal(world.handed_count, 1);
    assert_int_equal(world.handed[0].index, 6); /* void in any other term */
    answer(&world, 0, ERR_OUTCOME_UNKNOWN, 0);
    assert_int_equal(current.answer.error, ERR_OUTCOME_UNKNOWN);
    mem_free(command);
    end(&world);
}

static void test_a_port_that_closes_answers_nobody(void **state)
{
    (void)state;
    struct world world;
    struct heard heard[3] = {0};
    struct command *command = mem_new(sizeof(*command));
    begin(&world);
    node_port_read(world.port, waiter_of(&heard[0]));
    node_port_propose(world.port, command, waiter_of(&heard[1]));
    (void)node_port_flush(world.port);
    node_port_propose_keys(world.port, slice_of_string("ops"), UINT64_MAX, waiter_of(&heard[2]));
    end(&world);
    for (size_t i = 0; i < ARRAY_LEN(heard); i++) {
        assert_int_equal(heard[i].count, 0);
    }
    mem_free(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_read_joins_only_a_confirmation_begun_after_it_was_posted),
        cmocka_unit_test(test_a_read_that_a_waiter_posts_does_not_join_what_that_waiter_hears_of),
        cmocka_unit_test(test_what_was_posted_first_is_handed_over_first),
        cmocka_unit_test(test_a_query_says_how_far_what_it_saw_goes),
        cmocka_unit_test(test_what_was_applied_is_told_to_all_who_observe_and_to_no_one_after),
        cmocka_unit_test(test_what_only_a_leader_may_say_is_refused_to_one_that_was_not_confirmed),
        cmocka_unit_test(test_each_of_many_is_answered_once_though_the_core_takes_its_time),
        cmocka_unit_test(test_an_answer_to_what_is_over_reaches_nobody),
        cmocka_unit_test(test_what_has_expired_or_is_of_an_office_that_is_over_is_not_proposed),
        cmocka_unit_test(test_a_port_that_closes_answers_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
