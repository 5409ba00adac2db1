/* SPDX-License-Identifier: Apache-2.0 */
/* What was acknowledged, and what of it is missing: the list of lost rows is printed whole, since
 * in async mode the demo's promise is that exactly the listed rows are lost. */
#include "cmd/demo_rows.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    ROWS_MAX = 1000000
};

static void print_range(uint64_t first, uint64_t last);

void demo_rows_init(struct demo_rows *rows)
{
    rows->rows = mem_new_array(ROWS_MAX, sizeof(*rows->rows));
    rows->count = 0;
}

void demo_rows_deinit(struct demo_rows *rows)
{
    mem_free(rows->rows);
    rows->rows = NULL;
    rows->count = 0;
}

void demo_rows_insert(struct demo_rows *rows, uint64_t id, uint64_t at_ms)
{
    if (rows->count == ROWS_MAX) {
        return;
    }
    size_t at = rows->count++;
    while (at > 0 && rows->rows[at - 1].id > id) {
        rows->rows[at] = rows->rows[at - 1];
        at--;
    }
    rows->rows[at] = (struct acked_row){.id = id, .at_ms = at_ms};
}

uint64_t demo_rows_gap_ms(const struct demo_rows *rows, uint64_t since_ms, uint64_t *resumed_ms_out)
{
    uint64_t gap_ms = 0;
    for (size_t i = 1; i < rows->count; i++) {
        uint64_t pause_ms = rows->rows[i].at_ms - rows->rows[i - 1].at_ms;
        if (rows->rows[i].at_ms > since_ms && pause_ms > gap_ms) {
            gap_ms = pause_ms;
            *resumed_ms_out = rows->rows[i].at_ms;
        }
    }
    return gap_ms;
}

int64_t
demo_rows_print_missing(const struct demo_rows *rows, const uint64_t *present, size_t present_count)
{
    int64_t missing = 0;
    size_t at = 0;
    uint64_t first = 0; /* of the range that is open; 0: none is */
    uint64_t last = 0;
    for (size_t i = 0; i < rows->count; i++) {
        uint64_t id = rows->rows[i].id;
        while (at < present_count && present[at] < id) {
            at++;
        }
        if (at < present_count && present[at] == id) {
            continue;
        }
        missing++;
        if (first == 0 || id != last + 1) {
            print_range(first, last);
            first = id;
        }
        last = id;
    }
    print_range(first, last);
    return missing;
}

static void print_range(uint64_t first, uint64_t last)
{
    if (first != 0 && first == last) {
        (void)printf("lost: row %" PRIu64 "\n", first);
    } else if (first != 0) {
        (void)printf("lost: rows %" PRIu64 " to %" PRIu64 "\n", first, last);
    }
}
