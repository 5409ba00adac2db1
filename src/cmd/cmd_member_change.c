/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member remove | promote | demote | move`: what a member shall be, and where it is
 * reached. The request goes on record; the consensus core follows, which --wait shows. */
#include "base/check.h"
#include "cmd/cli_member.h"
#include "cmd/cmd_member.h"
#include "cmd/json_out.h"
#include "wire/wire_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    VOTERS_SAFE = 3, /* fewer do not survive the loss of one */
    QUESTION_SIZE = 320,
};

struct change_words {
    const char *name;
    const char *standing; /* "": as it is */
    const char *peer;
    const char *api;
    const char *ops;
    const char *yes;
    const char *wait;
};

static int change_standing(const char *program, const char *standing, int argc, char **argv);
static int run(struct cli *cli, struct change_words *words);
static bool may_lose_vote(const struct cli *cli,
                          const struct change_words *words,
                          const Indaba__V1__GetMembersResponse *members);
static int change(struct cli *cli, const struct change_words *words);
static bool was_done(struct cli *cli,
                     const Indaba__V1__ChangeMemberRequest *request,
                     Indaba__V1__ChangeMemberResponse *seen);
static bool is_or_any(const char *wanted, const char *is);
static void print_changed(const struct change_words *words, struct buf *out);

int member_remove(int argc, char **argv)
{
    return change_standing("member remove", "leaving", argc, argv);
}

int member_promote(int argc, char **argv)
{
    return change_standing("member promote", "voter", argc, argv);
}

int member_demote(int argc, char **argv)
{
    return change_standing("member demote", "learner", argc, argv);
}

int member_move(int argc, char **argv)
{
    struct change_words words = {.standing = "", .peer = "", .api = "", .ops = ""};
    const struct cli_option options[] = {
        {"peer", "HOST:PORT", "where the other members reach it", &words.peer},
        {"api", "HOST:PORT", "where clients and sidecars reach it", &words.api},
        {"ops", "HOST:PORT", "its HTTP pages", &words.ops},
        {"wait", NULL, "until the configuration is as it shall", &words.wait},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "member move");
    const struct cli_words taken = {
        .options = options,
        .usage = "NAME [--peer HOST:PORT] [--api HOST:PORT] [--ops HOST:PORT]",
        .positional = &words.name,
        .positional_max = 1,
    };
    if (!cli_parse(&cli, &taken, argc, argv, &code)) {
        return code;
    }
    if (words.peer[0] == '\0' && words.api[0] == '\0' && words.ops[0] == '\0') {
        (void)fprintf(stderr, "indaba member move: where to? Use --peer, --api, --ops.\n");
        return CLI_USAGE;
    }
    return run(&cli, &words);
}

static int change_standing(const char *program, const char *standing, int argc, char **argv)
{
    struct change_words words = {.standing = standing, .peer = "", .api = "", .ops = ""};
    const struct cli_option options[] = {
        {"yes", NULL, "do not ask, though fewer than three voters remain", &words.yes},
        {"wait", NULL, "show how the configuration follows, until it is there", &words.wait},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, program);
    const struct cli_words taken = {
        .options = options,
        .usage = "NAME [options]",
        .positional = &words.name,
        .positional_max = 1,
    };
    if (!cli_parse(&cli, &taken, argc, argv, &code)) {
        return code;
    }
    return run(&cli, &words);
}

static int run(struct cli *cli, struct change_words *words)
{
    if (words->name == NULL) {
        (void)fprintf(
            stderr, "indaba %s: which member? 'indaba member ls' lists them.\n", cli->program);
        return CLI_USAGE;
    }
    int code = cli_open(cli);
    if (code != CLI_OK) {
        return code;
    }
    const Indaba__V1__GetMembersResponse *members = NULL;
    code = cli_member_get(cli, false, &members);
    if (code == CLI_OK && !may_lose_vote(cli, words, members)) {
        code = CLI_FAILED;
    }
    if (code == CLI_OK && words->standing[0] == '\0') {
        const Indaba__V1__MemberStatus *member = cli_member_find(members, words->name);
        words->standing = member == NULL ? "voter" : member->member->standing;
    }
    if (code == CLI_OK) {
        code = change(cli, words);
    }
    if (code == CLI_OK && words->wait != NULL) {
        code = cli_member_wait(cli, words->name);
    }
    cli_close(cli);
    return code;
}

/* Fewer than three voters stop with the first that fails. */
static bool may_lose_vote(const struct cli *cli,
                          const struct change_words *words,
                          const Indaba__V1__GetMembersResponse *members)
{
    const Indaba__V1__MemberStatus *member = cli_member_find(members, words->name);
    bool loses = member != NULL && strcmp(member->member->standing, "voter") == 0 &&
                 words->standing[0] != '\0' && strcmp(words->standing, "voter") != 0;
    uint32_t voters = cli_member_voters(members, words->name);
    if (!loses || voters >= VOTERS_SAFE) {
        return true;
    }
    char question[QUESTION_SIZE];
    (void)snprintf(question,
                   sizeof(question),
                   "Without %.63s %" PRIu32 " voter%s: the loss of one of them then stops "
                   "every failover.",
                   words->name,
                   voters,
                   voters == 1 ? " remains" : "s remain");
    return cli_confirm(cli, words->yes, question);
}

static int change(struct cli *cli, const struct change_words *words)
{
    Indaba__V1__ChangeMemberRequest request = INDABA__V1__CHANGE_MEMBER_REQUEST__INIT;
    request.request_id = cli_request_id(cli);
    request.name = wire_string(words->name);
    request.standing = wire_string(words->standing);
    request.peer_address = wire_string(words->peer);
    request.api_address = wire_string(words->api);
    request.ops_address = wire_string(words->ops);
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Cluster/ChangeMember",
                        &request.base,
                        &indaba__v1__change_member_response__descriptor,
                        &reply);
    Indaba__V1__ChangeMemberResponse seen = INDABA__V1__CHANGE_MEMBER_RESPONSE__INIT;
    if (code == CLI_UNAVAILABLE && was_done(cli, &request, &seen)) {
        code = CLI_OK;
        reply = &seen.base;
    }
    if (code != CLI_OK) {
        return code;
    }
    struct buf out = {0};
    if (cli->json) {
        json_out_message(reply, &out);
    } else {
        print_changed(words, &out);
    }
    cli_print(&out);
    const Indaba__V1__ChangeMemberResponse *response = (const void *)reply;
    cli_member_warn(cli, response->warning);
    return CLI_OK;
}

/* The record is as it was to become. */
static bool was_done(struct cli *cli,
                     const Indaba__V1__ChangeMemberRequest *request,
                     Indaba__V1__ChangeMemberResponse *seen)
{
    const Indaba__V1__GetMembersResponse *members = cli_member_look_again(cli);
    if (members == NULL) {
        return false;
    }
    const Indaba__V1__MemberStatus *status = cli_member_find(members, request->name);
    bool done = strcmp(request->standing, "leaving") == 0; /* it has left */
    if (status != NULL) {
        const Indaba__V1__Member *is = status->member;
        seen->member = status->member;
        done = strcmp(is->standing, request->standing) == 0 &&
               is_or_any(request->peer_address, is->peer_address) &&
               is_or_any(request->api_address, is->api_address) &&
               is_or_any(request->ops_address, is->ops_address);
    }
    return cli_member_say_done(cli, done) == CLI_OK;
}

static bool is_or_any(const char *wanted, const char *is)
{
    return wanted[0] == '\0' || strcmp(wanted, is) == 0;
}

static void print_changed(const struct change_words *words, struct buf *out)
{
    if (words->peer[0] != '\0' || words->api[0] != '\0' || words->ops[0] != '\0') {
        buf_printf(out,
                   "member %s has its new addresses; its own configuration file needs them too\n",
                   words->name);
    } else if (strcmp(words->standing, "leaving") == 0) {
        buf_printf(out,
                   "member %s leaves; once it has left, stop it and take its folder away\n",
                   words->name);
    } else {
        buf_printf(out, "member %s becomes a %s\n", words->name, words->standing);
    }
}
