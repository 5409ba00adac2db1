/* SPDX-License-Identifier: Apache-2.0 */
/* A port is reserved by a lock on a file named after it, held until the process ends; binding it
 * once shows that nobody outside the tests has it. */
#include "tests/support/support_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    PORT_FIRST = 12000,
    PORTS = 9000, /* `indaba demo` takes those above */
    LOCK_MODE = 0666,
    FOLDER_MODE = 0777
};

#define LOCK_FOLDER "/var/tmp/indaba-ports"

static bool lock_port(unsigned port);
static bool is_free(unsigned port);

uint16_t support_free_port(void)
{
    static unsigned given;

    /* Processes start at different places, so that they rarely meet. */
    unsigned start = (unsigned)getpid() * 37;
    while (given < PORTS) {
        unsigned port = PORT_FIRST + (start + given++) % PORTS;
        if (lock_port(port) && is_free(port)) {
            return (uint16_t)port;
        }
    }
    fail_msg("no free port from %d to %d", PORT_FIRST, PORT_FIRST + PORTS);
    return 0;
}

/* The descriptor stays open on purpose: the lock ends with the process. */
static bool lock_port(unsigned port)
{
    char path[64];

    if (mkdir(LOCK_FOLDER, FOLDER_MODE) == 0) {
        (void)chmod(LOCK_FOLDER, FOLDER_MODE);
    }
    (void)snprintf(path, sizeof(path), LOCK_FOLDER "/%u", port);
    int fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, LOCK_MODE);
    if (fd < 0) {
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return false;
    }
    return true;
}

static bool is_free(unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
                 bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return bound;
}
