/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba demo`: the order of events. See demo.h for the parts. */
#include "cmd/demo.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/cli_ledger.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    UP_MS = 120000,
    FAILOVER_MS = 60000,
    REVIVE_MS = 120000,
    AFTER_MS = 1500,
    NONE_MS = 5000,
    HEAR_MS = 10000,
    HEAR_PAUSE_MS = 50,
};

struct expectation {
    uint64_t failover_before;
    uint64_t since_ms;
    struct demo_region *killed;
};

static bool run_databases(struct demo *demo);
static bool bring_up(struct demo *demo);
static bool let_die(struct demo *demo);
static const Indaba__V1__Shard *hear(struct demo *demo);
static void do_kill(struct demo *demo, struct demo_region *region);
static bool revive(struct demo *demo, struct demo_region *region);
static bool finish(struct demo *demo);
static bool is_whole(struct demo *demo, const Indaba__V1__Shard *shard, void *ctx);
static bool is_failed_over(struct demo *demo, const Indaba__V1__Shard *shard, void *ctx);

int demo_main(int argc, char **argv)
{
    static struct demo demo;
    int exit = CLI_OK;
    demo = (struct demo){
        .databases = true,
        .regions_count = 3,
        .kill_after_ms = 3000,
        .rto_ms = -1,
        .lost_acked = -1,
        .proof = "-",
    };
    if (!demo_options_parse(&demo, argc, argv, &exit)) {
        return exit;
    }
    log_set_level(LOG_ERROR);
    demo_proc_init();
    bool ok = demo_world_make(&demo);
    if (ok) {
        demo.cli.members = demo.members;
        demo.cli.certs = demo.certs;
        demo.cli.quiet = true;
        demo.cli.timeout_ms = 2000;
        ok = cli_open(&demo.cli) == CLI_OK;
    }
    if (ok) {
        ok = demo.databases ? run_databases(&demo) : demo_members_run(&demo);
    }
    if (ok && demo.keep) {
        demo_report_ready(&demo);
        while (!demo_proc_interrupted()) {
            demo_proc_reap(&demo);
            demo_sleep_ms(200);
        }
    }
    if (demo.writer != NULL) {
        demo_writer_free(demo.writer);
    }
    cli_close(&demo.cli);
    demo_proc_end_all(&demo);
    if (demo_proc_interrupted()) {
        (void)fprintf(stderr, "indaba demo: interrupted; nothing of it is left running\n");
    } else if (!ok) {
        demo_report_logs(&demo);
        (void)fprintf(stderr,
                      "indaba demo: %s; logs are in %s\n",
                      demo.failure == NULL ? "failed" : demo.failure,
                      demo.dir);
    }
    if (ok || demo_proc_interrupted()) {
        demo_world_remove(&demo);
    }
    demo_report_result(&demo);
    return ok ? CLI_OK : CLI_FAILED;
}

static bool run_databases(struct demo *demo)
{
    if (!bring_up(demo)) {
        return false;
    }
    demo->writer = demo_writer_start(demo);
    if (!let_die(demo)) {
        return false;
    }
    return finish(demo);
}

static bool bring_up(struct demo *demo)
{
    (void)printf("%u regions under %s, each with a coordinator, a sidecar and PostgreSQL\n",
                 demo->regions_count,
                 demo->dir);
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        if (!demo_proc_start_member(demo, &demo->regions[i])) {
            return false;
        }
    }
    if (!demo_watch_founded(demo)) {
        return false;
    }
    Indaba__V1__Shard shard = INDABA__V1__SHARD__INIT;
    static char name[] = "main";
    static char kind[] = "postgres";
    static char sync[] = "sync";
    static char async[] = "async";
    static char preferred[] = "africa";
    shard.name = name;
    shard.kind = kind;
    shard.mode = demo->async ? async : sync;
    shard.sync_required = demo->async ? 0 : 1;
    shard.rto_ms = 30000;
    shard.preferred_region = preferred;
    Indaba__V1__CreateShardRequest request = INDABA__V1__CREATE_SHARD_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.request_id = cli_request_id(&demo->cli);
    request.shard = &shard;
    uint32_t timeout_ms = demo->cli.timeout_ms;
    demo->cli.timeout_ms = 15000;
    int code = cli_call(&demo->cli,
                        "/indaba.v1.Shards/CreateShard",
                        &request.base,
                        &indaba__v1__create_shard_response__descriptor,
                        &reply);
    demo->cli.timeout_ms = timeout_ms;
    if (code != CLI_OK) {
        demo->failure = "the coordinators did not take the shard";
        return false;
    }
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        if (!demo_proc_start_sidecar(demo, &demo->regions[i])) {
            return false;
        }
    }
    if (!demo_watch_until(demo, is_whole, NULL, UP_MS)) {
        demo->failure = "the databases did not come up in time";
        return false;
    }
    return true;
}

/* Writes for a while, does what was asked, and waits until writes are acknowledged again. */
static bool let_die(struct demo *demo)
{
    uint64_t until_ms = clock_monotonic_ms() + demo->kill_after_ms;
    const Indaba__V1__Shard *shard = NULL;
    while (clock_monotonic_ms() < until_ms && !demo_proc_interrupted()) {
        shard = demo_watch_shard(demo);
        demo_watch_draw(demo, shard);
        demo_sleep_ms(100);
    }
    shard = hear(demo);
    struct expectation expectation = {.killed = demo_watch_primary(demo, shard)};
    if (expectation.killed == NULL || demo_writer_acked(demo->writer) == 0) {
        demo->failure = "no row was acknowledged before the failure";
        return false;
    }
    expectation.failover_before = shard->last_failover == NULL ? 0 : shard->last_failover->id;
    if (demo->kill == DEMO_KILL_NONE) {
        demo_sleep_ms(NONE_MS);
        return true;
    }
    const Indaba__V1__GetStatusResponse *status = demo_watch_status(demo);
    (void)printf("primary is %s; coordinators are led by %s\n",
                 expectation.killed->name,
                 status == NULL ? "?" : status->header->leader);
    expectation.since_ms = clock_monotonic_ms();
    do_kill(demo, expectation.killed);
    if (!demo_watch_until(demo, is_failed_over, &expectation, FAILOVER_MS)) {
        demo->failure = "no row was acknowledged after the failure";
        return false;
    }
    demo_sleep_ms(AFTER_MS);
    shard = hear(demo);
    if (shard == NULL || shard->last_failover == NULL) {
        demo->failure = "the coordinators did not tell of the failover";
        return false;
    }
    demo_report_failover(demo, shard->last_failover, expectation.since_ms);
    return revive(demo, expectation.killed);
}

/* One unanswered question is no news: asks again for a while. NULL if nobody ever answers. */
static const Indaba__V1__Shard *hear(struct demo *demo)
{
    uint64_t deadline_ms = clock_monotonic_ms() + HEAR_MS;
    const Indaba__V1__Shard *shard = NULL;
    while ((shard = demo_watch_shard(demo)) == NULL && clock_monotonic_ms() < deadline_ms &&
           !demo_proc_interrupted()) {
        demo_sleep_ms(HEAR_PAUSE_MS);
    }
    return shard;
}

static void do_kill(struct demo *demo, struct demo_region *region)
{
    switch (demo->kill) {
    case DEMO_KILL_REGION:
        (void)printf("kill -9 of everything in %s\n", region->name);
        demo_proc_signal(demo, region, SIGKILL, true);
        return;
    case DEMO_KILL_INSTANCE:
        (void)printf("kill -9 of sidecar, guardian and database in %s\n", region->name);
        demo_proc_signal(demo, region, SIGKILL, false);
        return;
    case DEMO_KILL_PROCESS:
        (void)printf("kill -9 of the postmaster in %s\n", region->name);
        (void)demo_proc_kill_postmaster(region);
        return;
    case DEMO_KILL_FREEZE:
        (void)printf("SIGSTOP of everything in %s: no socket closes\n", region->name);
        demo_proc_signal(demo, region, SIGSTOP, true);
        return;
    case DEMO_KILL_NONE:
        return;
    }
}

static bool revive(struct demo *demo, struct demo_region *region)
{
    demo_proc_reap(demo);
    if (demo->kill == DEMO_KILL_FREEZE) {
        (void)printf("SIGCONT of everything in %s\n", region->name);
        demo_proc_signal(demo, region, SIGCONT, true);
    } else {
        (void)printf("%s comes back\n", region->name);
    }
    if (region->member == 0 && !demo_proc_start_member(demo, region)) {
        return false;
    }
    if (region->sidecar == 0 && !demo_proc_start_sidecar(demo, region)) {
        return false;
    }
    if (!demo_watch_until(demo, is_whole, NULL, REVIVE_MS)) {
        demo->failure = "the region did not follow again in time";
        return false;
    }
    return true;
}

static bool finish(struct demo *demo)
{
    demo_writer_stop(demo->writer);
    if (!demo_writer_count_lost(demo->writer, &demo->lost_acked)) {
        demo->failure = "the rows could not be read back";
        return false;
    }
    (void)printf("%" PRIu64 " rows acknowledged, %" PRId64 " of them missing\n",
                 demo_writer_acked(demo->writer),
                 demo->lost_acked);
    (void)fflush(stdout);
    demo->roots_agree = cli_ledger_verify_members(&demo->cli, false, NULL, &demo->leaves) == CLI_OK;
    if (!demo->roots_agree) {
        demo->failure = "the members' ledgers do not agree";
        return false;
    }
    if (!demo->async && demo->lost_acked != 0) {
        demo->failure = "acknowledged rows are missing";
        return false;
    }
    return true;
}

/* Open, every instance connected, every other one a standby that follows, and in the sync set. */
static bool is_whole(struct demo *demo, const Indaba__V1__Shard *shard, void *ctx)
{
    (void)ctx;
    if (!shard->opened || shard->n_instances != demo->regions_count) {
        return false;
    }
    for (size_t i = 0; i < shard->n_instances; i++) {
        const Indaba__V1__Instance *instance = shard->instances[i];
        bool primary = strcmp(instance->name, shard->primary) == 0;
        const char *state = primary ? "primary" : "standby";
        if (!instance->connected || strcmp(instance->state, state) != 0) {
            return false;
        }
        if (!primary &&
            (demo->async ? instance->lag_bytes > 1024UL * 1024 : !instance->in_sync_set)) {
            return false;
        }
    }
    return shard->n_sync <= 1;
}

static bool is_failed_over(struct demo *demo, const Indaba__V1__Shard *shard, void *ctx)
{
    const struct expectation *expectation = ctx;
    const Indaba__V1__Failover *last = shard->last_failover;
    bool done = last != NULL && last->id > expectation->failover_before && shard->opened;
    if (!done || last->n_steps == 0) {
        return false;
    }
    /* A row acknowledged by whoever is primary now. */
    uint64_t acked_ms = demo_writer_last_ack_ms(demo->writer);
    return acked_ms > expectation->since_ms && clock_monotonic_ms() - acked_ms < 500;
}
