/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/cli_ledger.h. */
#include "cmd/cli_ledger.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "cmd/cli_member.h"
#include "cmd/table.h"
#include "indaba/v1/ledger.pb-c.h"
#include "state/ledger.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CELL_SIZE = 96,
    CHECKS_MAX = MEMBERS_MAX,
};

struct member_check {
    char name[NAME_SIZE]; /* "" with --only: an address is asked, whoever it is */
    char address[NET_ADDRESS_SIZE];
    bool answered;
    bool ok;
    uint64_t size;
    char root[SHA256_TEXT_SIZE];
    char problem[LEDGER_PROBLEM_SIZE]; /* why it is not ok, or did not answer */
};

/* What the answers say together. Who says nothing has not contradicted anybody. */
struct verdict {
    uint64_t size; /* at which the roots were compared */
    size_t answered;
    bool broken; /* one found its own ledger broken */
    bool differ;
    bool shorter; /* nobody has as many leaves as were written down */
};

static int list_members(const struct cli *cli, struct member_check *checks, size_t *count_out);
static int list_given(const struct cli *cli, struct member_check *checks, size_t *count_out);
static void ask_member(const struct cli *cli, struct member_check *check);
static void ask_root(const struct cli *cli, struct member_check *check, uint64_t size);
static void
take_answer(struct member_check *check, const Indaba__V1__ResponseHeader *header, bool ok);
static int open_one(const struct cli *cli, const char *address, struct cli *one);
static bool is_shorter(struct member_check *checks, size_t count, uint64_t size);
static struct verdict compare(const struct cli *cli,
                              struct member_check *checks,
                              size_t count,
                              const struct ledger_expectation *expected);
static int print_checks(const struct cli *cli,
                        const struct member_check *checks,
                        size_t count,
                        const struct verdict *verdict);

int cli_ledger_verify_members(struct cli *cli,
                              bool only_given,
                              const struct ledger_expectation *expected,
                              uint64_t *size_out)
{
    struct member_check checks[CHECKS_MAX];
    size_t count = 0;
    int code = only_given ? list_given(cli, checks, &count) : list_members(cli, checks, &count);
    if (code != CLI_OK) {
        return code;
    }
    for (size_t i = 0; i < count; i++) {
        ask_member(cli, &checks[i]);
    }
    struct verdict verdict = compare(cli, checks, count, expected);
    if (size_out != NULL) {
        *size_out = verdict.size;
    }
    return print_checks(cli, checks, count, &verdict);
}

/* As they are on record; by the word of one member alone where no majority answers. */
static int list_members(const struct cli *cli, struct member_check *checks, size_t *count_out)
{
    const Indaba__V1__GetMembersResponse *members = NULL;
    struct cli any;
    int code = open_one(cli, cli->members, &any);
    if (code != CLI_OK) {
        return code;
    }
    code = cli_member_get(&any, false, &members);
    any.quiet = false;
    if (code != CLI_OK) {
        code = cli_member_get(&any, true, &members);
        if (code == CLI_OK) {
            (void)fprintf(stderr,
                          "indaba ledger verify: no majority answers: the members are those that "
                          "one of them knows\n");
        }
    }
    for (size_t i = 0; code == CLI_OK && i < members->n_members && i < CHECKS_MAX; i++) {
        const Indaba__V1__Member *member = members->members[i]->member;
        struct member_check *check = &checks[(*count_out)++];
        memset(check, 0, sizeof(*check));
        (void)snprintf(check->name, sizeof(check->name), "%s", member->name);
        (void)snprintf(check->address, sizeof(check->address), "%s", member->api_address);
    }
    cli_close(&any);
    return code;
}

