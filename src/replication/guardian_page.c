/* SPDX-License-Identifier: Apache-2.0 */
/* The page that the database's gate reads (gate/gate_page.h): memory without a name, sealed against
 * all writers but us, whose descriptor each database inherits. Until when it says that commits may
 * be answered is never later than when we would kill. */
#include "replication/guardian_internal.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

_Static_assert((int)GUARD_MEMBERS_MAX == (int)GATE_MEMBERS_MAX, "all of them");
_Static_assert((int)GUARD_NAME_SIZE == (int)GATE_NAME_SIZE, "as they are");
_Static_assert((int)GUARD_CLIENTS_MAX == (int)GATE_SIDECARS_MAX, "all of them");

void guardian_page_open(struct guardian *guardian)
{
    char number[16];

    int fd = memfd_create("indaba-gate", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *page = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, GATE_PAGE_SIZE) == 0) {
        page = mmap(NULL, GATE_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    (void)snprintf(number, sizeof(number), "%d", fd);
    if (page == MAP_FAILED ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) !=
            0 ||
        setenv(GATE_PAGE_ENVIRONMENT, number, 1) != 0) {
        log_event(LOG_WARN,
                  "guardian.no_page",
                  "why=%s hint=%s",
                  log_quote(strerrordesc_np(errno)),
                  log_quote("the commit gate cannot be in force here: it needs memfd_create with "
                            "F_SEAL_FUTURE_WRITE, Linux 5.1"));
        (void)unsetenv(GATE_PAGE_ENVIRONMENT);
        if (page != MAP_FAILED) {
            (void)munmap(page, GATE_PAGE_SIZE);
        }
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    guardian->page_fd = fd;
    guardian->page = page;
    gate_page_write(guardian->page, &guardian->shown);
}

void guardian_page_update(struct guardian *guardian)
{
    struct gate_view view = {.epoch = guardian->epoch};

    if (guardian->page == NULL) {
        return;
    }
    if (guardian->members_epoch == guardian->epoch) {
        view = guardian->members;
        view.epoch = guardian->epoch;
    }
    if (guardian->writable && guardian->kill != KILL_KILLING) {
        view.deadline_ns = guardian->deadline_ns;
    }
    for (int i = 0; i < GUARD_CLIENTS_MAX; i++) {
        view.sidecars[i] = guardian->clients[i].fd >= 0 ? guardian->clients[i].pid : 0;
    }
    if (memcmp(&view, &guardian->shown, sizeof(view)) != 0) {
        guardian->shown = view;
        gate_page_write(guardian->page, &view);
    }
}

void guardian_page_hand_over(const struct guardian *guardian)
{
    if (guardian->page_fd >= 0) {
        (void)fcntl(guardian->page_fd, F_SETFD, 0);
    }
}

enum guard_verdict guardian_page_members(struct guardian *guardian,
                                         const struct guard_members *members)
{
    struct gate_view view = {.sync = members->sync, .required = members->required};

    if (members->count > GUARD_MEMBERS_MAX) {
        return GUARD_BAD_REQUEST;
    }
    if (members->request.epoch < guardian->epoch ||
        members->request.epoch <= guardian->fenced_epoch) {
        return GUARD_STALE;
    }
    view.names_count = members->count;
    for (uint32_t i = 0; i < members->count; i++) {
        (void)snprintf(view.names[i], GATE_NAME_SIZE, "%.63s", members->names[i]);
    }
    guardian->members = view;
    guardian->members_epoch = members->request.epoch;
    return GUARD_OK;
}
