/* SPDX-License-Identifier: Apache-2.0 */
/* check JUDGE… FILE: judges a history (tests/support/judge.h) and says for each judge how many
 * violations it found. Exit code 0: none; 1: some; 2: no such judge, or no history. */
#include "base/check.h"
#include "tests/support/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct judge *judge_named(const char *name)
{
    for (size_t i = 0; i < JUDGES_COUNT; i++) {
        if (strcmp(JUDGES[i].name, name) == 0) {
            return &JUDGES[i];
        }
    }
    return NULL;
}

static int usage(void)
{
    (void)fprintf(stderr, "usage: check JUDGE… FILE\n");
    for (size_t i = 0; i < JUDGES_COUNT; i++) {
        (void)fprintf(stderr, "  %-9s %s\n", JUDGES[i].name, JUDGES[i].about);
    }
    return 2;
}

int main(int argc, char **argv)
{
    struct history history;
    uint32_t sum = 0;

    if (argc < 3) {
        return usage();
    }
    for (int i = 1; i < argc - 1; i++) {
        if (judge_named(argv[i]) == NULL) {
            return usage();
        }
    }
    FILE *file = fopen(argv[argc - 1], "re");
    if (file == NULL) {
        (void)fprintf(stderr, "%s: cannot be read\n", argv[argc - 1]);
        return 2;
    }
    bool read = history_read(file, &history);
    (void)fclose(file);
    if (!read) {
        (void)fprintf(stderr, "%s: %s\n", argv[argc - 1], history.error);
        history_deinit(&history);
        return 2;
    }
    for (int i = 1; i < argc - 1; i++) {
        const struct judge *judge = judge_named(argv[i]);
        CHECK(judge != NULL);
        uint32_t violations = judge->run(&history, stdout);
        (void)printf("check: %s violations=%" PRIu32 "\n", argv[i], violations);
        sum += violations;
    }
    history_deinit(&history);
    return sum == 0 ? 0 : 1;
}
