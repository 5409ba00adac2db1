/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member init --config FILE` formats the data folder that the configuration names;
 * `indaba member new-id` prints a random identity for `cluster.id` or `members[].id`. */
#include "cmd/member_init.h"

#include "base/mem.h"
#include "coordinator/member_config.h"
#include "raft/raft.h"
#include "storage/member_dir.h"

#include <stdio.h>
#include <string.h>

static int format_folder(const char *config_path);
static int new_id(void);
static int usage(void);

int member_main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "init") == 0 && strcmp(argv[2], "--config") == 0) {
        return format_folder(argv[3]);
    }
    if (argc == 2 && strcmp(argv[1], "new-id") == 0) {
        return new_id();
    }
    return usage();
}

static int format_folder(const char *config_path)
{
    char errmsg[CONFIG_ERROR_SIZE] = "";
    struct member_config *config = mem_new(sizeof(*config));
    if (member_config_load(config_path, errmsg, config) != ERR_OK) {
        (void)fprintf(stderr, "indaba member init: %s\n", errmsg);
        mem_free(config);
        return 2;
    }
    struct raft_configuration founding;
    struct member_identity identity = {.cluster = config->cluster, .member = config->member};
    (void)snprintf(identity.name, sizeof(identity.name), "%s", config->name);
    member_config_founding(config, &founding);
    raft_configuration_encode(&founding, &identity.founding);

    struct reason reason = {0};
    enum error error = member_dir_format(config->dir, &identity, 0, &reason);
    if (error == ERR_OK) {
        (void)printf("member %s is ready in %s\n", config->name, config->dir);
    } else {
        (void)fprintf(stderr, "indaba member init: %s\n", reason.text);
    }
    member_identity_deinit(&identity);
    mem_free(config);
    return error == ERR_OK ? 0 : 1;
}

static int new_id(void)
{
    uint64_t id[2];
    char text[ID128_TEXT_SIZE];
    id128_random(&id[0], &id[1]);
    (void)printf("%s\n", id128_format(id[0], id[1], text));
    return 0;
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "Usage: indaba member init --config FILE   make the member's data folder\n"
                  "       indaba member new-id               print a new identity\n");
    return 2;
}
