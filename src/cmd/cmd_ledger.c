/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba ledger tail | show | verify`. Verifying over the API asks the cluster who its members are
 * and each of them for its own answer, and compares roots at one size; with --dir it reads a
 * stopped member's folder and needs nobody.
 */
#include "base/check.h"
#include "base/clock.h"
#include "cmd/cli.h"
#include "cmd/cli_ledger.h"
#include "cmd/commands.h"
#include "cmd/json_out.h"
#include "cmd/table.h"
#include "indaba/v1/ledger.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int ledger_tail(int argc, char **argv);
static int ledger_show(int argc, char **argv);
static int ledger_verify_main(int argc, char **argv);
static void print_leaves(Indaba__V1__Leaf *const *leaves, size_t count, struct buf *out);
static void print_leaf(const Indaba__V1__Leaf *leaf, struct buf *out);
static int list_leaves(struct cli *cli,
                       const Indaba__V1__ListLeavesRequest *request,
                       Indaba__V1__ListLeavesResponse **response_out);

int ledger_main(int argc, char **argv)
{
    const char *verb = argc >= 2 ? argv[1] : "";
    if (strcmp(verb, "tail") == 0) {
        return ledger_tail(argc - 1, argv + 1);
    }
    if (strcmp(verb, "show") == 0) {
        return ledger_show(argc - 1, argv + 1);
    }
    if (strcmp(verb, "verify") == 0) {
        return ledger_verify_main(argc - 1, argv + 1);
    }
    return cli_noun_usage(
        argc, argv, "Usage: indaba ledger tail [--count N] | show NUMBER | verify [options]\n");
}

static int ledger_tail(int argc, char **argv)
{
    const char *count_text = "20";
    uint64_t count = 0;
    const struct cli_option options[] = {
        {"count", "N", "how many leaves, default 20, at most 1000", &count_text},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "ledger tail");
    const struct cli_words words = {
        .options = options,
        .usage = "[--count N]",
        .positional = NULL,
        .positional_max = 0,
    };
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    if (!cli_number("--count", count_text, 1000, &count)) {
        return CLI_USAGE;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    Indaba__V1__ListLeavesRequest request = INDABA__V1__LIST_LEAVES_REQUEST__INIT;
    request.count = (uint32_t)count;
    request.from_end = true;
    Indaba__V1__ListLeavesResponse *response = NULL;
    code = list_leaves(&cli, &request, &response);
    if (code == CLI_OK) {
        struct buf out = {0};
        if (cli.json) {
            json_out_message(&response->base, &out);
        } else {
            print_leaves(response->leaves, response->n_leaves, &out);
        }
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}

static int ledger_show(int argc, char **argv)
{
    const char *number_text = NULL;
    uint64_t number = 0;
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "ledger show");
    const struct cli_words words = {
        .options = NULL,
        .usage = "NUMBER",
        .positional = &number_text,
        .positional_max = 1,
    };
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    if (number_text == NULL || !cli_number("NUMBER", number_text, INT64_MAX, &number)) {
        (void)fprintf(stderr, "indaba ledger show: which leaf? They are numbered from 0.\n");
        return CLI_USAGE;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    Indaba__V1__ListLeavesRequest request = INDABA__V1__LIST_LEAVES_REQUEST__INIT;
    request.first = number;
    request.count = 1;
    Indaba__V1__ListLeavesResponse *response = NULL;
    code = list_leaves(&cli, &request, &response);
    if (code == CLI_OK && response->n_leaves == 0) {
        (void)fprintf(stderr,
                      "indaba ledger show: there is no leaf %" PRIu64 "; the ledger has %" PRIu64
                      "\n",
                      number,
                      response->size);
        code = CLI_REFUSED;
    }
    if (code == CLI_OK) {
        struct buf out = {0};
        if (cli.json) {
            json_out_message(&response->leaves[0]->base, &out);
        } else {
            print_leaf(response->leaves[0], &out);
        }
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}

static int ledger_verify_main(int argc, char **argv)
{
    const char *dir = NULL;
    const char *only = NULL;
    const char *expect = NULL;
    const struct cli_option options[] = {
        {"dir", "PATH", "a stopped member's data folder, verified offline", &dir},
        {"expect", "SIZE:ROOT", "as an earlier verify printed them, kept elsewhere", &expect},
        {"only", NULL, "ask those in --members, and not all that are on record", &only},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "ledger verify");
    const struct cli_words words = {
        .options = options,
        .usage = "[--dir PATH | --only] [--expect SIZE:ROOT]",
        .positional = NULL,
        .positional_max = 0,
    };
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    struct ledger_expectation expected = {0};
    const struct ledger_expectation *wanted = expect == NULL ? NULL : &expected;
    if (expect != NULL && !cli_ledger_expectation(expect, &expected)) {
        return CLI_USAGE;
    }
    return dir != NULL ? cli_ledger_verify_dir(&cli, dir, wanted)
                       : cli_ledger_verify_members(&cli, only != NULL, wanted, NULL);
}

static int list_leaves(struct cli *cli,
                       const Indaba__V1__ListLeavesRequest *request,
                       Indaba__V1__ListLeavesResponse **response_out)
{
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Ledger/ListLeaves",
                        &request->base,
                        &indaba__v1__list_leaves_response__descriptor,
                        &reply);
    if (code == CLI_OK) {
        *response_out = (void *)reply;
    }
    return code;
}

static void print_leaves(Indaba__V1__Leaf *const *leaves, size_t count, struct buf *out)
{
    static const char *const HEADER[] = {"LEAF", "TERM", "TIME", "KIND", "RESULT", "ACTOR", "WHAT"};
    struct text_table table;
    table_init(&table, HEADER, 7);
    for (size_t i = 0; i < count; i++) {
        const Indaba__V1__Leaf *leaf = leaves[i];
        char number[24];
        char term[24];
        char wall[CLOCK_WALL_TEXT_SIZE] = "";
        (void)snprintf(number, sizeof(number), "%" PRIu64, leaf->number);
        (void)snprintf(term, sizeof(term), "%" PRIu64, leaf->term);
        if (leaf->wall_ms > 0) {
            (void)clock_format_wall(leaf->wall_ms, wall);
        }
        const char *cells[] = {
            number, term, wall, leaf->kind, leaf->result, leaf->actor, leaf->summary};
        table_row(&table, cells);
    }
    table_print(&table, 0, out);
    table_deinit(&table);
}

static void print_leaf(const Indaba__V1__Leaf *leaf, struct buf *out)
{
    char wall[CLOCK_WALL_TEXT_SIZE] = "-";
    if (leaf->wall_ms > 0) {
        (void)clock_format_wall(leaf->wall_ms, wall);
    }
    buf_printf(out, "leaf     %" PRIu64 "\n", leaf->number);
    buf_printf(out, "index    %" PRIu64 "\n", leaf->index);
    buf_printf(out, "term     %" PRIu64 "\n", leaf->term);
    buf_printf(out, "time     %s\n", wall);
    buf_printf(out, "kind     %s\n", leaf->kind);
    buf_printf(out, "actor    %s\n", leaf->actor);
    buf_printf(out, "result   %s\n", leaf->result);
    buf_printf(out, "what     %s\n", leaf->summary);
    buf_append_string(out, "payload  ");
    for (size_t i = 0; i < leaf->payload.len; i++) {
        buf_printf(out, "%02x", leaf->payload.data[i]);
    }
    buf_append_string(out, "\n");
}
