/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba cluster set | confirm-recovery`: settings of all members alike, and a person's word after
 * a forced recovery. */
#include "base/check.h"
#include "cmd/cli_member.h"
#include "cmd/commands.h"
#include "cmd/json_out.h"
#include "model/records.h"
#include "wire/wire_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* About the round trip between members, and at least ten of them; docs/operations.md. */
struct timers_preset {
    const char *name;
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint32_t lease_ms; /* which outlives such an election, with something to spare */
};

static const struct timers_preset presets[] = {
    {"metro", 50, 500, 3000},
    {"continent", 100, 1500, 6000},
    {"global", 300, 4000, 14000},
};

struct set_words {
    const char *timers;
    const char *heartbeat;
    const char *election;
    const char *lease;
    const char *leader;
    const char *regions;
    const char *force;
    const char *wait;
};

static int cluster_set(int argc, char **argv);
static bool timers_of(const struct set_words *words, Indaba__V1__SetClusterRequest *request);
static int
set(struct cli *cli, const struct set_words *words, Indaba__V1__SetClusterRequest *request);
static int cluster_confirm(int argc, char **argv);
static int confirm(struct cli *cli, const char *yes, const char *reason);

int cluster_main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "set") == 0) {
        return cluster_set(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "confirm-recovery") == 0) {
        return cluster_confirm(argc - 1, argv + 1);
    }
    bool asked = argc >= 2 && strcmp(argv[1], "--help") == 0;
    (void)fprintf(asked ? stdout : stderr,
                  "Usage: indaba cluster WORD …; each tells its own usage with --help\n\n"
                  "  set               timers, and the region where the leader had best be\n"
                  "  confirm-recovery  after a forced recovery: the members left behind are off\n");
    return asked ? CLI_OK : CLI_USAGE;
}

static int cluster_set(int argc, char **argv)
{
    struct set_words words = {.leader = ""};
    const struct cli_option options[] = {
        {"timers",
         "PRESET",
         "metro 50/500/3000, continent 100/1500/6000, global 300/4000/14000",
         &words.timers},
        {"heartbeat", "MS", "about the longest round trip between members", &words.heartbeat},
        {"election", "MS", "at least ten round trips; with --heartbeat", &words.election},
        {"lease", "MS", "leases become so long if they are shorter", &words.lease},
        {"leader-region", "NAME", "leadership goes there when it can; '-': no wish", &words.leader},
        {"commit-regions", "N", "in how many an entry must be durable; 1: any", &words.regions},
        {"force", NULL, "timers shorter than the round trips measured", &words.force},
        {"wait", NULL, "until all members have it", &words.wait},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "cluster set");
    const struct cli_words taken = {.options = options, .usage = "[options]"};
    if (!cli_parse(&cli, &taken, argc, argv, &code)) {
        return code;
    }
    Indaba__V1__SetClusterRequest request = INDABA__V1__SET_CLUSTER_REQUEST__INIT;
    if (!timers_of(&words, &request)) {
        return CLI_USAGE;
    }
    request.leader_region = wire_string(words.leader);
    request.force = words.force != NULL;
    uint64_t regions = 0;
    if (words.regions != NULL &&
        !cli_number("--commit-regions", words.regions, REGIONS_MAX, &regions)) {
        return CLI_USAGE;
    }
    request.commit_regions = (uint32_t)regions;
    if (request.heartbeat_ms == 0 && request.lease_ms == 0 && words.leader[0] == '\0' &&
        regions == 0) {
        (void)fprintf(stderr, "indaba cluster set: set what? Try 'indaba cluster set --help'.\n");
        return CLI_USAGE;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    code = set(&cli, &words, &request);
    cli_close(&cli);
    return code;
}

/* 0 each that is not given. */
static bool timers_of(const struct set_words *words, Indaba__V1__SetClusterRequest *request)
{
    uint64_t lease = 0;
    uint64_t heartbeat = 0;
    uint64_t election = 0;
    if ((words->heartbeat == NULL) != (words->election == NULL) ||
        (words->timers != NULL && words->heartbeat != NULL)) {
        (void)fprintf(stderr,
                      "indaba cluster set: either --timers, or --heartbeat and --election\n");
        return false;
    }
    if (words->heartbeat != NULL) {
        if (!cli_number("--heartbeat", words->heartbeat, TIMER_HEARTBEAT_MS_MAX, &heartbeat) ||
            !cli_number("--election", words->election, TIMER_ELECTION_MS_MAX, &election)) {
            return false;
        }
        if (heartbeat == 0 || election == 0) {
            (void)fprintf(stderr, "indaba cluster set: timers of 0 ms are none\n");
            return false;
        }
        request->heartbeat_ms = (uint32_t)heartbeat;
        request->election_ms = (uint32_t)election;
    }
    if (words->lease != NULL && !cli_number("--lease", words->lease, LEASE_MS_MAX, &lease)) {
        return false;
    }
    request->lease_ms = (uint32_t)lease;
    for (size_t i = 0; words->timers != NULL && i < ARRAY_LEN(presets); i++) {
        if (strcmp(presets[i].name, words->timers) == 0) {
            request->heartbeat_ms = presets[i].heartbeat_ms;
            request->election_ms = presets[i].election_ms;
            request->lease_ms = words->lease == NULL ? presets[i].lease_ms : request->lease_ms;
            return true;
        }
    }
    if (words->timers != NULL) {
        (void)fprintf(stderr,
                      "indaba cluster set: --timers '%s' is none of metro, continent, global\n",
                      words->timers);
    }
    return words->timers == NULL;
}

static int
set(struct cli *cli, const struct set_words *words, Indaba__V1__SetClusterRequest *request)
{
    request->request_id = cli_request_id(cli);
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Cluster/SetCluster",
                        &request->base,
                        &indaba__v1__set_cluster_response__descriptor,
                        &reply);
    if (code != CLI_OK) {
        return code;
    }
    const Indaba__V1__SetClusterResponse *response = (const void *)reply;
    const Indaba__V1__Settings *settings = response->settings;
    CHECK(settings != NULL);
    struct buf out = {0};
    if (cli->json) {
        json_out_message(reply, &out);
    } else {
        if (settings->heartbeat_ms == 0) {
            buf_append_string(&out, "timers: as in each member's configuration file\n");
        } else {
            buf_printf(&out,
                       "timers: heartbeat %" PRIu32 " ms, election %" PRIu32 " ms\n",
                       settings->heartbeat_ms,
                       settings->election_ms);
        }
        buf_printf(&out, "leases: %" PRIu32 " ms\n", settings->lease_ms);
        buf_printf(&out,
                   "entries durable in: %" PRIu32 " region%s\nleader wanted in: %s\n",
                   settings->commit_regions > 1 ? settings->commit_regions : 1,
                   settings->commit_regions > 1 ? "s" : "",
                   settings->leader_region[0] == '\0' ? "any region" : settings->leader_region);
    }
    cli_print(&out);
    return words->wait == NULL ? CLI_OK : cli_member_wait(cli, "");
}

static int cluster_confirm(int argc, char **argv)
{
    const char *yes = NULL;
    const char *reason = "";
    const struct cli_option options[] = {
        {"yes", NULL, "do not ask", &yes},
        {"reason", "TEXT", "how you know; kept in the ledger with your name", &reason},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "cluster confirm-recovery");
    const struct cli_words taken = {.options = options, .usage = "[options]"};
    if (!cli_parse(&cli, &taken, argc, argv, &code)) {
        return code;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    code = confirm(&cli, yes, reason);
    cli_close(&cli);
    return code;
}

static int confirm(struct cli *cli, const char *yes, const char *reason)
{
    const Indaba__V1__GetMembersResponse *members = NULL;
    int code = cli_member_get(cli, false, &members);
    if (code != CLI_OK) {
        return code;
    }
    if (!cli_confirm(cli,
                     yes,
                     "You state that every member left behind by the forced recovery is off "
                     "and will not be started again: asynchronous shards then fail over by "
                     "the clock again.")) {
        return CLI_FAILED;
    }
    Indaba__V1__ConfirmRecoveryRequest request = INDABA__V1__CONFIRM_RECOVERY_REQUEST__INIT;
    request.request_id = cli_request_id(cli);
    request.cluster_epoch = members->cluster_epoch;
    request.reason = wire_string(reason);
    ProtobufCMessage *reply = NULL;
    code = cli_call(cli,
                    "/indaba.v1.Cluster/ConfirmRecovery",
                    &request.base,
                    &indaba__v1__confirm_recovery_response__descriptor,
                    &reply);
    if (code == CLI_OK) {
        struct buf out = {0};
        if (cli->json) {
            json_out_message(reply, &out);
        } else {
            buf_printf(&out,
                       "the recovery into cluster epoch %" PRIu32 " is confirmed\n",
                       request.cluster_epoch);
        }
        cli_print(&out);
    }
    return code;
}
