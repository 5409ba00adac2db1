/* SPDX-License-Identifier: Apache-2.0 */
/* The commit gate: a module that PostgreSQL loads at its start. It lets a transaction commit only
 * while the guardian's page says that this instance may be written, and lets its answer out only if
 * that is still so afterwards (README.md). It is passive wherever nobody is answered: initdb,
 * single-user mode, pg_upgrade; and where it is loaded later than at the start. */
#include "gate/gate_parts.h"

#include <fmgr.h>
#include <miscadmin.h>
#include <utils/guc.h>

PG_MODULE_MAGIC;

/* NOLINTNEXTLINE: the name is PostgreSQL's. */
PGDLLEXPORT void _PG_init(void);

static const char *show_state(void);

static char *state_text;

/* NOLINTNEXTLINE: as above. */
void _PG_init(void)
{
    if (!process_shared_preload_libraries_in_progress || !IsPostmasterEnvironment ||
        IsUnderPostmaster || IsBinaryUpgrade) {
        return;
    }
    DefineCustomStringVariable("indaba.gate",
                               "Whether the commit gate is in force.",
                               NULL,
                               &state_text,
                               "",
                               PGC_INTERNAL,
                               GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
                               NULL,
                               NULL,
                               show_state);
    MarkGUCPrefixReserved("indaba");
    gate_map_page();
    gate_watch_senders();
    gate_watch_children();
    gate_watch_answers();
    gate_watch_commits();
    gate_watch_statements();
}

static const char *show_state(void)
{
    return gate_is_in_force() ? "in force" : "without a page";
}
