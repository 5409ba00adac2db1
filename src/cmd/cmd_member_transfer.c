/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member transfer`: leadership goes to another member, and who leads in the end. */
#include "base/clock.h"
#include "cmd/cli_member.h"
#include "cmd/cmd_member.h"
#include "cmd/json_out.h"
#include "wire/wire_text.h"

#include <stdio.h>
#include <string.h>

enum {
    POLL_MS = 20,
    HAND_OVER_MS = 1000,
};

static int transfer(struct cli *cli, const char *to);
static bool was_done(struct cli *cli,
                     const Indaba__V1__TransferLeadershipRequest *request,
                     const Indaba__V1__ResponseHeader *before,
                     Indaba__V1__TransferLeadershipResponse *seen);
static int
await(struct cli *cli, const Indaba__V1__TransferLeadershipResponse *begun, const char *before);

int member_transfer(int argc, char **argv)
{
    const char *to = "";
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "member transfer");
    const struct cli_words taken = {
        .usage = "[NAME]\n\nTo the voter that is furthest if none is named.",
        .positional = &to,
        .positional_max = 1,
    };
    if (!cli_parse(&cli, &taken, argc, argv, &code)) {
        return code;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    code = transfer(&cli, to);
    cli_close(&cli);
    return code;
}

static int transfer(struct cli *cli, const char *to)
{
    Indaba__V1__TransferLeadershipRequest request = INDABA__V1__TRANSFER_LEADERSHIP_REQUEST__INIT;
    const Indaba__V1__GetMembersResponse *before = NULL;
    int code = cli_member_get(cli, false, &before);
    if (code != CLI_OK) {
        return code;
    }
    char old[64] = "";
    if (before->header != NULL) {
        (void)snprintf(old, sizeof(old), "%s", before->header->leader);
    }
    request.to = wire_string(to);
    request.any = to[0] == '\0';
    request.term = before->header == NULL ? 0 : before->header->term;
    ProtobufCMessage *reply = NULL;
    code = cli_call(cli,
                    "/indaba.v1.Cluster/TransferLeadership",
                    &request.base,
                    &indaba__v1__transfer_leadership_response__descriptor,
                    &reply);
    Indaba__V1__TransferLeadershipResponse seen = INDABA__V1__TRANSFER_LEADERSHIP_RESPONSE__INIT;
    if (code == CLI_UNAVAILABLE && was_done(cli, &request, before->header, &seen)) {
        code = CLI_OK;
        reply = &seen.base;
    }
    if (code != CLI_OK) {
        return code;
    }
    code = await(cli, (const void *)reply, old);
    if (cli->json && code == CLI_OK) {
        struct buf out = {0};
        json_out_message(reply, &out);
        cli_print(&out);
    }
    return code;
}

/* Another one leads since, and the one that was named if one was. A hand-over takes a moment. */
static bool was_done(struct cli *cli,
                     const Indaba__V1__TransferLeadershipRequest *request,
                     const Indaba__V1__ResponseHeader *before,
                     Indaba__V1__TransferLeadershipResponse *seen)
{
    uint64_t end_ms = clock_monotonic_ms() + HAND_OVER_MS;
    bool done = false;
    while (before != NULL && !done && clock_monotonic_ms() < end_ms) {
        const Indaba__V1__GetMembersResponse *now = cli_member_look_again(cli);
        if (now == NULL) {
            return false;
        }
        done = now->header != NULL && now->header->term > before->term &&
               strcmp(now->header->leader, before->leader) != 0 &&
               (request->any || strcmp(now->header->leader, request->to) == 0);
        if (done) {
            seen->from = before->leader;
            seen->to = now->header->leader;
        } else {
            cli_pause(cli, POLL_MS);
        }
    }
    return cli_member_say_done(cli, done) == CLI_OK;
}

/* A hand-over that has begun may fail: then the old leader goes on, and says so after a while.
 * Asked twice, since an answer was lost, it is told to be done: by the leader before, whom we had
 * seen. */
static int
await(struct cli *cli, const Indaba__V1__TransferLeadershipResponse *begun, const char *before)
{
    const char *from =
        begun->from[0] != '\0' || strcmp(before, begun->to) == 0 ? begun->from : before;
    uint64_t end_ms = clock_monotonic_ms() + cli->timeout_ms;
    char leader[64] = "nobody";
    cli->quiet = true;
    while (clock_monotonic_ms() < end_ms) {
        const Indaba__V1__GetMembersResponse *members = NULL;
        int code = cli_member_get(cli, false, &members);
        if (code == CLI_OK && members->header != NULL) {
            (void)snprintf(leader, sizeof(leader), "%s", members->header->leader);
        }
        if (code == CLI_OK && strcmp(leader, begun->to) == 0) {
            if (!cli->json) {
                bool known = from[0] != '\0';
                (void)printf("%s leads%s%s\n", begun->to, known ? ", after " : " already", from);
            }
            return CLI_OK;
        }
        cli_pause(cli, POLL_MS);
    }
    (void)fprintf(
        stderr,
        "indaba member transfer: %s was to take over, and %s leads: try again, or see 'indaba "
        "member ls'\n",
        begun->to,
        leader);
    return CLI_FAILED;
}
