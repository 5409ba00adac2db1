/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member init` formats the data folder that a configuration names: of a founding member, or
 * with --join of one that an existing cluster takes in. `indaba member new-id` prints a random
 * identity. Neither talks to anybody. */
#include "base/mem.h"
#include "cmd/cli.h"
#include "cmd/cmd_member.h"
#include "config/member_config.h"
#include "raft/raft.h"
#include "storage/member_dir.h"

#include <stdio.h>
#include <string.h>

static int format_folder(const struct member_config *config, bool join);

int member_init(int argc, char **argv)
{
    const char *path = NULL;
    const char *join = NULL;
    const struct cli_option options[] = {
        {"config", "FILE", "the member's configuration", &path},
        {"join", NULL, "an existing cluster takes it in: 'indaba member add' came before", &join},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "member init");
    const struct cli_words words = {.options = options, .usage = "--config FILE [--join]"};
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    if (path == NULL) {
        (void)fprintf(stderr, "indaba member init: which member? Use --config FILE.\n");
        return CLI_USAGE;
    }
    struct reason reason = {0};
    struct member_config *config = mem_new(sizeof(*config));
    if (member_config_load(path, &reason, config) == ERR_OK) {
        code = format_folder(config, join != NULL);
    } else {
        (void)fprintf(stderr, "indaba member init: %s\n", reason.text);
        code = CLI_USAGE;
    }
    mem_free(config);
    return code;
}

int member_new_id(int argc, char **argv)
{
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "member new-id");
    const struct cli_words words = {.usage = ""};
    if (!cli_parse(&cli, &words, argc, argv, &code)) {
        return code;
    }
    uint64_t id[2];
    char text[ID128_TEXT_SIZE];
    id128_random(&id[0], &id[1]);
    (void)printf("%s\n", id128_format(id[0], id[1], text));
    return CLI_OK;
}

/* One that joins founds nothing: it learns from the others who the members are, and never asks for
 * votes before. */
static int format_folder(const struct member_config *config, bool join)
{
    if (join && config->members_count < 2) {
        (void)fprintf(stderr,
                      "indaba member init: members: --join needs at least one existing member "
                      "beside %s: add those that 'indaba member ls' shows\n",
                      config->name);
        return CLI_USAGE;
    }
    struct raft_configuration founding;
    struct member_identity identity = {.cluster = config->cluster, .member = config->member};
    (void)snprintf(identity.name, sizeof(identity.name), "%s", config->name);
    if (!join) {
        member_config_founding(config, &founding);
        raft_configuration_encode(&founding, &identity.founding);
    }
    struct reason reason = {0};
    enum error error = member_dir_format(config->dir, &identity, 0, &reason);
    if (error == ERR_OK) {
        (void)printf("member %s is ready in %s%s\n",
                     config->name,
                     config->dir,
                     join ? ", to join its cluster" : "");
    } else {
        (void)fprintf(stderr, "indaba member init: %s\n", reason.text);
    }
    member_identity_deinit(&identity);
    return error == ERR_OK ? CLI_OK : CLI_FAILED;
}
