/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba failover start`: an operator's change of the primary, how it goes, and what came of it. A
 * move that moved nothing, or to somebody else, is told and is no success. */
#include "base/clock.h"
#include "cmd/cli.h"
#include "cmd/cli_shard.h"
#include "cmd/commands.h"
#include "cmd/json_out.h"
#include "indaba/v1/failovers.pb-c.h"
#include "wire/wire_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    POLL_MS = 50,
    BEGIN_MS = 10000, /* longer than the leader keeps a wish that cannot begin */
    WAIT_MS = 60000,  /* given up after this; the failover goes on */
    NAME_TEXT_SIZE = 64,
};

struct start_words {
    const char *shard;
    const char *to;
    const char *reason;
    const char *yes;
    const char *wait; /* is the default */
    const char *no_wait;
};

/* What was asked, and what was seen of it so far. */
struct watched {
    const struct start_words *words;
    uint64_t epoch; /* of the shard when it was asked; what was asked for has a higher one */
    char old_primary[NAME_TEXT_SIZE];
    char last_step[NAME_TEXT_SIZE];
    uint64_t last_epoch;
};

static bool confirmed(const struct cli *cli, const struct start_words *words);
static int start(struct cli *cli, const struct start_words *words);
static int watch(struct cli *cli, struct watched *watched);
static void
note_step(const struct cli *cli, const Indaba__V1__Failover *failover, struct watched *watched);
static int judge(const Indaba__V1__Failover *failover, const struct watched *watched);
static int not_through(const Indaba__V1__Shard *shard, const struct watched *watched);

int failover_start(int argc, char **argv)
{
    struct start_words words = {.to = "", .reason = ""};
    const struct cli_option options[] = {
        {"to", "INSTANCE", "whom to promote; default: the best standby", &words.to},
        {"reason", "TEXT", "why; kept in the ledger with your name", &words.reason},
        {"yes", NULL, "do not ask; needed where there is no terminal", &words.yes},
        {"wait", NULL, "show the steps until it is through; the default", &words.wait},
        {"no-wait", NULL, "return once it has begun: what comes of it is open", &words.no_wait},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "failover start");
    const struct cli_words taken = {
        .options = options,
        .usage = "SHARD [options]",
        .positional = &words.shard,
        .positional_max = 1,
    };
    if (!cli_parse(&cli, &taken, argc, argv, &code)) {
        return code;
    }
    if (words.shard == NULL) {
        (void)fprintf(stderr,
                      "indaba failover start: of which shard? 'indaba shard ls' lists them.\n");
        return CLI_USAGE;
    }
    if (!confirmed(&cli, &words)) {
        return CLI_FAILED;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    code = start(&cli, &words);
    cli_close(&cli);
    return code;
}

static bool confirmed(const struct cli *cli, const struct start_words *words)
{
    char question[256];
    (void)snprintf(
        question,
        sizeof(question),
        "The primary of shard %.63s moves to %.63s: its clients are cut off for a moment.",
        words->shard,
        words->to[0] == '\0' ? "the best standby" : words->to);
    return cli_confirm(cli, words->yes, question);
}

static int start(struct cli *cli, const struct start_words *words)
{
    Indaba__V1__StartFailoverRequest request = INDABA__V1__START_FAILOVER_REQUEST__INIT;
    request.request_id = cli_request_id(cli);
    request.shard = wire_string(words->shard);
    request.instance = wire_string(words->to);
    request.any = words->to[0] == '\0';
    request.reason = wire_string(words->reason);
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Failovers/StartFailover",
                        &request.base,
                        &indaba__v1__start_failover_response__descriptor,
                        &reply);
    if (code != CLI_OK) {
        return code;
    }
    const Indaba__V1__StartFailoverResponse *response = (const void *)reply;
    struct watched watched = {.words = words, .epoch = response->epoch};
    if (response->shard != NULL) {
        (void)snprintf(
            watched.old_primary, sizeof(watched.old_primary), "%s", response->shard->primary);
    }
    if (!cli->json) {
        (void)printf("failover of shard %s asked for\n", words->shard);
        (void)fflush(stdout);
    }
    return watch(cli, &watched);
}

/* Follows the shard until what was asked for has begun (--no-wait), or is through. */
static int watch(struct cli *cli, struct watched *watched)
{
    uint64_t begin_ms = clock_monotonic_ms();
    const Indaba__V1__Failover *failover = NULL;
    Indaba__V1__GetShardResponse *response = NULL;
    while (true) {
        int code = cli_shard_get(cli, watched->words->shard, &response);
        if (code != CLI_OK) {
            return code;
        }
        failover = response->shard == NULL ? NULL : response->shard->last_failover;
        bool begun = failover != NULL && failover->epoch > watched->epoch;
        if (begun) {
            note_step(cli, failover, watched);
        }
        if (begun && (watched->words->no_wait != NULL || strcmp(failover->step, "done") == 0)) {
            break;
        }
        if (clock_monotonic_ms() - begin_ms > (begun ? WAIT_MS : BEGIN_MS)) {
            return not_through(response->shard, watched);
        }
        cli_pause(cli, POLL_MS);
    }
    if (cli->json) {
        struct buf out = {0};
        json_out_message(&response->base, &out);
        cli_print(&out);
    }
    return strcmp(failover->step, "done") == 0 ? judge(failover, watched) : CLI_OK;
}

static void
note_step(const struct cli *cli, const Indaba__V1__Failover *failover, struct watched *watched)
{
    if (failover->epoch == watched->last_epoch && strcmp(failover->step, watched->last_step) == 0) {
        return;
    }
    (void)snprintf(watched->last_step, sizeof(watched->last_step), "%s", failover->step);
    watched->last_epoch = failover->epoch;
    if (cli->json) {
        return;
    }
    (void)printf("%-9s failover %" PRIu64 " epoch %" PRIu64 ": %s to %s, proof %s\n",
                 failover->step,
                 failover->id,
                 failover->epoch,
                 failover->old_primary,
                 failover->candidate[0] == '\0' ? "?" : failover->candidate,
                 failover->proof);
    (void)fflush(stdout);
}

/* It is through: is it what was asked for? */
static int judge(const Indaba__V1__Failover *failover, const struct watched *watched)
{
    const char *to = watched->words->to;
    if (strcmp(failover->candidate, watched->old_primary) == 0) {
        (void)fprintf(stderr,
                      "indaba failover start: nothing moved: %s is the primary again (%s)\n",
                      failover->candidate,
                      failover->reason);
        return CLI_FAILED;
    }
    if (to[0] != '\0' && strcmp(failover->candidate, to) != 0) {
        (void)fprintf(stderr,
                      "indaba failover start: the primary is %s now, not %s (%s)\n",
                      failover->candidate,
                      to,
                      failover->reason);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int not_through(const Indaba__V1__Shard *shard, const struct watched *watched)
{
    const char *waiting = shard == NULL ? "" : shard->waiting;
    if (watched->last_epoch == 0) {
        (void)fprintf(stderr,
                      "indaba failover start: it did not begin, and will not: %s\n",
                      waiting[0] == '\0' ? "the leader may have changed; ask again" : waiting);
        return CLI_FAILED;
    }
    (void)fprintf(stderr,
                  "indaba failover start: not through after %d s, in step %s%s%s: it goes on; "
                  "'indaba failover ls --shard %s' shows it\n",
                  WAIT_MS / 1000,
                  watched->last_step,
                  waiting[0] == '\0' ? "" : ", ",
                  waiting,
                  watched->words->shard);
    return CLI_FAILED;
}
