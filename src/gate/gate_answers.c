/* SPDX-License-Identifier: Apache-2.0 */
/* What a session sends. Between the last check of a commit and the system call that sends its
 * answer a process may be stopped for any time, with its whole machine; so whatever is sent while
 * an answer is owed is preceded by one more look at the deadline. A few instructions are left in
 * between. */
#include "gate/gate_parts.h"

#include <libpq/libpq-be.h>
#include <libpq/libpq.h>
#include <miscadmin.h>
#include <replication/walsender.h>
#include <tcop/dest.h>
#include <tcop/tcopprot.h>

#include <sys/socket.h>

static void take_over(void);
static bool may_send(void);
static int flush(void);
static int flush_if_writable(void);
static int put_message(char kind, const char *text, size_t len);
static void put_message_noblock(char kind, const char *text, size_t len);

static const PQcommMethods *inner; /* before we took over */
static PQcommMethods methods;
static bool owed;   /* a commit whose answer is not sent yet */
static bool silent; /* nothing is sent any more */

void gate_watch_answers(void)
{
    owed = false;
    silent = false;
}

void gate_owe_answer(void)
{
    if (MyProcPort == NULL || am_walsender) {
        return;
    }
    take_over();
    owed = true;
}

/* As a wait for replication that is ended by a shutdown does: the transaction stays as it is,
 * nobody hears of it, and the process ends before it reads another message. After the commit record
 * an error would be a crash of the whole server. */
void gate_silence(const char *why)
{
    bool first = !silent;

    whereToSendOutput = DestNone;
    silent = true;
    ProcDiePending = true;
    InterruptPending = true;
    if (MyProcPort != NULL) {
        take_over();
        (void)shutdown(MyProcPort->sock, SHUT_RDWR); /* also of what waits in a buffer */
    }
    if (first) {
        ereport(LOG,
                (errmsg_internal("indaba: a commit is not answered: %s", why),
                 errhidestmt(true),
                 errhidecontext(true)));
    }
}

static void take_over(void)
{
    if (PqCommMethods == &methods) {
        return;
    }
    inner = PqCommMethods;
    methods = *inner;
    methods.flush = flush;
    methods.flush_if_writable = flush_if_writable;
    methods.putmessage = put_message;
    methods.putmessage_noblock = put_message_noblock;
    PqCommMethods = &methods;
}

static bool may_send(void)
{
    if (owed && !silent) {
        const char *why = gate_why_not();
        if (why != NULL) {
            gate_silence(why);
        }
    }
    return !silent;
}

static int flush(void)
{
    if (!may_send()) {
        return EOF;
    }
    int result = inner->flush();
    owed = false;
    return result;
}

static int flush_if_writable(void)
{
    return may_send() ? inner->flush_if_writable() : EOF;
}

/* It sends what is there when the buffer is full. */
static int put_message(char kind, const char *text, size_t len)
{
    return may_send() ? inner->putmessage(kind, text, len) : EOF;
}

static void put_message_noblock(char kind, const char *text, size_t len)
{
    if (may_send()) {
        inner->putmessage_noblock(kind, text, len);
    }
}
