/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying the ledger in a stopped member's folder, and what was written down of it earlier. See
 * cmd/cli_ledger.h. */
#include "cmd/cli_ledger.h"

#include "base/check.h"
#include "state/ledger.h"
#include "state/query.h"
#include "storage/store.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_SIZE = 512
};

static bool
is_expected(const struct tables *tables, const struct ledger_expectation *expected, char *problem);

int cli_ledger_verify_dir(struct cli *cli,
                          const char *dir,
                          const struct ledger_expectation *expected)
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
    bool ok = ledger_verify(store_tables(store), &head, problem) &&
              is_expected(store_tables(store), expected, problem);
    char root[SHA256_TEXT_SIZE];
    (void)sha256_format(&head.root, root);
    if (cli->json) {
        json_t *object = json_pack("{s:b, s:o, s:s, s:s}",
                                   "ok",
                                   ok,
                                   "size",
                                   cli_ledger_json_number(head.size),
                                   "root",
                                   root,
                                   "problem",
                                   problem);
        cli_ledger_print_json(object);
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

bool cli_ledger_expectation(const char *text, struct ledger_expectation *expected_out)
{
    char size[24] = "";
    const char *colon = strchr(text, ':');
    if (colon != NULL && (size_t)(colon - text) < sizeof(size)) {
        memcpy(size, text, (size_t)(colon - text));
    }
    if (colon == NULL || !cli_number("--expect", size, INT64_MAX, &expected_out->size) ||
        expected_out->size == 0 || sha256_parse(colon + 1, &expected_out->root) != ERR_OK) {
        (void)fprintf(stderr,
                      "indaba ledger verify: --expect SIZE:ROOT, as an earlier 'ledger verify' "
                      "printed them\n");
        return false;
    }
    return true;
}

static bool
is_expected(const struct tables *tables, const struct ledger_expectation *expected, char *problem)
{
    struct sha256 root;
    if (expected == NULL) {
        return true;
    }
    if (query_ledger_root_at(tables, expected->size, &root) != ERR_OK) {
        (void)snprintf(problem,
                       LEDGER_PROBLEM_SIZE,
                       "it has fewer than the %" PRIu64 " leaves that are expected",
                       expected->size);
        return false;
    }
    if (memcmp(&root, &expected->root, sizeof(root)) != 0) {
        (void)snprintf(problem,
                       LEDGER_PROBLEM_SIZE,
                       "its first %" PRIu64 " leaves are not those that are expected",
                       expected->size);
        return false;
    }
    return true;
}

/* Prints and releases. */
void cli_ledger_print_json(json_t *object)
{
    CHECK(object != NULL);
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    CHECK(text != NULL);
    (void)printf("%s\n", text);
    free(text);
    json_decref(object);
}

json_t *cli_ledger_json_number(uint64_t number)
{
    return json_sprintf("%" PRIu64, number);
}
