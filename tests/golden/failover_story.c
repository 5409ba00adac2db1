/* SPDX-License-Identifier: Apache-2.0 */
/* The leader of a story: its controller, the state that every entry is applied to, and the clock
 * that moves everybody. See failover_story.h. */
#include "failover_story.h"

#include "base/check.h"
#include "base/mem.h"
#include "state/apply.h"
#include "state/query.h"
#include "tests/support/support_golden.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    STEP_MS = 10,
    LEASE_MS = 3000,
    CONFIRMED_MS_MAX = 60000,
    REGIONS = 3,
};

#define WALL_MS UINT64_C(1700000000000)

static void init_cluster(struct story *story);
static void create_shard(struct story *story);
static void apply(struct story *story, const struct command *command);
static void tell_controller(struct story *story, struct shard_id changed);
static void drain(struct story *story);
static void say_hello(struct story *story, struct story_site *site);
static void tell_waiting(struct story *story);

struct story *story_new(enum shard_mode mode, uint32_t sites)
{
    struct story *story = mem_new(sizeof(*story));
    CHECK(sites <= STORY_SITES_MAX);
    story->mode = mode;
    story->sites_count = sites;
    story->memory = tables_memory_new();
    story->tables = tables_memory_tables(story->memory);
    story->controller = controller_new();
    story->term = 1;
    for (uint32_t i = 1; i <= sites; i++) {
        struct story_site *site = &story->sites[i];
        site->number = i;
        site->machine_up = true;
        site->sidecar_up = true;
        lease_holder_init(&site->holder, 1);
    }
    apply(story, NULL);
    controller_elected(story->controller, story->term, story->now_ms);
    init_cluster(story);
    create_shard(story);
    buf_clear(&story->trace);
    return story;
}

struct story *story_new_steady(enum shard_mode mode, uint32_t sites)
{
    struct story *story = story_new(mode, sites);
    story_run_until_confirmed(story, 1);
    story_run(story, 13000); /* record level, no pause between failovers left */
    buf_clear(&story->trace);
    story->start_ms = story->now_ms;
    struct shard_view view = story_view(story);
    const struct sync_record *sync = &view.shard.sync;
    story_note(story,
               "shard orders: %s leads in epoch %" PRIu64 ", timeline %u; %s",
               story_site_name(view.shard.primary.value),
               view.shard.epoch.value,
               view.shard.timeline_reserved,
               sync->pairs_count == 0 ? "writes wait for nobody"
                                      : "each write is on a standby too");
    return story;
}

void story_run(struct story *story, uint64_t for_ms)
{
    uint64_t end_ms = story->now_ms + for_ms;

    while (story->now_ms < end_ms) {
        story->now_ms += STEP_MS;
        if (story->proposal.due) {
            struct command command = story->proposal.command;
            story->proposal.due = false;
            apply(story, &command);
        }
        if (story->read_id != 0) {
            uint64_t id = story->read_id;
            story->read_id = 0;
            controller_read_ready(story->controller, id, story->index, true);
        }
        for (uint32_t i = 1; i <= story->sites_count; i++) {
            story_database_step(story, &story->sites[i]);
        }
        for (uint32_t i = 1; i <= story->sites_count; i++) {
            struct story_site *site = &story->sites[i];
            if (site->session == 0 && site->sidecar_up && !site->cut_off) {
                say_hello(story, site);
            }
            story_site_step(story, site);
            drain(story);
        }
        controller_tick(story->controller, story->now_ms, WALL_MS + story->now_ms);
        drain(story);
        tell_waiting(story);
    }
}

void story_run_until_confirmed(struct story *story, uint64_t epoch)
{
    uint64_t give_up_ms = story->now_ms + CONFIRMED_MS_MAX;
    struct shard_view view = story_view(story);

    while (view.failover.epoch.value < epoch || view.failover.step != FAILOVER_DONE ||
           view.failover.confirmed_wall_ms == 0 || view.shard.sync.pairs_count > 1) {
        story_run(story, STEP_MS);
        view = story_view(story);
        if (story->now_ms > give_up_ms) {
            fail_msg("epoch %" PRIu64 " does not get through:\n%.*s",
                     epoch,
                     (int)story->trace.len,
                     (const char *)story->trace.data);
        }
    }
}

void story_note(struct story *story, const char *format, ...)
{
    char text[STORY_TEXT_SIZE * 2];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    buf_printf(&story->trace, "[%6" PRIu64 "] %s\n", story->now_ms - story->start_ms, text);
}

void story_apply(struct story *story, const struct command *command)
{
    struct command own = *command;

    own.wall_ms = WALL_MS + story->now_ms;
    if (command_kind_is_order(own.kind)) {
        own.leader_term = story->term;
    } else {
        own.request.hi = own.wall_ms << 16 | 0x7000; /* a UUID of version 7 */
        own.request.lo = UINT64_C(1) << 63 | ++story->requests;
        (void)snprintf(own.actor, sizeof(own.actor), "operator");
    }
    apply(story, &own);
}

void story_elect(struct story *story, struct tables_memory *memory_take)
{
    tables_memory_free(story->memory);
    controller_free(story->controller);
    story->memory = memory_take;
    story->tables = tables_memory_tables(memory_take);
    story->controller = controller_new();
    story->proposal.due = false;
    story->read_id = 0;
    struct apply_position position;
    apply_position(&story->tables, &position);
    story->index = position.index;
    story->term++;
    for (uint32_t i = 1; i <= story->sites_count; i++) {
        story_site_closed(&story->sites[i]);
    }
    tell_controller(story, (struct shard_id){1});
    apply(story, NULL);
    controller_elected(story->controller, story->term, story->now_ms);
}

