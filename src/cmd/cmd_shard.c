/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba shard create | ls | show | freeze | thaw | uri`. */
#include "base/check.h"
#include "cmd/cli.h"
#include "cmd/cli_shard.h"
#include "cmd/commands.h"
#include "cmd/json_out.h"
#include "indaba/v1/shards.pb-c.h"
#include "wire/wire_text.h"

#include <stdio.h>
#include <string.h>

enum {
    REGIONS_LIST_MAX = 16
};

static int shard_create(int argc, char **argv);
static int shard_ls(int argc, char **argv);
static int shard_show(int argc, char **argv);
static int shard_freeze(int argc, char **argv, bool frozen);
static int shard_uri(int argc, char **argv);
static void print_one(struct cli *cli, ProtobufCMessage *reply, const Indaba__V1__Shard *shard);
static bool parse_name(struct cli *cli, int argc, char **argv, const char **name_out, int *code);
static size_t split_regions(struct cli *cli, const char *list, char ***regions_out);

int shard_main(int argc, char **argv)
{
    const char *verb = argc >= 2 ? argv[1] : "";
    argc--;
    argv++;
    if (strcmp(verb, "create") == 0) {
        return shard_create(argc, argv);
    }
    if (strcmp(verb, "ls") == 0) {
        return shard_ls(argc, argv);
    }
    if (strcmp(verb, "show") == 0) {
        return shard_show(argc, argv);
    }
    if (strcmp(verb, "freeze") == 0 || strcmp(verb, "thaw") == 0) {
        return shard_freeze(argc, argv, strcmp(verb, "freeze") == 0);
    }
    if (strcmp(verb, "uri") == 0) {
        return shard_uri(argc, argv);
    }
    return cli_noun_usage(argc + 1,
                          argv - 1,
                          "Usage: indaba shard create NAME [options] | ls | show NAME | freeze "
                          "NAME | thaw NAME | uri NAME\n");
}

static int ask_to_create(struct cli *cli, const Indaba__V1__CreateShardRequest *request)
{
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Shards/CreateShard",
                        &request->base,
                        &indaba__v1__create_shard_response__descriptor,
                        &reply);
    if (code == CLI_OK) {
        const Indaba__V1__CreateShardResponse *response = (const void *)reply;
        print_one(cli, reply, response->shard);
    }
    return code;
}

static int shard_create(int argc, char **argv)
{
    const char *name = NULL;
    const char *mode = "sync";
    const char *rto = "30000";
    const char *rpo = "0";
    const char *copies = "1";
    const char *kind = "postgres";
    const char *preferred = "";
    const char *regions = "";
    const struct cli_option options[] = {
        {"kind", "postgres", "of its databases, default postgres", &kind},
        {"mode", "sync|async", "sync loses nothing, default", &mode},
        {"rto-ms", "MS", "recovery time objective, default 30000", &rto},
        {"rpo-ms", "MS", "recovery point objective; async only", &rpo},
        {"copies", "N", "sync: standbys that must hold a write, default 1", &copies},
        {"preferred", "REGION", "where the first primary should be", &preferred},
        {"regions", "A,B,…", "where its data may live, default everywhere", &regions},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "shard create");
    const struct cli_words words = {
        .options = options,
        .usage = "NAME [options]",
        .positional = &name,
        .positional_max = 1,
    };
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    uint64_t rto_ms = 0;
    uint64_t rpo_ms = 0;
    uint64_t required = 0;
    if (name == NULL) {
        (void)fprintf(stderr, "indaba shard create: which name? Try --help.\n");
        return CLI_USAGE;
    }
    if (!cli_number("--rto-ms", rto, UINT32_MAX, &rto_ms) ||
        !cli_number("--rpo-ms", rpo, UINT32_MAX, &rpo_ms) ||
        !cli_number("--copies", copies, UINT32_MAX, &required)) {
        return CLI_USAGE;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    Indaba__V1__Shard shard = INDABA__V1__SHARD__INIT;
    shard.name = wire_string(name);
    shard.kind = wire_string(kind);
    shard.mode = wire_string(mode);
    shard.rto_ms = (uint32_t)rto_ms;
    shard.rpo_ms = (uint32_t)rpo_ms;
    shard.sync_required = (uint32_t)required;
    shard.preferred_region = wire_string(preferred);
    shard.n_allowed_regions = split_regions(&cli, regions, &shard.allowed_regions);
    Indaba__V1__CreateShardRequest request = INDABA__V1__CREATE_SHARD_REQUEST__INIT;
    request.request_id = cli_request_id(&cli);
    request.shard = &shard;
    code = ask_to_create(&cli, &request);
    cli_close(&cli);
    return code;
}

static int shard_ls(int argc, char **argv)
{
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "shard ls");
    const struct cli_words words = {
        .options = NULL,
        .usage = "",
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
    Indaba__V1__ListShardsRequest request = INDABA__V1__LIST_SHARDS_REQUEST__INIT;
    request.page_size = 1000;
    ProtobufCMessage *reply = NULL;
    code = cli_call(&cli,
                    "/indaba.v1.Shards/ListShards",
                    &request.base,
                    &indaba__v1__list_shards_response__descriptor,
                    &reply);
    if (code == CLI_OK) {
        const Indaba__V1__ListShardsResponse *response = (const void *)reply;
        struct buf out = {0};
        if (cli.json) {
            json_out_message(reply, &out);
        }
        for (size_t i = 0; !cli.json && i < response->n_shards; i++) {
            cli_shard_print(response->shards[i], &out);
        }
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}

static int shard_show(int argc, char **argv)
{
    const char *name = NULL;
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "shard show");
    if (!parse_name(&cli, argc, argv, &name, &code)) {
        return code;
    }
    Indaba__V1__GetShardResponse *response = NULL;
    code = cli_shard_get(&cli, name, &response);
    if (code == CLI_OK) {
        print_one(&cli, &response->base, response->shard);
    }
    cli_close(&cli);
    return code;
}

static int shard_freeze(int argc, char **argv, bool frozen)
{
    const char *name = NULL;
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, frozen ? "shard freeze" : "shard thaw");
    if (!parse_name(&cli, argc, argv, &name, &code)) {
        return code;
    }
    Indaba__V1__FreezeShardRequest request = INDABA__V1__FREEZE_SHARD_REQUEST__INIT;
    request.request_id = cli_request_id(&cli);
    request.name = wire_string(name);
    request.frozen = frozen;
    ProtobufCMessage *reply = NULL;
    code = cli_call(&cli,
                    "/indaba.v1.Shards/FreezeShard",
                    &request.base,
                    &indaba__v1__freeze_shard_response__descriptor,
                    &reply);
    if (code == CLI_OK) {
        const Indaba__V1__FreezeShardResponse *response = (const void *)reply;
        print_one(&cli, reply, response->shard);
    }
    cli_close(&cli);
    return code;
}

/* Every instance in one string; libpq finds the primary of a PostgreSQL by itself. */
static int shard_uri(int argc, char **argv)
{
    const char *name = NULL;
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "shard uri");
    if (!parse_name(&cli, argc, argv, &name, &code)) {
        return code;
    }
    Indaba__V1__GetShardResponse *response = NULL;
    code = cli_shard_get(&cli, name, &response);
    if (code == CLI_OK && response->shard != NULL) {
        struct buf out = {0};
        bool postgres = strcmp(response->shard->kind, "postgres") == 0;
        buf_printf(&out, "%s://", postgres ? "postgresql" : response->shard->kind);
        for (size_t i = 0; i < response->shard->n_instances; i++) {
            buf_printf(&out, "%s%s", i == 0 ? "" : ",", response->shard->instances[i]->address);
        }
        buf_append_string(&out,
                          postgres ? "/postgres?target_session_attrs=read-write&connect_timeout=2\n"
                                   : "\n");
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}

static void print_one(struct cli *cli, ProtobufCMessage *reply, const Indaba__V1__Shard *shard)
{
    struct buf out = {0};
    if (cli->json) {
        json_out_message(reply, &out);
    } else if (shard != NULL) {
        cli_shard_print(shard, &out);
    }
    cli_print(&out);
}

/* Parses "NAME [common options]" and opens. */
static bool parse_name(struct cli *cli, int argc, char **argv, const char **name_out, int *code)
{
    const struct cli_words words = {
        .options = NULL,
        .usage = "NAME",
        .positional = name_out,
        .positional_max = 1,
    };
    if (!cli_parse(cli, &words, argc, argv, code)) {
        return false;
    }
    if (*name_out == NULL) {
        (void)fprintf(
            stderr, "indaba %s: which shard? 'indaba shard ls' lists them.\n", cli->program);
        *code = CLI_USAGE;
        return false;
    }
    *code = cli_open(cli);
    return *code == CLI_OK;
}

static size_t split_regions(struct cli *cli, const char *list, char ***regions_out)
{
    size_t len = strlen(list);
    char *copy = wire_new(&cli->arena, len + 1);
    char **regions = wire_new(&cli->arena, REGIONS_LIST_MAX * sizeof(*regions));
    memcpy(copy, list, len);
    size_t count = 0;
    char *word = NULL;
    while ((word = strsep(&copy, ",")) != NULL && count < REGIONS_LIST_MAX) {
        if (word[0] != '\0') {
            regions[count++] = word;
        }
    }
    *regions_out = regions;
    return count;
}
