/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba region ls | put`. */
#include "base/check.h"
#include "cmd/cli.h"
#include "cmd/commands.h"
#include "cmd/json_out.h"
#include "cmd/table.h"
#include "indaba/v1/topology.pb-c.h"
#include "wire/wire_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int region_ls(int argc, char **argv);
static int list(struct cli *cli, Indaba__V1__ListRegionsResponse **response_out);
static int region_put(int argc, char **argv);
static int keep_what_is_not_named(struct cli *cli,
                                  Indaba__V1__Region *region,
                                  bool keep_rank,
                                  bool keep_jurisdiction);
static int put(struct cli *cli, Indaba__V1__Region *region);
static void print_regions(Indaba__V1__Region *const *regions, size_t count, struct buf *out);

int region_main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "ls") == 0) {
        return region_ls(argc - 1, argv + 1);
    }
    if (argc >= 2 && strcmp(argv[1], "put") == 0) {
        return region_put(argc - 1, argv + 1);
    }
    return cli_noun_usage(
        argc, argv, "Usage: indaba region ls | put NAME [--rank N] [--jurisdiction NAME]\n");
}

static int region_ls(int argc, char **argv)
{
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "region ls");
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
    Indaba__V1__ListRegionsResponse *response = NULL;
    code = list(&cli, &response);
    if (code == CLI_OK) {
        struct buf out = {0};
        if (cli.json) {
            json_out_message(&response->base, &out);
        } else {
            print_regions(response->regions, response->n_regions, &out);
        }
        cli_print(&out);
    }
    cli_close(&cli);
    return code;
}

static int list(struct cli *cli, Indaba__V1__ListRegionsResponse **response_out)
{
    Indaba__V1__ListRegionsRequest request = INDABA__V1__LIST_REGIONS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Topology/ListRegions",
                        &request.base,
                        &indaba__v1__list_regions_response__descriptor,
                        &reply);
    if (code == CLI_OK) {
        *response_out = (void *)reply;
    }
    return code;
}

static int region_put(int argc, char **argv)
{
    const char *rank_text = NULL;
    const char *jurisdiction = NULL;
    const char *name = NULL;
    const struct cli_option options[] = {
        {"rank", "N", "smaller is preferred; a new one: 0", &rank_text},
        {"jurisdiction", "NAME", "for data residency; a new one: none", &jurisdiction},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    uint64_t rank = 0;
    cli_init(&cli, "region put");
    const struct cli_words words = {
        .options = options,
        .usage = "NAME [options]",
        .positional = &name,
        .positional_max = 1,
    };
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    if (name == NULL) {
        (void)fprintf(stderr, "indaba region put: which region? Try 'indaba region put --help'.\n");
        return CLI_USAGE;
    }
    if (rank_text != NULL && !cli_number("--rank", rank_text, UINT32_MAX, &rank)) {
        return CLI_USAGE;
    }
    code = cli_open(&cli);
    if (code != CLI_OK) {
        return code;
    }
    Indaba__V1__Region region = INDABA__V1__REGION__INIT;
    region.name = wire_string(name);
    region.rank = (uint32_t)rank;
    region.jurisdiction = wire_string(jurisdiction == NULL ? "" : jurisdiction);
    if (rank_text == NULL || jurisdiction == NULL) {
        code = keep_what_is_not_named(&cli, &region, rank_text == NULL, jurisdiction == NULL);
    }
    if (code == CLI_OK) {
        code = put(&cli, &region);
    }
    cli_close(&cli);
    return code;
}

/* Of a region that is there already. */
static int keep_what_is_not_named(struct cli *cli,
                                  Indaba__V1__Region *region,
                                  bool keep_rank,
                                  bool keep_jurisdiction)
{
    Indaba__V1__ListRegionsResponse *response = NULL;
    int code = list(cli, &response);
    for (size_t i = 0; code == CLI_OK && i < response->n_regions; i++) {
        const Indaba__V1__Region *old = response->regions[i];
        if (strcmp(old->name, region->name) != 0) {
            continue;
        }
        region->rank = keep_rank ? old->rank : region->rank;
        region->jurisdiction = keep_jurisdiction ? old->jurisdiction : region->jurisdiction;
    }
    return code;
}

static int put(struct cli *cli, Indaba__V1__Region *region)
{
    Indaba__V1__PutRegionRequest request = INDABA__V1__PUT_REGION_REQUEST__INIT;
    request.request_id = cli_request_id(cli);
    request.region = region;
    ProtobufCMessage *reply = NULL;
    int code = cli_call(cli,
                        "/indaba.v1.Topology/PutRegion",
                        &request.base,
                        &indaba__v1__put_region_response__descriptor,
                        &reply);
    if (code == CLI_OK) {
        struct buf out = {0};
        if (cli->json) {
            json_out_message(reply, &out);
        } else {
            buf_printf(&out, "region %s stored\n", region->name);
        }
        cli_print(&out);
    }
    return code;
}

static void print_regions(Indaba__V1__Region *const *regions, size_t count, struct buf *out)
{
    static const char *const HEADER[] = {"REGION", "RANK", "JURISDICTION", "STATE"};
    struct text_table table;
    table_init(&table, HEADER, 4);
    for (size_t i = 0; i < count; i++) {
        char rank[16];
        (void)snprintf(rank, sizeof(rank), "%" PRIu32, regions[i]->rank);
        const char *cells[] = {regions[i]->name, rank, regions[i]->jurisdiction, regions[i]->state};
        table_row(&table, cells);
    }
    table_print(&table, 0, out);
    table_deinit(&table);
}
