/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/cli_shard.h. */
#include "cmd/cli_shard.h"

#include "base/check.h"
#include "base/clock.h"
#include "cmd/table.h"
#include "wire/wire_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CELL_SIZE = 48,
    HEARD_NOW_MS = 2000, /* what was heard longer ago is told as what was heard */
};

static void print_instances(const Indaba__V1__Shard *shard, struct buf *out);
static bool is_heard_now(const Indaba__V1__Instance *instance);
static void primary_heard(const Indaba__V1__Shard *shard, char *text);
static void format_age(const Indaba__V1__Instance *instance, char *text);
static void print_gates(const Indaba__V1__Shard *shard, struct buf *out);
static void print_sync(const Indaba__V1__Shard *shard, struct buf *out);
static void format_bytes(uint64_t bytes, char *text);
static const char *position_text(const Indaba__V1__Position *position);

int cli_shard_get(struct cli *cli, const char *name, Indaba__V1__GetShardResponse **response_out)
{
    Indaba__V1__GetShardRequest request = INDABA__V1__GET_SHARD_REQUEST__INIT;
    request.name = wire_string(name);
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Shards/GetShard",
                        &request.base,
                        &indaba__v1__get_shard_response__descriptor,
                        &reply);
    if (code == CLI_OK) {
        *response_out = (void *)reply;
    }
    return code;
}

void cli_shard_print(const Indaba__V1__Shard *shard, struct buf *out)
{
    char heard[CELL_SIZE];
    primary_heard(shard, heard);
    buf_printf(out,
               "shard %s  %s %s  epoch %" PRIu64 "  primary %s%s  lease %s%s%s\n",
               shard->name,
               shard->kind,
               shard->mode,
               shard->epoch,
               shard->primary[0] == '\0' ? "none yet" : shard->primary,
               heard,
               shard->lease,
               shard->primary[0] != '\0' && !shard->opened ? "  NOT OPEN" : "",
               shard->frozen ? "  FROZEN" : "");
    print_instances(shard, out);
    print_sync(shard, out);
    for (size_t i = 0; i < shard->n_instances; i++) {
        const Indaba__V1__Instance *instance = shard->instances[i];
        if (instance->promotion_trouble[0] != '\0') {
            buf_printf(
                out, "  %s was not promoted, in %s\n", instance->name, instance->promotion_trouble);
        }
    }
    if (shard->waiting[0] != '\0') {
        buf_printf(out, "  waiting: %s\n", shard->waiting);
    }
    for (size_t i = 0; i < shard->n_instances; i++) {
        if (shard->instances[i]->concern[0] != '\0') {
            buf_printf(out,
                       "  concern: %s: %s\n",
                       shard->instances[i]->name,
                       shard->instances[i]->concern);
        }
    }
    print_gates(shard, out);
    for (size_t i = 0; i < shard->n_can_lose; i++) {
        buf_printf(out, "  can lose: %s\n", shard->can_lose[i]);
    }
}

/* One line if all that tell say the same. */
static void print_gates(const Indaba__V1__Shard *shard, struct buf *out)
{
    const char *first = NULL;
    bool same = true;

    for (size_t i = 0; i < shard->n_instances; i++) {
        const char *gate = shard->instances[i]->gate;
        first = first == NULL && gate[0] != '\0' ? gate : first;
        same = same && (gate[0] == '\0' || strcmp(gate, first) == 0);
    }
    for (size_t i = 0; !same && i < shard->n_instances; i++) {
        if (shard->instances[i]->gate[0] != '\0') {
            buf_printf(out,
                       "  commit gate: %s: %s\n",
                       shard->instances[i]->name,
                       shard->instances[i]->gate);
        }
    }
    if (same && first != NULL) {
        buf_printf(out, "  commit gate: %s\n", first);
    }
}

