/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba failover start`: an operator's change of the primary, and how it goes, step by step. */
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
#include <unistd.h>

enum {
    POLL_MS = 50,
    WAIT_MS = 60000, /* --wait gives up after this */
};

struct start_words {
    const char *shard;
    const char *to;
    const char *reason;
    const char *yes;
    const char *wait;
};

static bool confirmed(const struct start_words *words);
static int start(struct cli *cli, const struct start_words *words);
static int watch(struct cli *cli, const char *shard, uint64_t epoch);
static bool print_step(const Indaba__V1__Failover *failover, char *last_step, size_t size);

int failover_start(int argc, char **argv)
{
    struct start_words words = {.to = "", .reason = ""};
    const struct cli_option options[] = {
        {"to",     "INSTANCE", "whom to promote; default: the best standby",   &words.to    },
        {"reason", "TEXT",     "why; kept in the ledger with your name",       &words.reason},
        {"yes",    NULL,       "do not ask",                                   &words.yes   },
        {"wait",   NULL,       "show the steps until the new primary is open", &words.wait  },
        {NULL,     NULL,       NULL,                                           NULL         },
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
    if (!confirmed(&words)) {
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

/* Only people are asked: a script has decided already. */
static bool confirmed(const struct start_words *words)
{
    if (words->yes != NULL || isatty(STDIN_FILENO) == 0) {
        return true;
    }
    (void)fprintf(
        stderr,
        "The primary of shard %s moves to %s: its clients are cut off for a moment. Go on? "
        "[y/N] ",
        words->shard,
        words->to[0] == '\0' ? "the best standby" : words->to);
    char answer[8] = "";
    bool yes =
        fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
    if (!yes) {
        (void)fprintf(stderr, "indaba failover start: nothing was done\n");
    }
    return yes;
}

static int start(struct cli *cli, const struct start_words *words)
{
    Indaba__V1__StartFailoverRequest request = INDABA__V1__START_FAILOVER_REQUEST__INIT;
    request.request_id = cli_request_id(cli);
    request.shard = wire_string(words->shard);
    request.instance = wire_string(words->to);
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
    struct buf out = {0};
    if (cli->json) {
        json_out_message(reply, &out);
    } else {
        buf_printf(&out, "failover of shard %s asked for\n", words->shard);
    }
    cli_print(&out);
    return words->wait == NULL ? CLI_OK : watch(cli, words->shard, response->epoch);
}

/* Follows the shard until the failover that began after `epoch` is done. */
static int watch(struct cli *cli, const char *shard, uint64_t epoch)
{
    char last_step[32] = "";
    uint64_t end_ms = clock_monotonic_ms() + WAIT_MS;
    while (clock_monotonic_ms() < end_ms) {
        Indaba__V1__GetShardResponse *response = NULL;
        int code = cli_shard_get(cli, shard, &response);
        if (code != CLI_OK) {
            return code;
        }
        const Indaba__V1__Failover *failover =
            response->shard == NULL ? NULL : response->shard->last_failover;
        if (failover != NULL && failover->epoch > epoch &&
            print_step(failover, last_step, sizeof(last_step))) {
            return CLI_OK;
        }
        cli_pause(cli, POLL_MS);
    }
    (void)fprintf(stderr,
                  "indaba failover start: not through after %d s, in step %s: it goes on; 'indaba "
                  "failover ls --shard %s' shows it\n",
                  WAIT_MS / 1000,
                  last_step[0] == '\0' ? "(not begun)" : last_step,
                  shard);
    return CLI_FAILED;
}

/* True when it is through. */
static bool print_step(const Indaba__V1__Failover *failover, char *last_step, size_t size)
{
    if (strcmp(failover->step, last_step) != 0) {
        (void)printf("%-9s failover %" PRIu64 " epoch %" PRIu64 ": %s to %s, proof %s\n",
                     failover->step,
                     failover->id,
                     failover->epoch,
                     failover->old_primary,
                     failover->candidate[0] == '\0' ? "?" : failover->candidate,
                     failover->proof);
        (void)fflush(stdout);
        (void)snprintf(last_step, size, "%s", failover->step);
    }
    return strcmp(failover->step, "done") == 0;
}
