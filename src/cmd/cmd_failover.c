/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba failover ls | show`; `start` is in cmd_failover_start.c. */
#include "cmd/cli.h"
#include "cmd/cli_shard.h"
#include "cmd/commands.h"
#include "cmd/json_out.h"
#include "indaba/v1/failovers.pb-c.h"
#include "wire/wire_text.h"

#include <stdio.h>
#include <string.h>

static int failover_ls(int argc, char **argv);
static int failover_show(int argc, char **argv);

int failover_main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "ls") == 0) {
        return failover_ls(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "show") == 0) {
        return failover_show(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "start") == 0) {
        return failover_start(argc - 1, argv + 1);
    }
    return cli_noun_usage(argc,
                          argv,
                          "Usage: indaba failover ls [--shard NAME] | show ID | start SHARD [--to "
                          "INSTANCE] [--reason TEXT] [--yes] [--no-wait]\n");
}

static int failover_ls(int argc, char **argv)
{
    const char *shard = "";
    const struct cli_option options[] = {
        {"shard", "NAME", "only those of this shard", &shard},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "failover ls");
    const struct cli_words words = {
        .options = options,
        .usage = "[--shard NAME]",
        .positional = NULL,
        .positional_max = 0,
    };
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    Indaba__V1__ListFailoversRequest request = INDABA__V1__LIST_FAILOVERS_REQUEST__INIT;
    request.shard = wire_string(shard);
    ProtobufCMessage *reply = NULL;
    code = cli_call(&cli,
                    "/indaba.v1.Failovers/ListFailovers",
                    &request.base,
                    &indaba__v1__list_failovers_response__descriptor,
                    &reply);
    if (code == CLI_OK) {
        const Indaba__V1__ListFailoversResponse *response = (const void *)reply;
        struct buf out = {0};
        if (cli.json) {
            json_out_message(reply, &out);
        } else {
            cli_failovers_print(response->failovers, response->n_failovers, &out);
        }
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}

static int failover_show(int argc, char **argv)
{
    const char *id_text = NULL;
    uint64_t id = 0;
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "failover show");
    const struct cli_words words = {
        .options = NULL,
        .usage = "ID",
        .positional = &id_text,
        .positional_max = 1,
    };
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    if (id_text == NULL || !cli_number("ID", id_text, INT64_MAX, &id) || id == 0) {
        (void)fprintf(stderr,
                      "indaba failover show: which one? 'indaba failover ls' lists them.\n");
        return CLI_USAGE;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    Indaba__V1__GetFailoverRequest request = INDABA__V1__GET_FAILOVER_REQUEST__INIT;
    request.id = id;
    ProtobufCMessage *reply = NULL;
    code = cli_call(&cli,
                    "/indaba.v1.Failovers/GetFailover",
                    &request.base,
                    &indaba__v1__get_failover_response__descriptor,
                    &reply);
    if (code == CLI_OK) {
        const Indaba__V1__GetFailoverResponse *response = (const void *)reply;
        struct buf out = {0};
        if (cli.json) {
            json_out_message(reply, &out);
        } else if (response->failover != NULL) {
            cli_failover_print(response->failover, &out);
        }
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}
