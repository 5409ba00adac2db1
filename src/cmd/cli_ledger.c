/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/cli_ledger.h. */
#include "cmd/cli_ledger.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "cmd/table.h"
#include "indaba/v1/ledger.pb-c.h"
#include "state/ledger.h"
#include "storage/store.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CELL_SIZE = 96,
    PATH_SIZE = 512
};

struct member_check {
    char address[NET_ADDRESS_SIZE];
    bool answered;
    bool ok;
    uint64_t size;
    char root[SHA256_TEXT_SIZE];
    char problem[LEDGER_PROBLEM_SIZE];
};

static int check_members(struct cli *cli, struct member_check *checks, size_t *count_out);
static void ask_member(const struct cli *cli, struct member_check *check);
static bool ask_root(const struct cli *cli, struct member_check *check, uint64_t size);
static int open_one(const struct cli *cli, const char *address, struct cli *one);
static void print_checks(const struct cli *cli,
                         const struct member_check *checks,
                         size_t count,
                         uint64_t size,
                         bool agree);

static void print_json(json_t *object);

int cli_ledger_verify_members(struct cli *cli, uint64_t *size_out)
{
    struct member_check checks[CLIENT_ADDRESSES_MAX];
    size_t count = 0;
    int code = check_members(cli, checks, &count);
    if (code != CLI_OK) {
        return code;
    }
    uint64_t size = UINT64_MAX;
    bool all_ok = true;
    for (size_t i = 0; i < count; i++) {
        all_ok = all_ok && checks[i].answered && checks[i].ok;
        if (checks[i].answered && checks[i].size < size) {
            size = checks[i].size;
        }
    }
    bool agree = all_ok;
    for (size_t i = 0; all_ok && i < count; i++) {
        agree =
            agree && ask_root(cli, &checks[i], size) && strcmp(checks[i].root, checks[0].root) == 0;
    }
    print_checks(cli, checks, count, size, agree);
    if (size_out != NULL) {
        *size_out = size;
    }
    return agree ? CLI_OK : CLI_FAILED;
}

int cli_ledger_verify_dir(struct cli *cli, const char *dir)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/store", dir);
    struct store_options options = {.path = path, .read_only = true};
    struct reason reason = {0};
    struct store *store = NULL;
    if (store_open(&options, &reason, &store) != ERR_OK || store_begin(store, 0) != ERR_OK) {
        (void)fprintf(stderr,
                      "indaba ledger verify: %s\n",
                      store == NULL ? reason.text : store_reason(store)->text);
        if (store != NULL) {
            store_close(store);
        }
        return CLI_USAGE;
    }
    struct ledger_head head;
    char problem[LEDGER_PROBLEM_SIZE] = "";
    bool ok = ledger_verify(store_tables(store), &head, problem);
    char root[SHA256_TEXT_SIZE];
    (void)sha256_format(&head.root, root);
    if (cli->json) {
        json_t *object = json_pack("{s:b, s:I, s:s, s:s}",
                                   "ok",
                                   ok,
                                   "size",
                                   (json_int_t)head.size,
                                   "root",
                                   root,
                                   "problem",
                                   problem);
        print_json(object);
    } else if (ok) {
        (void)printf("ok: %" PRIu64 " leaves, root %s\n", head.size, root);
    }
    if (!ok) {
        (void)fprintf(stderr, "indaba ledger verify: %s: %s\n", dir, problem);
    }
    store_abort(store);
    store_close(store);
    return ok ? CLI_OK : CLI_FAILED;
}

static int check_members(struct cli *cli, struct member_check *checks, size_t *count_out)
{
    if (cli->members == NULL) {
        (void)fprintf(stderr, "indaba ledger verify: use --members or --dir\n");
        return CLI_USAGE;
    }
    char *list = mem_dup_string(cli->members);
    char *rest = list;
    char *word = NULL;
    size_t count = 0;
    while ((word = strsep(&rest, ",")) != NULL && count < CLIENT_ADDRESSES_MAX) {
        if (word[0] == '\0') {
            continue;
        }
        struct member_check *check = &checks[count++];
        memset(check, 0, sizeof(*check));
        (void)snprintf(check->address, sizeof(check->address), "%s", word);
        ask_member(cli, check);
    }
    mem_free(list);
    *count_out = count;
    return count == 0 ? CLI_USAGE : CLI_OK;
}

