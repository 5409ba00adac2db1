/* SPDX-License-Identifier: Apache-2.0 */
/* What the cluster says of itself, asked as any client would ask. */
#include "base/check.h"
#include "base/clock.h"
#include "cmd/demo.h"
#include "cmd/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    FOUNDED_MS = 30000,
    FOUNDED_PAUSE_MS = 50,
    PAUSE_MS = 100,
    DRAW_MS = 1000,
    CELL_SIZE = 48,
    ROLES_SIZE = 512
};

static bool draw_is_due(const Indaba__V1__Shard *shard);

const Indaba__V1__GetStatusResponse *demo_watch_status(struct demo *demo)
{
    Indaba__V1__GetStatusRequest request = INDABA__V1__GET_STATUS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    /* Nothing is kept from the call before. */
    wire_arena_deinit(&demo->cli.arena);
    int code = cli_call(&demo->cli,
                        "/indaba.v1.Cluster/GetStatus",
                        &request.base,
                        &indaba__v1__get_status_response__descriptor,
                        &reply);
    return code == CLI_OK ? (const void *)reply : NULL;
}

bool demo_watch_founded(struct demo *demo)
{
    uint64_t deadline_ms = clock_monotonic_ms() + FOUNDED_MS;
    while (clock_monotonic_ms() < deadline_ms && !demo_proc_interrupted()) {
        const Indaba__V1__GetStatusResponse *status = demo_watch_status(demo);
        if (status != NULL && status->n_regions > 0) {
            return true;
        }
        demo_sleep_ms(FOUNDED_PAUSE_MS);
    }
    demo->failure = "the coordinators did not agree on a leader in time";
    return false;
}

const Indaba__V1__Shard *demo_watch_shard(struct demo *demo)
{
    const Indaba__V1__GetStatusResponse *status = demo_watch_status(demo);
    return status == NULL || status->n_shards == 0 ? NULL : status->shards[0];
}

struct demo_region *demo_watch_primary(struct demo *demo, const Indaba__V1__Shard *shard)
{
    for (uint32_t i = 0; shard != NULL && i < demo->regions_count; i++) {
        if (strcmp(demo->regions[i].name, shard->primary) == 0) {
            return &demo->regions[i];
        }
    }
    return NULL;
}

void demo_watch_draw(struct demo *demo, const Indaba__V1__Shard *shard)
{
    static bool drawn;
    static const char *const HEADER[] = {"REGION", "ROLE", "LEASE", "LAG", "ROWS"};
    if (!draw_is_due(shard)) {
        return;
    }
    struct text_table table;
    struct buf out = {0};
    table_init(&table, HEADER, 5);
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        const Indaba__V1__Instance *instance = NULL;
        for (size_t k = 0; shard != NULL && k < shard->n_instances; k++) {
            if (strcmp(shard->instances[k]->name, demo->regions[i].name) == 0) {
                instance = shard->instances[k];
            }
        }
        char lag[CELL_SIZE] = "";
        char rows[CELL_SIZE] = "";
        bool connected = instance != NULL && instance->connected;
        bool primary = connected && strcmp(instance->state, "primary") == 0;
        if (connected && !primary) {
            (void)snprintf(lag, sizeof(lag), "%" PRIu64 " B", instance->lag_bytes);
        }
        if (primary && demo->writer != NULL) {
            (void)snprintf(rows, sizeof(rows), "%" PRIu64, demo_writer_acked(demo->writer));
        }
        const char *cells[] = {demo->regions[i].name,
                               connected ? instance->state : "not heard of",
                               connected && instance->lease_held ? "held" : "",
                               lag,
                               rows};
        table_row(&table, cells);
    }
    bool terminal = isatty(STDOUT_FILENO) == 1;
    if (drawn && terminal) {
        buf_printf(&out, "\033[%uA\033[J", demo->regions_count + 1);
    }
    table_print(&table, 2, &out);
    if (!terminal) {
        buf_append_string(&out, "\n");
    }
    cli_print(&out);
    table_deinit(&table);
    drawn = true;
}

bool demo_watch_until(struct demo *demo,
                      bool (*holds)(struct demo *demo, const Indaba__V1__Shard *shard, void *ctx),
                      void *ctx,
                      uint32_t timeout_ms)
{
    uint64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    for (;;) {
        demo_proc_reap(demo);
        const Indaba__V1__Shard *shard = demo_watch_shard(demo);
        if (shard != NULL) {
            demo_watch_draw(demo, shard);
            if (holds(demo, shard, ctx)) {
                return true;
            }
        }
        if (demo_proc_interrupted() || clock_monotonic_ms() >= deadline_ms) {
            return false;
        }
        demo_sleep_ms(PAUSE_MS);
    }
}

/* Once a second on a terminal; elsewhere when a role or lease changed. */
static bool draw_is_due(const Indaba__V1__Shard *shard)
{
    static uint64_t last_ms;
    static char last_roles[ROLES_SIZE];
    char roles[ROLES_SIZE] = "";
    size_t used = 0;
    for (size_t i = 0; shard != NULL && i < shard->n_instances; i++) {
        int len = snprintf(roles + used,
                           sizeof(roles) - used,
                           "%s=%s/%d ",
                           shard->instances[i]->name,
                           shard->instances[i]->state,
                           shard->instances[i]->connected);
        if (len < 0 || (size_t)len >= sizeof(roles) - used) {
            break;
        }
        used += (size_t)len;
    }
    bool changed = strcmp(roles, last_roles) != 0;
    uint64_t now_ms = clock_monotonic_ms();
    if (!changed && (isatty(STDOUT_FILENO) != 1 || now_ms - last_ms < DRAW_MS)) {
        return false;
    }
    last_ms = now_ms;
    memcpy(last_roles, roles, sizeof(last_roles));
    return true;
}
