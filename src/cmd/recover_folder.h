/* SPDX-License-Identifier: Apache-2.0 */
/* A stopped member's folder, made the only member of its cluster: for when a majority of the others
 * is lost for good. What it does is two log entries, which the next start applies as it applies any
 * other: a configuration that names this member alone, and the record of it for the ledger. Nothing
 * is written before recover_folder_write, save that the log's tail is repaired as by any start. */
#ifndef INDABA_CMD_RECOVER_FOLDER_H
#define INDABA_CMD_RECOVER_FOLDER_H

#include "base/reason.h"
#include "raft/types.h"
#include "state/query.h"
#include "storage/member_identity.h"
#include "storage/quarantine_mark.h"

struct recover_folder;

struct recover_facts {
    const struct member_identity *identity; /* borrowed */
    uint64_t last_index;                    /* of the log */
    uint64_t last_term;
    uint64_t term; /* the highest that it has seen */
    uint64_t applied_index;
    struct cluster_info cluster; /* the rest: as of applied_index */
    struct ledger_head ledger;
    struct member members[MEMBERS_MAX];
    uint32_t members_count;
    bool contradicted;           /* a majority held another state than this one */
    struct quarantine_mark mark; /* if so */
    bool written;                /* it was recovered already, but for the mark */
};

/* Locks and reads it. ERR_BUSY: a process has it; ERR_PRECONDITION: it is nobody's to recover, or
 * must be started once before (the reason says why); errors as member_dir_open, wal_open,
 * store_open.
 */
MUST_CHECK enum error
recover_folder_open(const char *path, struct reason *reason, struct recover_folder **folder_out);
void recover_folder_close(struct recover_folder *folder);

const struct recover_facts *recover_folder_facts(const struct recover_folder *folder);

/* Takes the mark of a contradicted state away as well: nobody is left who could contradict it, and
 * with the mark it would never lead. Durable when it returns ERR_OK; after an error the folder is
 * as it was, or is done, or done but for the mark: the next start or the next recover_folder_open
 * tells. */
MUST_CHECK enum error recover_folder_write(struct recover_folder *folder,
                                           const char *why,
                                           uint64_t wall_ms,
                                           struct reason *reason);

#endif