void cli_failover_print(const Indaba__V1__Failover *failover, struct buf *out)
{
    buf_printf(out,
               "failover %" PRIu64 "  shard %s  epoch %" PRIu64 "  %s  cause %s  proof %s%s\n",
               failover->id,
               failover->shard,
               failover->epoch,
               failover->step,
               failover->cause,
               failover->proof,
               failover->in_place ? "  in place" : "");
    buf_printf(out,
               "  from %s to %s, timeline %" PRIu32 "\n",
               failover->old_primary[0] == '\0' ? "-" : failover->old_primary,
               failover->candidate[0] == '\0' ? "-" : failover->candidate,
               failover->timeline);
    buf_printf(out, "  evidence: %s\n", failover->evidence);
    if (failover->reason[0] != '\0') {
        buf_printf(out, "  reason: %s\n", failover->reason);
    }
    for (size_t i = 0; i < failover->n_reports; i++) {
        const Indaba__V1__FinalReport *report = failover->reports[i];
        buf_printf(
            out, "  final position of %s: %s\n", report->instance, position_text(report->position));
    }
    if (failover->loss_bound_bytes > 0) {
        buf_printf(out, "  may have lost up to %" PRIu64 " bytes\n", failover->loss_bound_bytes);
    }
    if (failover->could_lose[0] != '\0') {
        buf_printf(out, "  COULD LOSE acknowledged writes: %s\n", failover->could_lose);
    }
    char wall[CLOCK_WALL_TEXT_SIZE];
    if (failover->detected_wall_ms > 0) {
        buf_printf(
            out, "  %s  +0 ms  detected\n", clock_format_wall(failover->detected_wall_ms, wall));
    }
    for (size_t i = 0; i < failover->n_steps; i++) {
        const Indaba__V1__StepTime *step = failover->steps[i];
        int64_t since_ms = (int64_t)(step->wall_ms - failover->detected_wall_ms);
        if (failover->detected_wall_ms == 0 || since_ms < 0) {
            /* Stamped by another leader than the one that noticed. */
            buf_printf(out,
                       "  %s  %s  %s\n",
                       clock_format_wall(step->wall_ms, wall),
                       failover->detected_wall_ms == 0 ? "-" : "(by another clock)",
                       step->step);
            continue;
        }
        buf_printf(out,
                   "  %s  +%" PRId64 " ms  %s\n",
                   clock_format_wall(step->wall_ms, wall),
                   since_ms,
                   step->step);
    }
    if (failover->confirmed_wall_ms > 0) {
        buf_printf(out,
                   "  %s  +%" PRId64 " ms  confirmed: a write was held by enough standbys\n",
                   clock_format_wall(failover->confirmed_wall_ms, wall),
                   (int64_t)(failover->confirmed_wall_ms - failover->detected_wall_ms));
    } else if (strcmp(failover->step, "done") == 0) {
        buf_append_string(out, "  not confirmed: no write was held by enough standbys yet\n");
    }
    if (failover->waiting[0] != '\0') {
        buf_printf(out, "  waiting: %s\n", failover->waiting);
    }
}

void cli_failovers_print(Indaba__V1__Failover *const *failovers, size_t count, struct buf *out)
{
    static const char *const HEADER[] = {
        "ID", "SHARD", "EPOCH", "CAUSE", "FROM", "TO", "PROOF", "STEP", "DETECTED"};
    struct text_table table;
    table_init(&table, HEADER, 9);
    for (size_t i = 0; i < count; i++) {
        const Indaba__V1__Failover *failover = failovers[i];
        char id[CELL_SIZE];
        char epoch[CELL_SIZE];
        char wall[CLOCK_WALL_TEXT_SIZE] = "";
        (void)snprintf(id, sizeof(id), "%" PRIu64, failover->id);
        (void)snprintf(epoch, sizeof(epoch), "%" PRIu64, failover->epoch);
        if (failover->detected_wall_ms > 0) {
            (void)clock_format_wall(failover->detected_wall_ms, wall);
        }
        const char *cells[] = {id,
                               failover->shard,
                               epoch,
                               failover->cause,
                               failover->old_primary,
                               failover->candidate,
                               failover->proof,
                               failover->step,
                               wall};
        table_row(&table, cells);
    }
    table_print(&table, 0, out);
    table_deinit(&table);
}

