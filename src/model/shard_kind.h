/* SPDX-License-Identifier: Apache-2.0 */
/* Which kinds of databases there are, and the little that coordinators have to know of each; the
 * rest is their drivers' (replication/driver.h). */
#ifndef INDABA_MODEL_SHARD_KIND_H
#define INDABA_MODEL_SHARD_KIND_H

#include "model/records.h"

/* "postgres"; "unknown" outside the enum. */
const char *shard_kind_name(enum shard_kind kind);
/* "": postgres. ERR_INVALID for a name that is none. */
MUST_CHECK enum error shard_kind_parse(const char *name, enum shard_kind *kind_out);
/* True if shards of it can be made. */
bool shard_kind_is_driven(enum shard_kind kind);
/* True if its commits can wait for standbys: only then can a shard of it be sync. */
bool shard_kind_has_quorum(enum shard_kind kind);

#endif
