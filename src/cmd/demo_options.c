/* SPDX-License-Identifier: Apache-2.0 */
/* The words of `indaba demo`. */
#include "base/check.h"
#include "cmd/demo.h"

#include <stdio.h>
#include <string.h>

static bool parse_kill(struct demo *demo, const char *text);

bool demo_options_parse(struct demo *demo, int argc, char **argv, int *exit_out)
{
    const char *mode = "sync";
    const char *kill = "region";
    const char *regions = "3";
    const char *dir = "";
    const char *no_databases = NULL;
    const char *keep = NULL;
    const char *after = "3000";
    const struct cli_option options[] = {
        {"mode", "sync|async", "sync loses nothing, default", &mode},
        {"kill", "WHAT", "process, instance, region (default), freeze, none", &kill},
        {"regions", "3|5", "one coordinator and one database in each", &regions},
        {"dir", "DIR", "work here and leave everything behind", &dir},
        {"kill-after", "MS", "write so long before, default 3000", &after},
        {"no-databases", NULL, "coordinators only", &no_databases},
        {"keep", NULL, "stay up afterwards, until Ctrl-C", &keep},
        {NULL, NULL, NULL, NULL},
    };
    const struct cli_words words = {.options = options, .usage = "[options]"};
    cli_init(&demo->cli, "demo");
    if (!cli_parse(&demo->cli, &words, argc, argv, exit_out)) {
        return false;
    }
    *exit_out = CLI_USAGE;
    uint64_t count = 0;
    if (!parse_kill(demo, kill) || !cli_number("--regions", regions, 5, &count) ||
        !cli_number("--kill-after", after, 600000, &demo->kill_after_ms)) {
        return false;
    }
    if (count != 3 && count != 5) {
        (void)fprintf(stderr, "indaba demo: --regions is 3 or 5\n");
        return false;
    }
    if (strcmp(mode, "sync") != 0 && strcmp(mode, "async") != 0) {
        (void)fprintf(stderr, "indaba demo: --mode is sync or async\n");
        return false;
    }
    demo->regions_count = (uint32_t)count;
    demo->async = strcmp(mode, "async") == 0;
    demo->databases = no_databases == NULL;
    demo->keep = keep != NULL;
    (void)snprintf(demo->dir, sizeof(demo->dir), "%s", dir);
    return true;
}

static bool parse_kill(struct demo *demo, const char *text)
{
    static const char *const NAMES[] = {"region", "instance", "process", "freeze", "none"};
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (strcmp(text, NAMES[i]) == 0) {
            demo->kill = (enum demo_kill)i;
            return true;
        }
    }
    (void)fprintf(stderr, "indaba demo: --kill is process, instance, region, freeze or none\n");
    return false;
}
