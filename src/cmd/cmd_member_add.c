/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member add`: a new member goes on record, and whoever sets up its machine gets all that
 * is needed there: its identity, a configuration, and the commands. */
#include "base/check.h"
#include "cmd/cli_member.h"
#include "cmd/cmd_member.h"
#include "cmd/json_out.h"
#include "model/records.h"
#include "wire/wire_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPS_PORT_STEP = 2, /* 7400 and 7402 */
};

struct add_words {
    const char *name;
    const char *region;
    const char *peer;
    const char *api;
    const char *ops;
    const char *id;
    const char *learner;
    const char *wait;
};

static bool parse(struct cli *cli, struct add_words *words, int argc, char **argv, int *code);
static bool ops_of(const char *api, char *ops);
static int add(struct cli *cli, const struct add_words *words);
static bool
was_added(struct cli *cli, const Indaba__V1__Member *member, Indaba__V1__AddMemberResponse *seen);
static int print_added(struct cli *cli, const Indaba__V1__Member *member);
static void print_config(const Indaba__V1__GetStatusResponse *status,
                         const Indaba__V1__Member *member,
                         struct buf *out);
static void hint_about_size(const Indaba__V1__GetStatusResponse *status);

int member_add(int argc, char **argv)
{
    struct add_words words = {0};
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "member add");
    if (!parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    char ops[ADDRESS_SIZE];
    if (words.ops == NULL) {
        if (!ops_of(words.api, ops)) {
            (void)fprintf(stderr, "indaba member add: --api '%s' has no port\n", words.api);
            return CLI_USAGE;
        }
        words.ops = ops;
    }
    char id[ID128_TEXT_SIZE];
    if (words.id == NULL) {
        uint64_t random[2];
        id128_random(&random[0], &random[1]);
        words.id = id128_format(random[0], random[1], id);
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    code = add(&cli, &words);
    cli_close(&cli);
    return code;
}

static bool parse(struct cli *cli, struct add_words *words, int argc, char **argv, int *code)
{
    const struct cli_option options[] = {
        {"region", "NAME", "where it is; see 'indaba region ls'", &words->region},
        {"peer", "HOST:PORT", "where the other members reach it", &words->peer},
        {"api", "HOST:PORT", "where clients and sidecars reach it", &words->api},
        {"ops", "HOST:PORT", "its HTTP pages; default: the port of --api plus 2", &words->ops},
        {"id", "HEX", "its identity; default: a new random one", &words->id},
        {"learner", NULL, "it shall have no vote", &words->learner},
        {"wait", NULL, "show how it joins, until it has joined", &words->wait},
        {NULL, NULL, NULL, NULL},
    };
    const struct cli_words taken = {
        .options = options,
        .usage = "NAME --region NAME --peer HOST:PORT --api HOST:PORT [options]",
        .positional = &words->name,
        .positional_max = 1,
    };
    if (!cli_parse(cli, &taken, argc, argv, code)) {
        return false;
    }
    if (words->name == NULL || words->region == NULL || words->peer == NULL || words->api == NULL) {
        (void)fprintf(stderr,
                      "indaba member add: a name, --region, --peer and --api are needed. Try "
                      "'indaba member add --help'.\n");
        *code = CLI_USAGE;
        return false;
    }
    return true;
}

/* The same host, two ports on. */
static bool ops_of(const char *api, char *ops)
{
    const char *colon = strrchr(api, ':');
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    if (colon == NULL || *end != '\0' || port == 0 || port > UINT16_MAX - OPS_PORT_STEP ||
        strlen(api) >= ADDRESS_SIZE) {
        return false;
    }
    int len =
        snprintf(ops, ADDRESS_SIZE, "%.*s:%lu", (int)(colon - api), api, port + OPS_PORT_STEP);
    return len > 0 && len < ADDRESS_SIZE;
}

static int add(struct cli *cli, const struct add_words *words)
{
    Indaba__V1__Member member = INDABA__V1__MEMBER__INIT;
    member.id = wire_string(words->id);
    member.name = wire_string(words->name);
    member.region = wire_string(words->region);
    member.peer_address = wire_string(words->peer);
    member.api_address = wire_string(words->api);
    member.ops_address = wire_string(words->ops);
    member.standing = wire_string(words->learner == NULL ? "voter" : "learner");
    Indaba__V1__AddMemberRequest request = INDABA__V1__ADD_MEMBER_REQUEST__INIT;
    request.request_id = cli_request_id(cli);
    request.member = &member;
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Cluster/AddMember",
                        &request.base,
                        &indaba__v1__add_member_response__descriptor,
                        &reply);
    Indaba__V1__AddMemberResponse seen = INDABA__V1__ADD_MEMBER_RESPONSE__INIT;
    if (code == CLI_UNAVAILABLE && was_added(cli, &member, &seen)) {
        code = CLI_OK;
        reply = &seen.base;
    }
    if (code != CLI_OK) {
        return code;
    }
    if (cli->json) {
        struct buf out = {0};
        json_out_message(reply, &out);
        cli_print(&out);
    } else {
        code = print_added(cli, &member);
    }
    const Indaba__V1__AddMemberResponse *response = (const void *)reply;
    cli_member_warn(cli, response->warning);
    return words->wait == NULL || code != CLI_OK ? code : cli_member_wait(cli, words->name);
}

static bool
was_added(struct cli *cli, const Indaba__V1__Member *member, Indaba__V1__AddMemberResponse *seen)
{
    const Indaba__V1__GetMembersResponse *members = cli_member_look_again(cli);
    if (members == NULL) {
        return false;
    }
    const Indaba__V1__MemberStatus *status = cli_member_find(members, member->name);
    bool done = status != NULL && strcmp(status->member->id, member->id) == 0;
    seen->member = done ? status->member : NULL;
    return cli_member_say_done(cli, done) == CLI_OK;
}

static int print_added(struct cli *cli, const Indaba__V1__Member *member)
{
    Indaba__V1__GetStatusRequest request = INDABA__V1__GET_STATUS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Cluster/GetStatus",
                        &request.base,
                        &indaba__v1__get_status_response__descriptor,
                        &reply);
    if (code != CLI_OK) {
        return code;
    }
    const Indaba__V1__GetStatusResponse *status = (const void *)reply;
    struct buf out = {0};
    bool learner = strcmp(member->standing, "learner") == 0;
    buf_printf(&out,
               "member %s is added as %s\nid %s\n\nOn its machine, with a certificate of "
               "/member/%s and a configuration like this in %s.yaml:\n\n",
               member->name,
               learner ? "a learner" : "a voter, once it has caught up",
               member->id,
               member->name,
               member->name);
    print_config(status, member, &out);
    buf_printf(&out,
               "\n  indaba member init --config %s.yaml --join\n"
               "  indaba serve --config %s.yaml\n\n"
               "'indaba member ls' shows how it joins.\n",
               member->name,
               member->name);
    cli_print(&out);
    if (!learner) {
        hint_about_size(status);
    }
    return CLI_OK;
}

static void print_config(const Indaba__V1__GetStatusResponse *status,
                         const Indaba__V1__Member *member,
                         struct buf *out)
{
    buf_printf(out,
               "  cluster: {id: %s, name: %s, lease_ms: %" PRIu32 "}\n"
               "  member: {name: %s, dir: /var/lib/indaba/%s}\n  members:\n",
               status->header == NULL ? "" : status->header->cluster_id,
               status->cluster_name,
               status->lease_ms,
               member->name,
               member->name);
    for (size_t i = 0; i < status->n_members; i++) {
        const Indaba__V1__Member *one = status->members[i]->member;
        CHECK(one != NULL);
        if (strcmp(one->standing, "leaving") == 0) {
            continue;
        }
        buf_printf(out,
                   "    - {id: %s, name: %s, region: %s, peer: \"%s\", api: \"%s\", ops: \"%s\"}\n",
                   one->id,
                   one->name,
                   one->region,
                   one->peer_address,
                   one->api_address,
                   one->ops_address);
    }
    buf_append_string(out, "  regions:\n");
    for (size_t i = 0; i < status->n_regions; i++) {
        const Indaba__V1__Region *region = status->regions[i];
        buf_printf(out,
                   "    - {name: %s, rank: %" PRIu32 "%s%s}\n",
                   region->name,
                   region->rank,
                   region->jurisdiction[0] == '\0' ? "" : ", jurisdiction: ",
                   region->jurisdiction);
    }
    buf_printf(out,
               "  tls: {ca: /etc/indaba/ca.pem, cert: /etc/indaba/%s.pem, key: "
               "/etc/indaba/%s.key}\n",
               member->name,
               member->name);
}

static void hint_about_size(const Indaba__V1__GetStatusResponse *status)
{
    uint32_t voters = 0;
    for (size_t i = 0; i < status->n_members; i++) {
        CHECK(status->members[i]->member != NULL);
        voters += strcmp(status->members[i]->member->standing, "voter") == 0;
    }
    if (voters % 2 == 0) {
        (void)fprintf(stderr,
                      "indaba member add: %" PRIu32 " voters survive the loss of no more members "
                      "than %" PRIu32 " do: add another, or remove one\n",
                      voters,
                      voters - 1);
    }
}