static void print_instances(const Indaba__V1__Shard *shard, struct buf *out)
{
    static const char *const HEADER[] = {"INSTANCE",
                                         "REGION",
                                         "GOAL",
                                         "STATE",
                                         "HEARD",
                                         "LEASE",
                                         "SYNC",
                                         "POSITION",
                                         "LAG",
                                         "ADDRESS",
                                         "DOING"};
    struct text_table table;
    table_init(&table, HEADER, ARRAY_LEN(HEADER));
    for (size_t i = 0; i < shard->n_instances; i++) {
        const Indaba__V1__Instance *instance = shard->instances[i];
        bool now = is_heard_now(instance);
        char lag[CELL_SIZE] = "";
        char age[CELL_SIZE];
        char was[CELL_SIZE] = "not connected";
        format_age(instance, age);
        if (now && strcmp(instance->state, "standby") == 0) {
            format_bytes(instance->lag_bytes, lag);
        }
        if (!now && instance->state[0] != '\0') {
            (void)snprintf(was,
                           sizeof(was),
                           "%s (was %.20s)",
                           instance->connected ? "SILENT" : "not connected",
                           instance->state);
        }
        const char *cells[] = {instance->name,
                               instance->region,
                               instance->goal,
                               now ? instance->state : was,
                               age,
                               instance->lease_held ? "held" : "",
                               instance->in_sync_set ? "yes" : "",
                               position_text(instance->position),
                               lag,
                               instance->address,
                               now ? instance->detail : ""};
        table_row(&table, cells);
    }
    table_print(&table, 2, out);
    table_deinit(&table);
}

static bool is_heard_now(const Indaba__V1__Instance *instance)
{
    return instance->connected && instance->state[0] != '\0' &&
           instance->report_age_ms <= HEARD_NOW_MS;
}

/* Behind the primary's name: it is so by record, and nobody may have heard of it. */
static void primary_heard(const Indaba__V1__Shard *shard, char *text)
{
    char age[CELL_SIZE];
    text[0] = '\0';
    for (size_t i = 0; i < shard->n_instances; i++) {
        const Indaba__V1__Instance *instance = shard->instances[i];
        if (strcmp(instance->name, shard->primary) == 0 && !is_heard_now(instance)) {
            format_age(instance, age);
            (void)snprintf(text,
                           CELL_SIZE,
                           " by record, NOT HEARD%s%.16s",
                           age[0] == '\0' ? "" : " since ",
                           age);
        }
    }
}

static void format_age(const Indaba__V1__Instance *instance, char *text)
{
    if (instance->state[0] == '\0') {
        text[0] = '\0'; /* nothing is known of it here */
    } else if (instance->report_age_ms < 10000) {
        (void)snprintf(text, CELL_SIZE, "%" PRIu64 " ms ago", instance->report_age_ms);
    } else {
        (void)snprintf(text, CELL_SIZE, "%" PRIu64 " s ago", instance->report_age_ms / 1000);
    }
}

static void print_sync(const Indaba__V1__Shard *shard, struct buf *out)
{
    for (size_t i = 0; i < shard->n_sync; i++) {
        const Indaba__V1__SyncPair *pair = shard->sync[i];
        buf_printf(out, "  sync: any %" PRIu32 " of (", pair->required);
        for (size_t k = 0; k < pair->n_members; k++) {
            buf_printf(out, "%s%s", k == 0 ? "" : ", ", pair->members[k]->instance);
        }
        buf_printf(out, ")%s\n", i + 1 < shard->n_sync ? ", being replaced by" : "");
    }
}

static void format_bytes(uint64_t bytes, char *text)
{
    if (bytes < 10240) {
        (void)snprintf(text, CELL_SIZE, "%" PRIu64 " B", bytes);
    } else if (bytes < 10240UL * 1024) {
        (void)snprintf(text, CELL_SIZE, "%" PRIu64 " KiB", bytes / 1024);
    } else {
        (void)snprintf(text, CELL_SIZE, "%" PRIu64 " MiB", bytes / 1024 / 1024);
    }
}

static const char *position_text(const Indaba__V1__Position *position)
{
    return position == NULL ? "" : position->text;
}