/* A client of its own per member: the answer must be that member's and no other's. */
static void ask_member(const struct cli *cli, struct member_check *check)
{
    struct cli one;
    if (open_one(cli, check->address, &one) != CLI_OK) {
        return;
    }
    Indaba__V1__VerifyRequest request = INDABA__V1__VERIFY_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    if (cli_call(&one,
                 "/indaba.v1.Ledger/Verify",
                 &request.base,
                 &indaba__v1__verify_response__descriptor,
                 &reply) == CLI_OK) {
        const Indaba__V1__VerifyResponse *response = (const void *)reply;
        check->answered = true;
        check->ok = response->ok;
        check->size = response->size;
        (void)snprintf(check->root, sizeof(check->root), "%s", response->root);
        (void)snprintf(check->problem, sizeof(check->problem), "%s", response->problem);
    }
    cli_close(&one);
}

static bool ask_root(const struct cli *cli, struct member_check *check, uint64_t size)
{
    struct cli one;
    if (open_one(cli, check->address, &one) != CLI_OK) {
        return false;
    }
    Indaba__V1__GetHeadRequest request = INDABA__V1__GET_HEAD_REQUEST__INIT;
    request.size = size;
    ProtobufCMessage *reply = NULL;
    bool ok = cli_call(&one,
                       "/indaba.v1.Ledger/GetHead",
                       &request.base,
                       &indaba__v1__get_head_response__descriptor,
                       &reply) == CLI_OK;
    if (ok) {
        const Indaba__V1__GetHeadResponse *response = (const void *)reply;
        (void)snprintf(check->root, sizeof(check->root), "%s", response->root);
    }
    cli_close(&one);
    return ok;
}

static int open_one(const struct cli *cli, const char *address, struct cli *one)
{
    cli_init(one, cli->program);
    one->members = address;
    one->certs = cli->certs;
    one->identity = cli->identity;
    one->timeout_ms = cli->timeout_ms;
    return cli_open(one);
}

static void print_checks(const struct cli *cli,
                         const struct member_check *checks,
                         size_t count,
                         uint64_t size,
                         bool agree)
{
    static const char *const HEADER[] = {"MEMBER", "LEAVES", "VERDICT", "ROOT"};
    struct text_table table;
    json_t *members = json_array();
    table_init(&table, HEADER, 4);
    for (size_t i = 0; i < count; i++) {
        const struct member_check *check = &checks[i];
        char leaves[CELL_SIZE];
        (void)snprintf(leaves, sizeof(leaves), "%" PRIu64, check->size);
        const char *verdict = !check->answered ? "no answer" : check->ok ? "ok" : check->problem;
        const char *cells[] = {check->address, leaves, verdict, check->root};
        table_row(&table, cells);
        (void)json_array_append_new(members,
                                    json_pack("{s:s, s:I, s:s, s:s}",
                                              "address",
                                              check->address,
                                              "leaves",
                                              (json_int_t)check->size,
                                              "verdict",
                                              verdict,
                                              "root",
                                              check->root));
    }
    if (cli->json) {
        print_json(json_pack(
            "{s:I, s:b, s:o}", "size", (json_int_t)size, "roots_agree", agree, "members", members));
    } else {
        struct buf out = {0};
        table_print(&table, 0, &out);
        buf_printf(&out, "roots at size %" PRIu64 ": %s\n", size, agree ? "agree" : "DIFFER");
        cli_print(&out);
        json_decref(members);
    }
    table_deinit(&table);
}

/* Prints and releases. */
static void print_json(json_t *object)
{
    CHECK(object != NULL);
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    CHECK(text != NULL);
    (void)printf("%s\n", text);
    free(text);
    json_decref(object);
}
