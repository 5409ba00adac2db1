/* SPDX-License-Identifier: Apache-2.0 */
/* Who streams from us. A walsender's name is noted when it is let in, in shared memory of ours:
 * what pg_stat_replication shows can be changed by the session. Two of one name are one member; and
 * only a running standby counts, which says what it has replayed: pg_receivewal and the stream of a
 * base backup never do. */
#include "gate/gate_parts.h"

#include <libpq/libpq-be.h>
#include <miscadmin.h>
#include <replication/walsender.h>
#include <replication/walsender_private.h>
#include <storage/ipc.h>
#include <storage/lwlock.h>
#include <storage/proc.h>
#include <storage/shmem.h>
#include <storage/spin.h>

struct sender {
    pid_t pid; /* 0: none; written last */
    char name[GATE_NAME_SIZE];
};

static void request_memory(void);
static void find_memory(void);
static void forget_sender(int code, Datum place);
static const struct sender *sender_of(pid_t pid);

static shmem_request_hook_type next_request;
static shmem_startup_hook_type next_startup;
static struct sender *senders; /* one place for each process that can be connected */

void gate_watch_senders(void)
{
    next_request = shmem_request_hook;
    shmem_request_hook = request_memory;
    next_startup = shmem_startup_hook;
    shmem_startup_hook = find_memory;
}

void gate_note_sender(void)
{
    if (!am_walsender || senders == NULL || MyProc == NULL || MyProcPort == NULL ||
        MyProc->pgprocno >= MaxBackends || MyProcPort->application_name == NULL) {
        return;
    }
    struct sender *sender = &senders[MyProc->pgprocno];
    strlcpy(sender->name, MyProcPort->application_name, sizeof(sender->name));
    pg_write_barrier();
    sender->pid = MyProcPid;
    on_shmem_exit(forget_sender, PointerGetDatum(sender));
}

uint32_t gate_count_flushed(const struct gate_view *view, XLogRecPtr lsn)
{
    uint32_t counted = 0; /* one bit a member */

    for (int i = 0; senders != NULL && i < max_wal_senders; i++) {
        WalSnd *walsnd = &WalSndCtl->walsnds[i];
        SpinLockAcquire(&walsnd->mutex);
        pid_t pid = walsnd->pid;
        bool flushed = walsnd->state >= WALSNDSTATE_STREAMING && walsnd->flush >= lsn &&
                       walsnd->apply != InvalidXLogRecPtr;
        SpinLockRelease(&walsnd->mutex);
        const struct sender *sender = pid != 0 && flushed ? sender_of(pid) : NULL;
        for (uint32_t k = 0; sender != NULL && k < view->names_count; k++) {
            if (strcmp(view->names[k], sender->name) == 0) {
                counted |= UINT32_C(1) << k;
            }
        }
    }
    return (uint32_t)__builtin_popcount(counted);
}

static void request_memory(void)
{
    if (next_request != NULL) {
        next_request();
    }
    RequestAddinShmemSpace(mul_size((Size)MaxBackends, sizeof(struct sender)));
}

static void find_memory(void)
{
    bool found = false;

    if (next_startup != NULL) {
        next_startup();
    }
    Size size = mul_size((Size)MaxBackends, sizeof(struct sender));
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    senders = ShmemInitStruct("indaba gate senders", size, &found);
    if (!found) {
        memset(senders, 0, size);
    }
    LWLockRelease(AddinShmemInitLock);
}

static void forget_sender(int code, Datum place)
{
    struct sender *sender = (struct sender *)(void *)DatumGetPointer(place);

    (void)code;
    sender->pid = 0;
}

/* The same few each time: where they were found last is looked at first. */
static const struct sender *sender_of(pid_t pid)
{
    static int recent[4];
    static unsigned next;

    for (unsigned i = 0; i < lengthof(recent); i++) {
        if (senders[recent[i]].pid == pid) {
            return &senders[recent[i]];
        }
    }
    for (int i = 0; i < MaxBackends; i++) {
        if (senders[i].pid == pid) {
            recent[next++ % lengthof(recent)] = i;
            pg_read_barrier();
            return &senders[i];
        }
    }
    return NULL;
}
