/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned columns for people. Cells are copied. Nothing is cut: a terminal scrolls. */
#ifndef INDABA_CMD_TABLE_H
#define INDABA_CMD_TABLE_H

#include "base/buf.h"

enum {
    TABLE_COLUMNS_MAX = 12
};

struct text_table {
    uint32_t columns;
    uint32_t rows;
    size_t widths[TABLE_COLUMNS_MAX];
    struct buf cells; /* NUL-terminated, row by row */
};

/* `header` holds `columns` names. */
void table_init(struct text_table *table, const char *const *header, uint32_t columns);
void table_deinit(struct text_table *table);
/* Exactly `columns` cells; NULL or "" is shown as "-". */
void table_row(struct text_table *table, const char *const *cells);
/* Two blanks between columns, `indent` before each line. */
void table_print(const struct text_table *table, uint32_t indent, struct buf *out);

#endif
