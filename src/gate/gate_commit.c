/* SPDX-License-Identifier: Apache-2.0 */
/* The checks around a commit: before it, while an error still undoes it; and after its record is
 * written and its wait for standbys is over, when nothing can be undone and the only way out is to
 * answer nobody. A transaction that has no id writes nothing that could be lost, and is let alone.
 *
 * The second check counts by itself who has flushed the record: walsenders release a waiting commit
 * by the settings that each of them has loaded, a cancelled wait ends like a successful one, and a
 * session may have asked for no wait at all. */
#include "gate/gate_parts.h"

#include <access/xact.h>
#include <access/xlog.h>
#include <miscadmin.h>
#include <storage/latch.h>
#include <utils/guc.h>
#include <utils/wait_event.h>

enum {
    LOOK_MS = 2 /* only a commit that was released too early waits here */
};

static void on_event(XactEvent event, void *ctx);
static void raise_level(void);
static const char *wait_for_members(XLogRecPtr lsn);
static bool is_held(const struct gate_view *view, XLogRecPtr lsn);

void gate_watch_commits(void)
{
    RegisterXactCallback(on_event, NULL);
}

static void on_event(XactEvent event, void *ctx)
{
    (void)ctx;
    switch (event) {
    case XACT_EVENT_PRE_COMMIT:
    case XACT_EVENT_PRE_PREPARE:
        gate_bind_child();
        if (TransactionIdIsValid(GetTopTransactionIdIfAny())) {
            gate_before("commit");
        }
        break;
    case XACT_EVENT_COMMIT:
        /* Asked again: a NOTIFY takes its id after the check before. */
        if (TransactionIdIsValid(GetTopTransactionIdIfAny())) {
            gate_after(XactLastCommitEnd);
        }
        break;
    case XACT_EVENT_PREPARE:
        gate_after(GetFlushRecPtr(NULL)); /* its record was flushed; its position is forgotten */
        break;
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PARALLEL_ABORT:
    case XACT_EVENT_PARALLEL_PRE_COMMIT:
        break;
    }
}

void gate_before(const char *what)
{
    if (gate_is_exempt()) {
        return;
    }
    const char *why = gate_why_not();
    if (why != NULL) {
        ereport(ERROR,
                (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                 errmsg("indaba: cannot %s: %s", what, why),
                 errhint("Connect to the primary again; \"indaba status\" says where it is.")));
    }
    raise_level();
}

void gate_after(XLogRecPtr lsn)
{
    if (gate_is_exempt()) {
        return;
    }
    const char *why = wait_for_members(lsn);
    if (why == NULL) {
        why = gate_why_not();
    }
    if (why != NULL) {
        gate_silence(why);
    } else {
        gate_owe_answer();
    }
}

/* For this transaction alone. Whoever set a weaker level is not told: it would be an error in most
 * of the applications that set it. */
static void raise_level(void)
{
    struct gate_view view;

    if (gate_view(&view) && view.sync != 0 &&
        synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH) {
        (void)set_config_option("synchronous_commit",
                                "on",
                                PGC_USERSET,
                                PGC_S_SESSION,
                                GUC_ACTION_LOCAL,
                                true,
                                0,
                                false);
    }
}

/* NULL once it is held by as many members as must hold it, or why it was not waited for. Nothing
 * here may raise an error: the transaction is committed. */
static const char *wait_for_members(XLogRecPtr lsn)
{
    struct gate_view view;

    for (;;) {
        const char *why = gate_why_not();
        if (why != NULL || !gate_view(&view)) {
            return why != NULL ? why : "its guardian's page cannot be read";
        }
        if (view.sync == 0 || is_held(&view, lsn)) {
            return NULL;
        }
        if (ProcDiePending || QueryCancelPending) {
            return "its wait for the standbys was ended";
        }
        int events = WaitLatch(
            MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_POSTMASTER_DEATH, LOOK_MS, PG_WAIT_EXTENSION);
        if ((events & WL_POSTMASTER_DEATH) != 0) {
            return "its server is gone";
        }
        ResetLatch(MyLatch);
    }
}

static bool is_held(const struct gate_view *view, XLogRecPtr lsn)
{
    return view->required > 0 && gate_count_flushed(view, lsn) >= view->required;
}
