/* SPDX-License-Identifier: Apache-2.0 */
/* The demo without databases: coordinators only. The leader is killed, the pause until the next
 * acknowledged command measured, the member brought back, and every ledger compared. */
#include "base/clock.h"
#include "cmd/cli_ledger.h"
#include "cmd/demo.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    COMMANDS = 20,
    UP_MS = 15000,
    CATCH_UP_MS = 20000,
    PAUSE_MS = 50
};

static bool put_region(struct demo *demo, uint32_t number);
static struct demo_region *find_leader(struct demo *demo);
static bool is_caught_up(const Indaba__V1__GetStatusResponse *status);

bool demo_members_run(struct demo *demo)
{
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        if (!demo_proc_start_member(demo, &demo->regions[i])) {
            return false;
        }
    }
    if (!demo_watch_founded(demo)) {
        return false;
    }
    demo->cli.timeout_ms = UP_MS;
    for (uint32_t i = 0; i < COMMANDS; i++) {
        if (!put_region(demo, i % 4)) {
            demo->failure = "the coordinators did not take a command";
            return false;
        }
    }
    struct demo_region *leader = find_leader(demo);
    if (leader == NULL) {
        demo->failure = "nobody says who leads";
        return false;
    }
    if (demo->kill != DEMO_KILL_NONE) {
        (void)printf("kill -9 of the leader, %s\n", leader->name);
        uint64_t before_ms = clock_monotonic_ms();
        demo_proc_signal(demo, leader, SIGKILL, true);
        if (!put_region(demo, 0)) {
            demo->failure = "no command was acknowledged after the leader's death";
            return false;
        }
        demo->rto_ms = (int64_t)(clock_monotonic_ms() - before_ms);
        (void)printf("next command acknowledged after %" PRId64 " ms\n", demo->rto_ms);
        demo_proc_reap(demo);
        if (!demo_proc_start_member(demo, leader)) {
            return false;
        }
    }
    uint64_t deadline_ms = clock_monotonic_ms() + CATCH_UP_MS;
    while (!is_caught_up(demo_watch_status(demo))) {
        if (clock_monotonic_ms() > deadline_ms || demo_proc_interrupted()) {
            demo->failure = "the member did not catch up";
            return false;
        }
        demo_sleep_ms(PAUSE_MS);
    }
    demo->roots_agree = cli_ledger_verify_members(&demo->cli, false, NULL, &demo->leaves) == CLI_OK;
    if (!demo->roots_agree) {
        demo->failure = "the members' ledgers do not agree";
    }
    return demo->roots_agree;
}

static bool put_region(struct demo *demo, uint32_t number)
{
    char name[32];
    static char jurisdiction[] = "";
    (void)snprintf(name, sizeof(name), "spare-%" PRIu32, number);
    Indaba__V1__Region region = INDABA__V1__REGION__INIT;
    region.name = name;
    region.jurisdiction = jurisdiction;
    region.rank = 10 + number;
    Indaba__V1__PutRegionRequest request = INDABA__V1__PUT_REGION_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.request_id = cli_request_id(&demo->cli);
    request.region = &region;
    return cli_call(&demo->cli,
                    "/indaba.v1.Topology/PutRegion",
                    &request.base,
                    &indaba__v1__put_region_response__descriptor,
                    &reply) == CLI_OK;
}

static struct demo_region *find_leader(struct demo *demo)
{
    const Indaba__V1__GetStatusResponse *status = demo_watch_status(demo);
    for (uint32_t i = 0; status != NULL && i < demo->regions_count; i++) {
        if (strcmp(status->header->leader, demo->regions[i].name) == 0) {
            return &demo->regions[i];
        }
    }
    return NULL;
}

static bool is_caught_up(const Indaba__V1__GetStatusResponse *status)
{
    if (status == NULL) {
        return false;
    }
    for (size_t i = 0; i < status->n_members; i++) {
        if (!status->members[i]->reachable ||
            status->members[i]->applied_index < status->commit_index) {
            return false;
        }
    }
    return true;
}
