/* SPDX-License-Identifier: Apache-2.0 */
/* Judges histories made by hand: histories.h. */
#include "tests/unit/jepsen/histories.h"

#include "base/check.h"

#include <stdlib.h>

static char *said;
static size_t said_len;

uint32_t judged(judge_fn judge, const char *text)
{
    struct history history;

    free(said);
    said = NULL;
    FILE *out = open_memstream(&said, &said_len);
    CHECK(out != NULL);
    bool read = history_parse(text, &history);
    if (!read) {
        (void)fprintf(stderr, "%s\n", history.error);
    }
    CHECK(read);
    uint32_t violations = judge(&history, out);
    history_deinit(&history);
    (void)fclose(out);
    return violations;
}

const char *judged_text(void)
{
    return said;
}
