/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member …`: who the members are. Here: which word means what, and `ls`. */
#include "cmd/cmd_member.h"
#include "base/check.h"
#include "cmd/cli_member.h"
#include "cmd/commands.h"
#include "cmd/json_out.h"
#include "cmd/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CELL_SIZE = 48,
    COLUMNS = 10
};

struct member_word {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct member_word words[] = {
    {"ls", member_ls, "members as they are wanted and as they are"},
    {"add", member_add, "a new one; says what to do on the new machine"},
    {"remove", member_remove, "takes one out for good; its id is never used again"},
    {"promote", member_promote, "makes a learner a voter, once it has caught up"},
    {"demote", member_demote, "makes a voter a learner: it gets the log, has no vote"},
    {"move", member_move, "gives it other addresses"},
    {"transfer", member_transfer, "hands leadership to another member"},
    {"init", member_init, "makes a member's data folder; --join to join a cluster"},
    {"new-id", member_new_id, "prints a random identity for a cluster or a member"},
    {"vouch", member_vouch, "on a member that refuses another: it is one, believe it"},
    {"force-recover", member_force_recover, "the last resort when a majority is lost for good"},
};

static void print_members(const Indaba__V1__GetMembersResponse *response, struct buf *out);
static void print_refused(const Indaba__V1__GetMembersResponse *response, struct buf *out);
static void print_head(const Indaba__V1__GetMembersResponse *response, struct buf *out);
static void print_row(const Indaba__V1__GetMembersResponse *response,
                      const Indaba__V1__MemberStatus *member,
                      struct text_table *table);

int member_main(int argc, char **argv)
{
    for (size_t i = 0; argc >= 2 && i < ARRAY_LEN(words); i++) {
        if (strcmp(argv[1], words[i].name) == 0) {
            return words[i].run(argc - 1, argv + 1);
        }
    }
    bool asked = argc >= 2 && strcmp(argv[1], "--help") == 0;
    FILE *out = asked ? stdout : stderr;
    (void)fprintf(out, "Usage: indaba member WORD …; each tells its own usage with --help\n\n");
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        (void)fprintf(out, "  %-14s %s\n", words[i].name, words[i].help);
    }
    return asked ? CLI_OK : CLI_USAGE;
}

int member_ls(int argc, char **argv)
{
    struct cli cli;
    bool stale = false;
    int code = CLI_OK;
    cli_init(&cli, "member ls");
    if (!cli_parse_stale(&cli, argc, argv, &stale, &code)) {
        return code;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    const Indaba__V1__GetMembersResponse *response = NULL;
    code = cli_member_get(&cli, stale, &response);
    if (code == CLI_OK) {
        struct buf out = {0};
        if (cli.json) {
            json_out_message(&response->base, &out);
        } else {
            print_members(response, &out);
        }
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}

static void print_members(const Indaba__V1__GetMembersResponse *response, struct buf *out)
{
    static const char *const HEADER[COLUMNS] = {
        "MEMBER", "REGION", "WANTED", "IS", "ROLE", "BEHIND", "APPLIED", "HEARD", "RTT", "PEER"};
    struct text_table table;
    print_head(response, out);
    table_init(&table, HEADER, COLUMNS);
    for (size_t i = 0; i < response->n_members; i++) {
        CHECK(response->members[i]->member != NULL);
        print_row(response, response->members[i], &table);
    }
    table_print(&table, 0, out);
    table_deinit(&table);
    print_refused(response, out);
    for (size_t i = 0; i < response->n_members; i++) {
        const Indaba__V1__MemberStatus *member = response->members[i];
        if (member->note[0] != '\0') {
            buf_printf(out, "%s: %s\n", member->member->name, member->note);
        }
        if (member->snapshot_bytes != 0) {
            buf_printf(out,
                       "%s: has %" PRIu64 " of %" PRIu64 " bytes of the snapshot\n",
                       member->member->name,
                       member->snapshot_acked,
                       member->snapshot_bytes);
        }
    }
}

static void print_refused(const Indaba__V1__GetMembersResponse *response, struct buf *out)
{
    for (size_t i = 0; i < response->n_refused; i++) {
        const Indaba__V1__RefusedPeer *refused = response->refused[i];
        buf_printf(out,
                   "REFUSED by %s: %s, id %s, at %s, %" PRIu64 " ms ago: ",
                   response->header == NULL ? "it" : response->header->answered_by,
                   refused->name,
                   refused->id,
                   refused->peer_address,
                   refused->heard_ms_ago);
        if (refused->removed) {
            buf_append_string(out, "it was removed for good\n");
        } else {
            buf_printf(out,
                       "not known here, named by %" PRIu32 " of %" PRIu32
                       " needed; if it is a member for sure: %s\n",
                       refused->named_by,
                       refused->needed,
                       refused->vouch_command);
        }
    }
}

static void print_head(const Indaba__V1__GetMembersResponse *response, struct buf *out)
{
    const Indaba__V1__ResponseHeader *header = response->header;
    const char *state = response->settled            ? "settled"
                        : response->change_under_way ? "a change is under way"
                                                     : "not yet as wanted";
    if (header != NULL && header->stale) {
        buf_printf(out,
                   "STALE: from %s alone, as of index %" PRIu64
                   "; it last heard from a leader %" PRIu64 " ms ago\n",
                   header->answered_by,
                   header->revision,
                   header->age_ms);
    }
    buf_printf(out,
               "index %" PRIu64 "  configuration %" PRIu64 " (%s)  timers %" PRIu32 "/%" PRIu32
               " ms",
               response->last_index,
               response->configuration_index,
               state,
               response->heartbeat_ms,
               response->election_ms);
    if (response->settings != NULL && response->settings->leader_region[0] != '\0') {
        buf_printf(out, "  leader wanted in %s", response->settings->leader_region);
    }
    if (response->cluster_epoch > 0) {
        buf_printf(out,
                   "  cluster epoch %" PRIu32 "%s",
                   response->cluster_epoch,
                   response->recovery_unconfirmed
                       ? ", recovery not confirmed ('indaba cluster confirm-recovery')"
                       : "");
    }
    buf_append_string(out, "\n");
    if (response->timers_note[0] != '\0') {
        buf_printf(out, "WARNING: %s\n", response->timers_note);
    }
    if (response->change_held[0] != '\0') {
        buf_printf(out, "A change of the members waits: %s\n", response->change_held);
    }
    buf_append_string(out, "\n");
}

static void print_row(const Indaba__V1__GetMembersResponse *response,
                      const Indaba__V1__MemberStatus *member,
                      struct text_table *table)
{
    char behind[CELL_SIZE] = "";
    char applied[CELL_SIZE] = "";
    char heard[CELL_SIZE] = "";
    char rtt[CELL_SIZE] = "";
    const Indaba__V1__ResponseHeader *header = response->header;
    bool own = header != NULL && strcmp(member->member->name, header->answered_by) == 0;
    bool known = own || (header != NULL && !header->stale) || (member->judged && !member->leader);
    if (known) {
        (void)snprintf(
            behind, sizeof(behind), "%" PRIu64, response->last_index - member->match_index);
        (void)snprintf(applied, sizeof(applied), "%" PRIu64, member->applied_index);
    }
    if (member->judged && !own) {
        (void)snprintf(heard, sizeof(heard), "%" PRIu64 " ms ago", member->heard_ms_ago);
    }
    if (member->rtt_us != 0) {
        (void)snprintf(rtt,
                       sizeof(rtt),
                       "%" PRIu32 ".%" PRIu32 " ms",
                       member->rtt_us / 1000,
                       member->rtt_us / 100 % 10);
    }
    const char *cells[COLUMNS] = {member->member->name,
                                  member->member->region,
                                  member->member->standing,
                                  member->core,
                                  cli_member_role(member),
                                  behind,
                                  applied,
                                  heard,
                                  rtt,
                                  member->member->peer_address};
    table_row(table, cells);
}
