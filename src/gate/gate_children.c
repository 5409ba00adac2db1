/* SPDX-License-Identifier: Apache-2.0 */
/* No child outlives its postmaster: each backend is a session of its own, and one that computes
 * does not look whether its postmaster lives; it would finish, and answer. The kernel ends it
 * instead. Bound is whoever is let in, before its first statement, and any other process before its
 * first commit; it takes the place of PostgreSQL's own, weaker signal. */
#include "gate/gate_parts.h"

#include <libpq/auth.h>
#include <miscadmin.h>

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void on_authentication(Port *port, int status);

static ClientAuthentication_hook_type next_authentication;
static bool bound;

void gate_watch_children(void)
{
    next_authentication = ClientAuthentication_hook;
    ClientAuthentication_hook = on_authentication;
}

void gate_bind_child(void)
{
    if (bound || !IsUnderPostmaster) {
        return;
    }
    /* It may have died before this. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != PostmasterPid) {
        _exit(2);
    }
    bound = true;
}

static void on_authentication(Port *port, int status)
{
    gate_bind_child();
    if (next_authentication != NULL) {
        next_authentication(port, status);
    }
    if (status == STATUS_OK) {
        gate_note_sender();
    }
}
