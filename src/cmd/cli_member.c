/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/cli_member.h. */
#include "cmd/cli_member.h"

#include "base/check.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    POLL_MS = 100,
    LOOK_MS = 3000,
    WAIT_MS = 600000, /* the new machine may have to be started first */
    LINE_SIZE = 256,
};

static bool is_there(const Indaba__V1__MemberStatus *member);
static bool is_over(const Indaba__V1__GetMembersResponse *response, const char *name);
static void print_if_new(const char *line, char *last);

int cli_member_get(struct cli *cli, bool stale, const Indaba__V1__GetMembersResponse **response_out)
{
    Indaba__V1__GetMembersRequest request = INDABA__V1__GET_MEMBERS_REQUEST__INIT;
    request.consistency = stale ? INDABA__V1__CONSISTENCY__CONSISTENCY_STALE
                                : INDABA__V1__CONSISTENCY__CONSISTENCY_LINEARIZABLE;
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Cluster/GetMembers",
                        &request.base,
                        &indaba__v1__get_members_response__descriptor,
                        &reply);
    if (code == CLI_OK) {
        *response_out = (const void *)reply;
    }
    return code;
}

const Indaba__V1__GetMembersResponse *cli_member_look_again(struct cli *cli)
{
    const Indaba__V1__GetMembersResponse *response = NULL;
    const struct cli before = *cli;
    cli->quiet = true;
    cli->timeout_ms = cli->timeout_ms < LOOK_MS ? cli->timeout_ms : LOOK_MS;
    int code = cli_member_get(cli, false, &response);
    cli->quiet = before.quiet;
    cli->timeout_ms = before.timeout_ms;
    if (code != CLI_OK) {
        (void)fprintf(stderr,
                      "indaba %s: it may have been done: look at 'indaba member ls' before you "
                      "repeat it\n",
                      cli->program);
        return NULL;
    }
    return response;
}

int cli_member_say_done(const struct cli *cli, bool done)
{
    (void)fprintf(stderr,
                  done ? "indaba %s: the answer was lost, but it is done\n"
                       : "indaba %s: it has not been done so far\n",
                  cli->program);
    return done ? CLI_OK : CLI_UNAVAILABLE;
}

const Indaba__V1__MemberStatus *cli_member_find(const Indaba__V1__GetMembersResponse *response,
                                                const char *name)
{
    for (size_t i = 0; i < response->n_members; i++) {
        CHECK(response->members[i]->member != NULL);
        if (strcmp(response->members[i]->member->name, name) == 0) {
            return response->members[i];
        }
    }
    return NULL;
}

uint32_t cli_member_voters(const Indaba__V1__GetMembersResponse *response, const char *except)
{
    uint32_t voters = 0;
    for (size_t i = 0; i < response->n_members; i++) {
        const Indaba__V1__Member *member = response->members[i]->member;
        CHECK(member != NULL);
        voters += strcmp(member->standing, "voter") == 0 &&
                  (except == NULL || strcmp(member->name, except) != 0);
    }
    return voters;
}

int cli_member_wait(struct cli *cli, const char *name)
{
    char last[LINE_SIZE] = "";
    uint64_t end_ms = clock_monotonic_ms() + WAIT_MS;
    cli->quiet = true; /* between two leaders nobody answers for a moment */
    while (clock_monotonic_ms() < end_ms) {
        const Indaba__V1__GetMembersResponse *response = NULL;
        char line[LINE_SIZE] = "no leader answers now";
        int code = cli_member_get(cli, false, &response);
        if (code == CLI_OK && is_over(response, name)) {
            const Indaba__V1__MemberStatus *member = cli_member_find(response, name);
            (void)printf("%s%s%s\n",
                         name,
                         name[0] == '\0' ? "" : ": ",
                         name[0] == '\0' ? "settled"
                                         : (member == NULL ? "has left" : member->core));
            (void)fflush(stdout);
            return CLI_OK;
        }
        if (code == CLI_OK) {
            const Indaba__V1__MemberStatus *member = cli_member_find(response, name);
            const char *held = response->change_held;
            (void)snprintf(line,
                           sizeof(line),
                           "%s",
                           held[0] != '\0' ? held : "the other members are being settled");
            if (member != NULL) {
                cli_member_describe(response, member, line, sizeof(line));
            }
        } else if (code != CLI_UNAVAILABLE) {
            return code;
        }
        print_if_new(line, last);
        cli_pause(cli, POLL_MS);
    }
    (void)fprintf(stderr,
                  "indaba %s: not through after %d s: it goes on; 'indaba member ls' shows it\n",
                  cli->program,
                  WAIT_MS / 1000);
    return CLI_FAILED;
}

const char *cli_member_role(const Indaba__V1__MemberStatus *member)
{
    if (!member->judged) {
        return "not asked";
    }
    if (!member->reachable) {
        return "UNREACHABLE";
    }
    return member->leader ? "leader" : "follower";
}

void cli_member_warn(const struct cli *cli, const char *warning)
{
    if (warning[0] != '\0') {
        (void)fprintf(stderr, "indaba %s: warning: %s\n", cli->program, warning);
    }
}

void cli_member_describe(const Indaba__V1__GetMembersResponse *response,
                         const Indaba__V1__MemberStatus *member,
                         char *text,
                         size_t size)
{
    const char *core = member->core[0] == '\0' ? "not in the configuration" : member->core;
    if (member->snapshot_index != 0) {
        (void)snprintf(text,
                       size,
                       "%s: %s, snapshot %" PRIu64 " of %" PRIu64 " MiB",
                       member->member->name,
                       core,
                       member->snapshot_acked >> 20,
                       member->snapshot_bytes >> 20);
        return;
    }
    /* Not by how much it is behind: that line would be a new one each time. */
    bool behind = member->match_index + 1000 < response->last_index;
    (void)snprintf(text,
                   size,
                   "%s: %s%s%s%s",
                   member->member->name,
                   core,
                   behind && member->reachable ? ", far behind" : "",
                   member->note[0] == '\0' ? "" : ", ",
                   member->note);
}

static bool is_there(const Indaba__V1__MemberStatus *member)
{
    return strcmp(member->core, member->member->standing) == 0;
}

/* Of one member: it is there, or gone; and the change that brought it there is committed. */
static bool is_over(const Indaba__V1__GetMembersResponse *response, const char *name)
{
    if (name[0] == '\0') {
        return response->settled;
    }
    const Indaba__V1__MemberStatus *member = cli_member_find(response, name);
    return member == NULL ||
           (is_there(member) && response->configuration_committed && !response->change_under_way);
}

static void print_if_new(const char *line, char *last)
{
    if (strcmp(line, last) != 0) {
        (void)printf("%s\n", line);
        (void)fflush(stdout);
        (void)snprintf(last, LINE_SIZE, "%s", line);
    }
}
