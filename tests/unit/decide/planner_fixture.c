/* SPDX-License-Identifier: Apache-2.0 */
/* See planner_fixture.h. */
#include "planner_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct shard_view view;
struct observations heard;
struct plan plan;
bool lease_ended;
uint32_t cluster_epoch;

static uint64_t reports_said;

void say(uint32_t instance, struct report report, uint64_t at_ms)
{
    report.instance.value = instance;
    report.incarnation.value = 100 + instance;
    report.number = ++reports_said;
    assert_int_equal(observe_report(&heard, &report, instance, at_ms), ERR_OK);
}

void say_cut(uint32_t instance, uint64_t lsn)
{
    say(instance,
        (struct report){.state = INSTANCE_STANDBY,
                        .epoch = view.shard.epoch,
                        .goal_role = GOAL_CUT,
                        .goal_met = true,
                        .position_final = true,
                        .cut_from.value = 1,
                        .position = {.timeline = 5, .lsn = lsn}},
        NOW_MS);
}

int set_up(void **state)
{
    (void)state;
    memset(&view, 0, sizeof(view));
    lease_ended = false;
    cluster_epoch = 0;
    view.shard.id.value = 1;
    view.shard.kind = SHARD_POSTGRES;
    view.shard.mode = SHARD_SYNC;
    view.shard.sync_required = 1;
    view.shard.primary.value = 1;
    view.shard.primary_epoch.value = 4;
    view.shard.epoch.value = 4;
    view.shard.forks_count = 1;
    view.shard.forks[0] =
        (struct fork){.epoch = 4, .timeline = 5, .parent_timeline = 4, .fork_lsn = 100};
    view.shard.floor = (struct position){.timeline = 5, .lsn = 100};
    view.shard.sync = (struct sync_record){.pairs_count = 1, .version = 2};
    view.shard.sync.pairs[0] = (struct sync_pair){
        .members = {{{2}, {102}}, {{3}, {103}}}, .members_count = 2, .required = 1};
    view.instances_count = 3;
    observe_elected(&heard, 1000);
    for (uint32_t i = 0; i < 3; i++) {
        view.instances[i].id.value = i + 1;
        view.instances[i].incarnation.value = 101 + i;
        (void)snprintf(view.instances[i].name, NAME_SIZE, "i%u", i + 1);
        (void)snprintf(view.instances[i].region, NAME_SIZE, "r%u", i + 1);
        assert_int_equal(observe_session_opened(&heard, view.instances[i].id, i + 1, 1000), ERR_OK);
        say(i + 1,
            (struct report){.state = INSTANCE_STANDBY, .position = {.timeline = 5, .lsn = 500}},
            NOW_MS - 50);
    }
    return 0;
}

enum command_kind ask(uint64_t now_ms)
{
    struct plan_input input = {.view = &view,
                               .observations = &heard,
                               .now_ms = now_ms,
                               .cluster_epoch = cluster_epoch,
                               .lease_ended = lease_ended};

    failover_plan(&input, &plan);
    return plan.has_command ? plan.command.kind : COMMAND_NONE;
}

void enter(enum failover_step step)
{
    view.shard.epoch.value = 5;
    view.failover.id = 9;
    view.failover.epoch.value = 5;
    view.failover.step = step;
    view.failover.old_primary.value = 1;
    view.failover.old_epoch.value = 4;
    observe_view(&heard, &view, NOW_MS);
}

void say_fenced(uint64_t redo_bytes)
{
    say(1,
        (struct report){.state = INSTANCE_STOPPED,
                        .fenced_epoch.value = 4,
                        .writable_epoch.value = 4,
                        .acked = {.timeline = 5, .lsn = 450},
                        .data_intact = true,
                        .start_nonce = 77,
                        .continuous = true,
                        .redo_bytes = redo_bytes},
        NOW_MS);
}
