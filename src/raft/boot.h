/* SPDX-License-Identifier: Apache-2.0 */
/* From what recovery found to a core's log and terms. */
#ifndef INDABA_RAFT_BOOT_H
#define INDABA_RAFT_BOOT_H

#include "raft/raft.h"

/* Fills terms, log, disk and indexes of a fresh core. */
void boot_load(struct raft *raft, const struct raft_recovered *recovered);

#endif
