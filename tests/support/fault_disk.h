/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory that behaves as badly as real ones may: what is not synced can be lost, kept or
 * torn by a crash, in any combination; names that are not synced disappear; the nth call fails;
 * space runs out; and a sync that failed once leaves its pages clean but not written (fsyncgate).
 * Every choice is drawn from one seeded stream. One thread at a time. */
#ifndef INDABA_TESTS_FAULT_DISK_H
#define INDABA_TESTS_FAULT_DISK_H

#include "base/buf.h"
#include "base/prng.h"
#include "storage/disk.h"

struct fault_disk;

struct fault_disk *fault_disk_new(uint64_t seed);
void fault_disk_free(struct fault_disk *fault);
/* The operations; hold as long as the fault_disk. */
const struct disk *fault_disk_ops(struct fault_disk *fault);

/* Power is cut: all handles are void; each unsynced write survives whole, not at all, or in part
 * (torn at any byte); names go back to the last synced folder plus a prefix of later changes. */
void fault_disk_crash(struct fault_disk *fault);
/* The process is killed: handles are void, the operating system keeps everything as it was seen. */
void fault_disk_kill(struct fault_disk *fault);

/* The `nth` changing call from now on (1: the next) fails with `error`; 0 turns it off. Changing
 * calls: create, write, sync, allocate, rename, remove, sync_dir. A failed write may have written a
 * part; a failed sync drops its dirty pages from the list of those still to be written. */
void fault_disk_fail_nth(struct fault_disk *fault, uint64_t nth, enum error error);
/* As above, counting syncs of files only. */
void fault_disk_fail_nth_sync(struct fault_disk *fault, uint64_t nth, enum error error);
/* Bytes that all files together may have; writes and allocations beyond give ERR_NO_SPACE. */
void fault_disk_set_capacity(struct fault_disk *fault, uint64_t bytes);

/* `hook` is called at the beginning of each sync of a file, on the thread that makes it: a test can
 * hold a sync back there, or look at the disk while it is under way. NULL clears. */
void fault_disk_on_sync(struct fault_disk *fault, void (*hook)(void *hook_ctx), void *hook_ctx);

/* Changing calls and syncs of files so far. */
uint64_t fault_disk_changes(const struct fault_disk *fault);
uint64_t fault_disk_syncs(const struct fault_disk *fault);

/* The bytes of a file as a process would read them, borrowed until the next call; a CHECK fails if
 * there is none. */
struct slice fault_disk_view(const struct fault_disk *fault, const char *path);
/* Changes bytes at rest, behind everybody's back: rot. */
void fault_disk_flip(struct fault_disk *fault, const char *path, uint64_t offset, uint8_t mask);
/* Replaces or makes a file, durably. */
void fault_disk_put(struct fault_disk *fault, const char *path, struct slice bytes);

#endif
