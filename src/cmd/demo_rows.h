/* SPDX-License-Identifier: Apache-2.0 */
/* The rows that the demo's client saw acknowledged, ascending by id. Not for several threads at
 * once: the writer holds its lock. */
#ifndef INDABA_CMD_DEMO_ROWS_H
#define INDABA_CMD_DEMO_ROWS_H

#include <stddef.h>
#include <stdint.h>

struct acked_row {
    uint64_t id;
    uint64_t at_ms; /* monotonic */
};

struct demo_rows {
    struct acked_row *rows;
    size_t count;
};

void demo_rows_init(struct demo_rows *rows);
void demo_rows_deinit(struct demo_rows *rows);

/* Keeps the order by id; what is beyond a million rows is not remembered. */
void demo_rows_insert(struct demo_rows *rows, uint64_t id, uint64_t at_ms);

/* The longest pause between two rows of which the later came after `since_ms`, and when it ended
 * (untouched if there is none). */
uint64_t
demo_rows_gap_ms(const struct demo_rows *rows, uint64_t since_ms, uint64_t *resumed_ms_out);

/* How many of the rows are not among `present` (ascending). Prints each of them, neighbours as a
 * range. */
int64_t demo_rows_print_missing(const struct demo_rows *rows,
                                const uint64_t *present,
                                size_t present_count);

#endif
