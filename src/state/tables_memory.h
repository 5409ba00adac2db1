/* SPDX-License-Identifier: Apache-2.0 */
/* The tables in memory: for unit tests and the simulator. Ordered, deterministic, no transactions:
 * the owner applies one entry after the other, as the apply thread does. */
#ifndef INDABA_STATE_TABLES_MEMORY_H
#define INDABA_STATE_TABLES_MEMORY_H

#include "state/tables.h"

struct tables_memory;

struct tables_memory *tables_memory_new(void);
/* NULL is allowed. */
void tables_memory_free(struct tables_memory *memory);
/* The interface; valid until tables_memory_free. */
struct tables tables_memory_tables(struct tables_memory *memory);
/* An independent copy, as a crashed member finds what it had committed. */
struct tables_memory *tables_memory_dup(const struct tables_memory *memory);
/* Rows of a table. */
uint64_t tables_memory_count(const struct tables_memory *memory, enum table table);

#endif
