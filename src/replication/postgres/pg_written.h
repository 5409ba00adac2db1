/* SPDX-License-Identifier: Apache-2.0 */
/* What was last written into the files of settings, so that a look can tell that somebody else
 * wrote there since. Noted by the action thread, compared by the probe thread. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_WRITTEN_H
#define INDABA_REPLICATION_POSTGRES_PG_WRITTEN_H

#include "base/hash.h"

#include <pthread.h>

struct pg_place;

enum pg_written_file {
    PG_WRITTEN_HBA,
    PG_WRITTEN_IDENT,
    PG_WRITTEN_CONF,
    PG_WRITTEN_INCLUDED,
    PG_WRITTEN_PASSWORDS,
    PG_WRITTEN_DOORS,
    PG_WRITTEN_COUNT
};

struct pg_written {
    pthread_mutex_t lock;
    bool known[PG_WRITTEN_COUNT]; /* written in this run of the sidecar */
    struct sha256 digests[PG_WRITTEN_COUNT];
};

void pg_written_init(struct pg_written *written);
void pg_written_deinit(struct pg_written *written);
/* A file of this name has this content now; other names are not kept. `written` NULL: nobody asks.
 */
void pg_written_note(struct pg_written *written, const char *name, const struct buf *text);
/* The name of a file whose content is not what was written, NULL if there is none. A file that was
 * not written in this run is not judged. */
const char *pg_written_foreign(const struct pg_place *place);

#endif