static int list_given(const struct cli *cli, struct member_check *checks, size_t *count_out)
{
    if (cli->members == NULL) {
        (void)fprintf(stderr, "indaba ledger verify: use --members or --dir\n");
        return CLI_USAGE;
    }
    char *list = mem_dup_string(cli->members);
    char *rest = list;
    char *word = NULL;
    while ((word = strsep(&rest, ",")) != NULL && *count_out < CHECKS_MAX) {
        if (word[0] != '\0') {
            struct member_check *check = &checks[(*count_out)++];
            memset(check, 0, sizeof(*check));
            (void)snprintf(check->address, sizeof(check->address), "%s", word);
        }
    }
    mem_free(list);
    return *count_out == 0 ? CLI_USAGE : CLI_OK;
}

/* A client of its own per member: the answer must be that member's and no other's. */
static void ask_member(const struct cli *cli, struct member_check *check)
{
    struct cli one;
    (void)snprintf(check->problem, sizeof(check->problem), "no answer");
    if (open_one(cli, check->address, &one) != CLI_OK) {
        return;
    }
    Indaba__V1__VerifyRequest request = INDABA__V1__VERIFY_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int code = cli_call(&one,
                        "/indaba.v1.Ledger/Verify",
                        &request.base,
                        &indaba__v1__verify_response__descriptor,
                        &reply);
    if (code == CLI_OK) {
        const Indaba__V1__VerifyResponse *response = (const void *)reply;
        check->size = response->size;
        (void)snprintf(check->root, sizeof(check->root), "%s", response->root);
        (void)snprintf(check->problem, sizeof(check->problem), "%s", response->problem);
        take_answer(check, response->header, response->ok);
    } else if (code == CLI_REFUSED) {
        (void)snprintf(check->problem, sizeof(check->problem), "refused");
    }
    cli_close(&one);
}

/* Its root when the tree had this size; it did not answer if it does not say that. */
static void ask_root(const struct cli *cli, struct member_check *check, uint64_t size)
{
    struct cli one;
    check->answered = false;
    (void)snprintf(check->problem, sizeof(check->problem), "no answer");
    if (open_one(cli, check->address, &one) != CLI_OK) {
        return;
    }
    Indaba__V1__GetHeadRequest request = INDABA__V1__GET_HEAD_REQUEST__INIT;
    request.size = size;
    ProtobufCMessage *reply = NULL;
    if (cli_call(&one,
                 "/indaba.v1.Ledger/GetHead",
                 &request.base,
                 &indaba__v1__get_head_response__descriptor,
                 &reply) == CLI_OK) {
        const Indaba__V1__GetHeadResponse *response = (const void *)reply;
        (void)snprintf(check->root, sizeof(check->root), "%s", response->root);
        take_answer(check, response->header, check->ok);
    }
    cli_close(&one);
}

/* An address may have become somebody else's since it went on record. */
static void
take_answer(struct member_check *check, const Indaba__V1__ResponseHeader *header, bool ok)
{
    const char *who = header == NULL ? "" : header->answered_by;
    if (check->name[0] != '\0' && strcmp(who, check->name) != 0) {
        (void)snprintf(check->problem, sizeof(check->problem), "no answer: %.63s is there", who);
        return;
    }
    check->answered = true;
    check->ok = ok;
}

static struct verdict compare(const struct cli *cli,
                              struct member_check *checks,
                              size_t count,
                              const struct ledger_expectation *expected)
{
    struct verdict verdict = {.size = UINT64_MAX};
    for (size_t i = 0; i < count; i++) {
        verdict.broken = verdict.broken || (checks[i].answered && !checks[i].ok);
        if (checks[i].answered && checks[i].size < verdict.size) {
            verdict.size = checks[i].size;
        }
    }
    char root[SHA256_TEXT_SIZE] = "";
    if (expected != NULL) {
        verdict.size = expected->size;
        (void)sha256_format(&expected->root, root);
        verdict.shorter = is_shorter(checks, count, expected->size);
    }
    for (size_t i = 0; i < count; i++) {
        if (checks[i].answered && checks[i].ok) {
            ask_root(cli, &checks[i], verdict.size);
        }
        if (!checks[i].answered) {
            continue;
        }
        verdict.answered++;
        if (checks[i].ok && root[0] == '\0') {
            (void)snprintf(root, sizeof(root), "%s", checks[i].root);
        }
        verdict.differ = verdict.differ || (checks[i].ok && strcmp(checks[i].root, root) != 0);
    }
    if (verdict.answered == 0) {
        verdict.size = 0;
    }
    return verdict;
}

