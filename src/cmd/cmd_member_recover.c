/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member force-recover`: a majority of the members is lost for good, and one that is left
 * goes on alone. Offline, and loud: what it can cost is said before anything is done. */
#include "base/clock.h"
#include "base/mem.h"
#include "cmd/cli.h"
#include "cmd/cmd_member.h"
#include "cmd/recover_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct recover_words {
    const char *dir;
    const char *expect;
    const char *accept;
    const char *accept_state;
    const char *reason;
};

static int recover(const struct recover_words *words);
static int decide(struct recover_folder *folder, const struct recover_words *words);
static void print_facts(const char *dir, const struct recover_facts *facts);
static void print_losses(const struct recover_facts *facts);
static void print_next(const struct recover_facts *facts);

int member_force_recover(int argc, char **argv)
{
    struct recover_words words = {.reason = ""};
    const struct cli_option options[] = {
        {"dir", "DIR", "the data folder of the member that shall go on", &words.dir},
        {"expect-index", "N", "the last index of its log, as shown without this", &words.expect},
        {"i-accept-loss", NULL, "what the others had and this one has not is lost", &words.accept},
        {"i-accept-wrong-state",
         NULL,
         "a majority held another state; this one is taken",
         &words.accept_state},
        {"reason", "TEXT", "what happened; kept in the ledger", &words.reason},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "member force-recover");
    const struct cli_words taken = {
        .options = options,
        .usage = "--dir DIR [--expect-index N --i-accept-loss]\n\nThe last resort when a majority "
                 "of the members is lost for good. Without --expect-index it changes nothing: it "
                 "shows what this folder holds, and what is lost.",
    };
    if (!cli_parse(&cli, &taken, argc, argv, &code)) {
        return code;
    }
    if (words.dir == NULL) {
        (void)fprintf(stderr, "indaba member force-recover: which folder? Use --dir DIR.\n");
        return CLI_USAGE;
    }
    if (strlen(words.reason) >= TEXT_SIZE) {
        (void)fprintf(stderr, "indaba member force-recover: --reason: at most 255 bytes\n");
        return CLI_USAGE;
    }
    return recover(&words);
}

static int recover(const struct recover_words *words)
{
    struct reason reason = {0};
    struct recover_folder *folder = NULL;
    if (recover_folder_open(words->dir, &reason, &folder) != ERR_OK) {
        (void)fprintf(stderr, "indaba member force-recover: %s\n", reason.text);
        return CLI_FAILED;
    }
    print_facts(words->dir, recover_folder_facts(folder));
    int code = decide(folder, words);
    recover_folder_close(folder);
    return code;
}

static int decide(struct recover_folder *folder, const struct recover_words *words)
{
    const struct recover_facts *facts = recover_folder_facts(folder);
    if (words->expect == NULL || words->accept == NULL) {
        print_losses(facts);
        return CLI_FAILED;
    }
    uint64_t expected = 0;
    if (!cli_number("--expect-index", words->expect, UINT64_MAX, &expected)) {
        return CLI_USAGE;
    }
    if (expected != facts->last_index) {
        (void)fprintf(stderr,
                      "indaba member force-recover: the log ends at index %" PRIu64
                      ", not at %" PRIu64 ": is this the folder that you chose? Nothing was "
                      "done.\n",
                      facts->last_index,
                      expected);
        return CLI_FAILED;
    }
    if (facts->contradicted && words->accept_state == NULL) {
        (void)fprintf(stderr,
                      "indaba member force-recover: this member is in quarantine: its state was "
                      "seen to be wrong. Recover another one, or add --i-accept-wrong-state. "
                      "Nothing was done.\n");
        return CLI_FAILED;
    }
    struct reason reason = {0};
    const char *why = words->reason[0] == '\0' ? "no reason given" : words->reason;
    if (recover_folder_write(folder, why, clock_wall_ms(), &reason) != ERR_OK) {
        (void)fprintf(stderr, "indaba member force-recover: %s\n", reason.text);
        return CLI_FAILED;
    }
    print_next(facts);
    return CLI_OK;
}

static void print_facts(const char *dir, const struct recover_facts *facts)
{
    const struct member_identity *identity = facts->identity;
    char cluster[ID128_TEXT_SIZE];
    (void)printf("folder   %s, member %s of cluster %s (%s)\n"
                 "log      last index %" PRIu64 ", last term %" PRIu64 "; has seen term %" PRIu64
                 "\n"
                 "applied  up to index %" PRIu64 "; ledger %" PRIu64 " leaves; %" PRIu32
                 " shards; cluster epoch %" PRIu32 "\n"
                 "members ",
                 dir,
                 identity->name,
                 facts->cluster.name,
                 id128_format(identity->cluster.hi, identity->cluster.lo, cluster),
                 facts->last_index,
                 facts->last_term,
                 facts->term,
                 facts->applied_index,
                 facts->ledger.size,
                 facts->cluster.shards_count,
                 facts->cluster.cluster_epoch);
    for (uint32_t i = 0; i < facts->members_count; i++) {
        (void)printf(" %s (%s)", facts->members[i].name, facts->members[i].region);
    }
    (void)printf("\n");
    if (facts->contradicted) {
        (void)printf("state    IN QUARANTINE: at index %" PRIu64
                     " a majority held another one; made anew since: %s\n",
                     facts->mark.index,
                     facts->mark.rebuilt ? "yes, not compared again" : "no");
    }
    (void)printf("\n");
}

static void print_losses(const struct recover_facts *facts)
{
    (void)printf(
        "Nothing was done. If this member goes on alone:\n"
        "  * Whatever the other members stored after index %" PRIu64 " and this one has not is\n"
        "    lost, though it was acknowledged: decisions about primaries, settings, keys of\n"
        "    etcd's API. Look at every folder that is left, and choose the one with the highest\n"
        "    last term, and among those the highest last index.\n"
        "  * What this log holds after index %" PRIu64 " takes effect, though it may never have\n"
        "    been acknowledged.\n"
        "  * All other members are left behind for good: their folders are worthless, and they\n"
        "    must never run again. As long as one might, asynchronous shards do not fail over\n"
        "    by the clock, until 'indaba cluster confirm-recovery'.\n"
        "  * If a majority can still be brought back, with disks, do that instead: it loses\n"
        "    nothing.\n",
        facts->last_index,
        facts->applied_index);
    if (facts->contradicted) {
        (void)printf(
            "  * This member's state is, or was made from, one that a majority contradicted: who\n"
            "    is primary, settings and keys may be wrong from index %" PRIu64 " on, or before.\n"
            "    Any other folder that is left is a better choice.\n",
            facts->mark.index);
    }
    (void)printf("\nTo go on: indaba member force-recover --dir … --expect-index %" PRIu64
                 " --i-accept-loss%s\n",
                 facts->last_index,
                 facts->contradicted ? " --i-accept-wrong-state" : "");
}

static void print_next(const struct recover_facts *facts)
{
    const char *name = facts->identity->name;
    (void)printf("member %s goes on alone, in cluster epoch %" PRIu32 ".\n"
                 "Next:\n"
                 "  1. make sure that the other members are off, and take their folders away\n"
                 "  2. start %s: indaba serve --config FILE\n"
                 "  3. add new members: indaba member add NAME …\n"
                 "  4. state that 1 is done: indaba cluster confirm-recovery\n",
                 name,
                 facts->cluster.cluster_epoch + 1,
                 name);
}