struct shard_view story_view(const struct story *story)
{
    struct shard_view view;
    CHECK(query_shard(&story->tables, (struct shard_id){1}, &view) == ERR_OK);
    return view;
}

void story_finish(struct story *story, const char *name)
{
    support_golden_compare(name, buf_view(&story->trace));
    tables_memory_free(story->memory);
    controller_free(story->controller);
    buf_deinit(&story->trace);
    mem_free(story);
}

static void init_cluster(struct story *story)
{
    static const char *const names[REGIONS] = {"east", "west", "south"};
    struct command command = {.kind = COMMAND_CLUSTER_INIT};
    struct command_cluster_init *body = &command.cluster_init;

    body->cluster = (struct cluster_id){7, 7};
    (void)snprintf(body->name, sizeof(body->name), "story");
    body->lease_ms = LEASE_MS;
    body->regions_count = REGIONS;
    body->members_count = REGIONS;
    for (uint32_t i = 0; i < REGIONS; i++) {
        (void)snprintf(body->regions[i].name, NAME_SIZE, "%s", names[i]);
        body->regions[i].rank = i + 1;
        (void)snprintf(body->members[i].name, NAME_SIZE, "m%u", i + 1);
        (void)snprintf(body->members[i].region, NAME_SIZE, "%s", names[i]);
        body->members[i].id = (struct member_id){1, i + 1};
    }
    story_apply(story, &command);
}

static void create_shard(struct story *story)
{
    struct command command = {.kind = COMMAND_SHARD_CREATE};
    struct shard *spec = &command.shard_create.spec;

    (void)snprintf(spec->name, NAME_SIZE, "orders");
    spec->kind = SHARD_POSTGRES;
    spec->mode = story->mode;
    spec->rto_ms = 5000;
    spec->rpo_ms = story->mode == SHARD_ASYNC ? 10000 : 0;
    spec->sync_required = story->mode == SHARD_SYNC ? 1 : 0;
    story_apply(story, &command);
}

/* One committed entry; NULL is the one that a new leader begins with. */
static void apply(struct story *story, const struct command *command)
{
    enum {
        RAFT_NOOP = 1,
        RAFT_COMMAND = 2
    };

    struct command_result result;
    struct shard_id changed;
    struct apply_entry entry = {
        .index = ++story->index,
        .term = story->term,
        .raft_kind = command == NULL ? RAFT_NOOP : RAFT_COMMAND,
        .command = command,
        .payload = slice_of_string("payload"),
    };
    apply_entry(&story->tables, &entry, &result, &changed);
    if (command != NULL) {
        story_tell_applied(story, command, &result);
    }
    tell_controller(story, changed);
    if (story->proposal.ticket != 0 && command != NULL && command_kind_is_order(command->kind)) {
        controller_proposed(story->controller, story->proposal.ticket, &result);
        story->proposal.ticket = 0;
    }
    drain(story);
}

static void tell_controller(struct story *story, struct shard_id changed)
{
    struct cluster_info info;
    struct region regions[REGIONS_MAX];

    query_cluster(&story->tables, &info);
    if (info.cluster.lo != 0) {
        controller_cluster_changed(story->controller, info.cluster, "m1", info.lease_ms);
        controller_recovery_changed(story->controller, info.cluster_epoch, info.unconfirmed);
        uint32_t count = query_regions(&story->tables, regions, REGIONS_MAX);
        controller_regions_changed(story->controller, regions, count);
    }
    if (changed.value != 0) {
        struct shard_view view = story_view(story);
        controller_view_changed(story->controller, &view, story->now_ms);
    }
    controller_applied(story->controller, story->index);
}

static void drain(struct story *story)
{
    static struct controller_output output;

    while (controller_next(story->controller, story->now_ms, &output)) {
        if (output.kind == CONTROLLER_PROPOSE) {
            CHECK(!story->proposal.due);
            story->proposal.due = true;
            story->proposal.ticket = output.propose.ticket;
            story->proposal.command = output.propose.command;
            story_tell_order(story, &output.propose.command);
            continue;
        }
        if (output.kind == CONTROLLER_READ) {
            story->read_id = output.read_id;
            continue;
        }
        for (uint32_t i = 1; i <= story->sites_count; i++) {
            if (story->sites[i].session == output.session) {
                story_site_output(story, &story->sites[i], &output);
            }
        }
    }
}

static void say_hello(struct story *story, struct story_site *site)
{
    struct hello hello = {0};
    char message[TEXT_SIZE];

    (void)snprintf(hello.shard, NAME_SIZE, "orders");
    (void)snprintf(hello.instance, NAME_SIZE, "%s", story_site_name(site->number));
    (void)snprintf(hello.region, NAME_SIZE, "%s", story_site_region(site->number));
    (void)snprintf(hello.address, ADDRESS_SIZE, "10.0.0.%u:5432", site->number);
    uint64_t session = ++story->session_last;
    if (controller_hello(story->controller, session, &hello, message) == ERR_OK) {
        story_note(story, "%s says hello to the leader", story_site_name(site->number));
        site->session = session;
    }
}

/* What `indaba status` would show; figures that only count are no news. */
static void tell_waiting(struct story *story)
{
    char text[TEXT_SIZE];
    char bare[TEXT_SIZE];
    size_t len = 0;

    controller_waiting(story->controller, (struct shard_id){1}, text);
    for (const char *from = text; *from != '\0'; from++) {
        if (*from < '0' || *from > '9') {
            bare[len++] = *from;
        }
    }
    bare[len] = '\0';
    if (strcmp(bare, story->waiting_text) != 0) {
        memcpy(story->waiting_text, bare, len + 1);
        if (text[0] != '\0') {
            story_note(story, "leader waits: %s", text);
        }
    }
}
