/* SPDX-License-Identifier: Apache-2.0 */
/* What the page says. Without one (a server that no guardian started) nobody commits: such a start
 * is not the coordinators' doing. */
#include "gate/gate_parts.h"

#include <access/parallel.h>
#include <libpq/libpq-be.h>
#include <miscadmin.h>
#include <postmaster/autovacuum.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_sidecar(void);
static pid_t peer_pid(void);

static const struct gate_page *page;

void gate_map_page(void)
{
    const char *number = getenv(GATE_PAGE_ENVIRONMENT);
    struct stat status;

    if (number == NULL) {
        return;
    }
    int fd = (int)strtol(number, NULL, 10);
    if (fd > STDERR_FILENO && fstat(fd, &status) == 0 && status.st_size == GATE_PAGE_SIZE) {
        void *mapped = mmap(NULL, GATE_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED) {
            page = mapped;
        }
        (void)close(fd);
    }
    (void)unsetenv(GATE_PAGE_ENVIRONMENT);
}

bool gate_is_in_force(void)
{
    return page != NULL;
}

bool gate_view(struct gate_view *view_out)
{
    return page != NULL && gate_page_read(page, view_out);
}

const char *gate_why_not(void)
{
    struct gate_view view;

    if (page == NULL) {
        return "this server was not started by its guardian";
    }
    if (!gate_page_read(page, &view)) {
        return "its guardian's page cannot be read";
    }
    if (view.deadline_ns == 0) {
        return "the coordinators have not made this instance the primary";
    }
    uint64_t now_ns = gate_now_ns();
    if (now_ns == 0 || now_ns >= view.deadline_ns) {
        return "its lease is over";
    }
    return NULL;
}

bool gate_is_exempt(void)
{
    return !IsUnderPostmaster || IsAutoVacuumWorkerProcess() || IsAutoVacuumLauncherProcess() ||
           IsParallelWorker() || is_sidecar();
}

/* Told apart by its process, which the kernel names, and by nothing that a client could say. */
static bool is_sidecar(void)
{
    struct gate_view view;
    pid_t pid = peer_pid();

    if (pid <= 0 || !gate_view(&view)) {
        return false;
    }
    for (int i = 0; i < GATE_SIDECARS_MAX; i++) {
        if (view.sidecars[i] == pid) {
            return true;
        }
    }
    return false;
}

static pid_t peer_pid(void)
{
    static struct ucred peer; /* a session has one, and asks with each commit */
    socklen_t len = sizeof(peer);

    if (peer.pid != 0) {
        return peer.pid;
    }
    if (MyProcPort == NULL || MyProcPort->raddr.addr.ss_family != AF_UNIX ||
        getsockopt(MyProcPort->sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return 0;
    }
    return peer.pid;
}
