/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba status`: one screen of members, regions, shards and the last failover of each. */
#include "base/check.h"
#include "cmd/cli.h"
#include "cmd/cli_member.h"
#include "cmd/cli_shard.h"
#include "cmd/commands.h"
#include "cmd/json_out.h"
#include "cmd/table.h"
#include "indaba/v1/cluster.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CELL_SIZE = 48,
    QUORUM_MS = 4000, /* then the stale view is asked for */
};

#define PATH  "/indaba.v1.Cluster/GetStatus"
#define REPLY indaba__v1__get_status_response__descriptor

static int
ask(struct cli *cli, Indaba__V1__GetStatusRequest *request, ProtobufCMessage **reply_out);
static void print_status(const Indaba__V1__GetStatusResponse *status, struct buf *out);
static void print_members(const Indaba__V1__GetStatusResponse *status, struct buf *out);
static void print_regions(const Indaba__V1__GetStatusResponse *status, struct buf *out);

int status_main(int argc, char **argv)
{
    struct cli cli;
    bool stale = false;
    int code = CLI_OK;
    cli_init(&cli, "status");
    if (!cli_parse_stale(&cli, argc, argv, &stale, &code)) {
        return code;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    Indaba__V1__GetStatusRequest request = INDABA__V1__GET_STATUS_REQUEST__INIT;
    request.consistency = stale ? INDABA__V1__CONSISTENCY__CONSISTENCY_STALE
                                : INDABA__V1__CONSISTENCY__CONSISTENCY_LINEARIZABLE;
    ProtobufCMessage *reply = NULL;
    code = ask(&cli, &request, &reply);
    if (code == CLI_OK) {
        struct buf out = {0};
        if (cli.json) {
            json_out_message(reply, &out);
        } else {
            print_status((const void *)reply, &out);
        }
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}

/* Without a quorum the picture of one member, marked so, is worth more than none. */
static int ask(struct cli *cli, Indaba__V1__GetStatusRequest *request, ProtobufCMessage **reply_out)
{
    const uint32_t whole_ms = cli->timeout_ms;
    bool may_fall_back = request->consistency != INDABA__V1__CONSISTENCY__CONSISTENCY_STALE;
    cli->quiet = may_fall_back;
    cli->timeout_ms = may_fall_back && whole_ms > QUORUM_MS ? QUORUM_MS : whole_ms;
    int code = cli_call(cli, PATH, &request->base, &REPLY, reply_out);
    if (code == CLI_UNAVAILABLE && may_fall_back) {
        request->consistency = INDABA__V1__CONSISTENCY__CONSISTENCY_STALE;
        cli->timeout_ms = whole_ms;
        cli->quiet = false;
        code = cli_call(cli, PATH, &request->base, &REPLY, reply_out);
        if (code == CLI_OK) {
            (void)fprintf(stderr,
                          "indaba status: no leader with a quorum answers: what follows is the "
                          "stale view of one member\n");
        }
    } else if (code != CLI_OK && may_fall_back) {
        cli->quiet = false;
        code = cli_call(cli, PATH, &request->base, &REPLY, reply_out);
    }
    return code;
}

static void print_status(const Indaba__V1__GetStatusResponse *status, struct buf *out)
{
    const Indaba__V1__ResponseHeader *header = status->header;
    buf_printf(out,
               "cluster %s  %s  revision %" PRIu64 "  ledger %" PRIu64 " leaves  root %.16s…\n",
               status->cluster_name,
               header == NULL ? "" : header->cluster_id,
               header == NULL ? 0 : header->revision,
               status->ledger_leaves,
               status->ledger_root);
    if (header != NULL && header->stale) {
        buf_printf(out,
                   "STALE: from %s alone, as of index %" PRIu64
                   "; it last heard from a leader %" PRIu64 " ms ago\n",
                   header->answered_by,
                   header->revision,
                   header->age_ms);
    }
    if (status->cluster_epoch > 0) {
        buf_printf(out,
                   "cluster epoch %" PRIu32 " after a forced recovery%s\n",
                   status->cluster_epoch,
                   status->recovery_unconfirmed
                       ? ", NOT CONFIRMED: asynchronous shards do not fail over by the clock until "
                         "'indaba cluster confirm-recovery'"
                       : "");
    }
    if (status->timers_note[0] != '\0') {
        buf_printf(out, "WARNING: %s\n", status->timers_note);
    }
    if (status->change_held[0] != '\0') {
        buf_printf(out, "A change of the members waits: %s\n", status->change_held);
    }
    buf_append_string(out, "\n");
    print_members(status, out);
    buf_append_string(out, "\n");
    print_regions(status, out);
    for (size_t i = 0; i < status->n_shards; i++) {
        buf_append_string(out, "\n");
        cli_shard_print(status->shards[i], out);
        if (status->shards[i]->last_failover != NULL && status->shards[i]->last_failover->id > 0) {
            const Indaba__V1__Failover *last = status->shards[i]->last_failover;
            buf_printf(out,
                       "  last failover: %" PRIu64 " %s%s, cause %s, from %s to %s, proof %s\n",
                       last->id,
                       last->step,
                       strcmp(last->step, "done") == 0 && last->confirmed_wall_ms == 0
                           ? " but NOT CONFIRMED"
                           : "",
                       last->cause,
                       last->old_primary[0] == '\0' ? "-" : last->old_primary,
                       last->candidate[0] == '\0' ? "-" : last->candidate,
                       last->proof);
            if (last->could_lose[0] != '\0') {
                buf_printf(out, "  COULD LOSE acknowledged writes: %s\n", last->could_lose);
            }
        }
    }
}

static void print_members(const Indaba__V1__GetStatusResponse *status, struct buf *out)
{
    static const char *const HEADER[] = {"MEMBER", "REGION", "ROLE", "MATCH", "APPLIED", "API"};
    struct text_table table;
    table_init(&table, HEADER, 6);
    for (size_t i = 0; i < status->n_members; i++) {
        const Indaba__V1__MemberStatus *member = status->members[i];
        CHECK(member->member != NULL);
        char match[CELL_SIZE] = "";
        char applied[CELL_SIZE] = "";
        /* What a follower knows of its leader is that it was heard. */
        if (member->judged && (member->match_index != 0 || !member->leader)) {
            (void)snprintf(match, sizeof(match), "%" PRIu64, member->match_index);
            (void)snprintf(applied, sizeof(applied), "%" PRIu64, member->applied_index);
        }
        const char *cells[] = {member->member->name,
                               member->member->region,
                               cli_member_role(member),
                               match,
                               applied,
                               member->member->api_address};
        table_row(&table, cells);
    }
    table_print(&table, 0, out);
    table_deinit(&table);
}

static void print_regions(const Indaba__V1__GetStatusResponse *status, struct buf *out)
{
    static const char *const HEADER[] = {"REGION", "RANK", "JURISDICTION", "STATE"};
    struct text_table table;
    table_init(&table, HEADER, 4);
    for (size_t i = 0; i < status->n_regions; i++) {
        const Indaba__V1__Region *region = status->regions[i];
        char rank[CELL_SIZE];
        (void)snprintf(rank, sizeof(rank), "%" PRIu32, region->rank);
        const char *cells[] = {region->name, rank, region->jurisdiction, region->state};
        table_row(&table, cells);
    }
    table_print(&table, 0, out);
    table_deinit(&table);
}
