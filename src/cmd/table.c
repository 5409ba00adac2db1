/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/table.h. Widths are counted in UTF-8 characters. */
#include "cmd/table.h"

#include "base/check.h"

#include <string.h>

static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

void table_init(struct text_table *table, const char *const *header, uint32_t columns)
{
    CHECK(columns > 0);
    CHECK(columns <= TABLE_COLUMNS_MAX);
    *table = (struct text_table){.columns = columns};
    table_row(table, header);
}

void table_deinit(struct text_table *table)
{
    buf_deinit(&table->cells);
}

void table_row(struct text_table *table, const char *const *cells)
{
    for (uint32_t i = 0; i < table->columns; i++) {
        const char *cell = cells[i] == NULL || cells[i][0] == '\0' ? "-" : cells[i];
        size_t width = text_width(cell);
        if (width > table->widths[i]) {
            table->widths[i] = width;
        }
        buf_append(&table->cells, cell, strlen(cell) + 1);
    }
    table->rows++;
}

void table_print(const struct text_table *table, uint32_t indent, struct buf *out)
{
    const char *cell = (const char *)table->cells.data;
    for (uint32_t row = 0; row < table->rows; row++) {
        buf_printf(out, "%*s", (int)indent, "");
        for (uint32_t i = 0; i < table->columns; i++) {
            buf_append_string(out, cell);
            if (i + 1 < table->columns) {
                size_t pad = table->widths[i] - text_width(cell) + 2;
                buf_printf(out, "%*s", (int)pad, "");
            }
            cell += strlen(cell) + 1;
        }
        buf_append_string(out, "\n");
    }
}