/* A ledger never shrinks: if all that answer have less than it had, it was cut. One that has less
 * than others have is behind, and has not contradicted anybody. */
static bool is_shorter(struct member_check *checks, size_t count, uint64_t size)
{
    size_t answered = 0;
    bool reached = false;
    for (size_t i = 0; i < count; i++) {
        answered += checks[i].answered;
        reached = reached || (checks[i].answered && checks[i].size >= size);
    }
    for (size_t i = 0; i < count; i++) {
        if (checks[i].answered && checks[i].ok && checks[i].size < size) {
            checks[i].ok = false;
            checks[i].answered = !reached;
            (void)snprintf(checks[i].problem,
                           sizeof(checks[i].problem),
                           "has %" PRIu64 " leaves, fewer than the %" PRIu64 " expected",
                           checks[i].size,
                           size);
        }
    }
    return answered > 0 && !reached;
}

static int open_one(const struct cli *cli, const char *address, struct cli *one)
{
    cli_init(one, cli->program);
    one->members = address;
    one->certs = cli->certs;
    one->identity = cli->identity;
    one->timeout_ms = cli->timeout_ms;
    one->quiet = true; /* the table tells */
    return cli_open(one);
}

/* And the exit code. */
static int print_checks(const struct cli *cli,
                        const struct member_check *checks,
                        size_t count,
                        const struct verdict *verdict)
{
    static const char *const HEADER[] = {"MEMBER", "ADDRESS", "LEAVES", "VERDICT", "ROOT"};
    struct text_table table;
    json_t *members = json_array();
    bool all = verdict->answered == count;
    bool no = verdict->differ || verdict->broken || verdict->shorter;
    table_init(&table, HEADER, 5);
    for (size_t i = 0; i < count; i++) {
        const struct member_check *check = &checks[i];
        char leaves[CELL_SIZE];
        (void)snprintf(leaves, sizeof(leaves), "%" PRIu64, check->size);
        const char *said = check->answered && check->ok ? "ok" : check->problem;
        const char *cells[] = {
            check->name, check->address, check->answered ? leaves : "", said, check->root};
        table_row(&table, cells);
        (void)json_array_append_new(members,
                                    json_pack("{s:s, s:s, s:b, s:o, s:s, s:s}",
                                              "name",
                                              check->name,
                                              "address",
                                              check->address,
                                              "answered",
                                              check->answered,
                                              "leaves",
                                              cli_ledger_json_number(check->size),
                                              "verdict",
                                              said,
                                              "root",
                                              check->root));
    }
    if (cli->json) {
        cli_ledger_print_json(json_pack("{s:o, s:b, s:b, s:o}",
                                        "size",
                                        cli_ledger_json_number(verdict->size),
                                        "roots_agree",
                                        !no && verdict->answered > 0,
                                        "all_answered",
                                        all,
                                        "members",
                                        members));
    } else {
        struct buf out = {0};
        table_print(&table, 0, &out);
        if (verdict->answered > 0) {
            buf_printf(&out,
                       "roots at size %" PRIu64 ": %s",
                       verdict->size,
                       verdict->differ    ? "DIFFER"
                       : verdict->broken  ? "a ledger is BROKEN"
                       : verdict->shorter ? "the ledger is SHORTER"
                                          : "agree");
            buf_append_string(&out, all ? "\n" : ", of those that answered\n");
        }
        cli_print(&out);
        json_decref(members);
    }
    table_deinit(&table);
    if (!no && !all) {
        (void)fprintf(stderr,
                      "indaba ledger verify: %zu of %zu members answered; nothing is known of the "
                      "others' ledgers\n",
                      verdict->answered,
                      count);
    }
    return no ? CLI_FAILED : all ? CLI_OK : CLI_UNAVAILABLE;
}
