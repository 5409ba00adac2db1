/* SPDX-License-Identifier: Apache-2.0 */
/* One host of the world: a network namespace whose only way out is a TUN device that this program
 * holds. Nothing outside of this process keeps the namespace, so nothing is left behind. */
#include "base/check.h"
#include "jepsen/fabric.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static __attribute__((noreturn)) void give_up(const char *what)
{
    char reason[64];

    (void)printf("error: %s: %s\n", what, strerror_r(errno, reason, sizeof(reason)));
    (void)fflush(stdout);
    exit(1);
}

static void name_device(struct ifreq *request, const char *name)
{
    memset(request, 0, sizeof(*request));
    (void)snprintf(request->ifr_name, sizeof(request->ifr_name), "%s", name);
}

static void set_address(int socket_fd, unsigned long what, uint32_t address)
{
    struct ifreq request;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = address};

    name_device(&request, "far0");
    memcpy(&request.ifr_addr, &in, sizeof(in));
    if (ioctl(socket_fd, what, &request) != 0) {
        give_up("the address of a host's device");
    }
}

static void bring_up(int socket_fd, const char *name)
{
    struct ifreq request;

    name_device(&request, name);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(socket_fd, SIOCSIFFLAGS, &request) != 0) {
        give_up("a host's device does not come up");
    }
}

static int open_device(void)
{
    struct ifreq request;
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (device < 0) {
        give_up("/dev/net/tun");
    }
    name_device(&request, "far0");
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (ioctl(device, TUNSETIFF, &request) != 0) {
        give_up("a TUN device");
    }
    return device;
}

void fabric_host_make(struct fabric_host *host, const char *name, const char *address)
{
    struct ifreq request;

    (void)snprintf(host->name, sizeof(host->name), "%s", name);
    CHECK(inet_pton(AF_INET, address, &host->address) == 1);
    if (unshare(CLONE_NEWNET) != 0) {
        give_up("a network namespace");
    }
    host->namespace_fd = open("/proc/self/ns/net", O_RDONLY); /* seen by others below /proc */
    host->device = open_device();
    int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (host->namespace_fd < 0 || socket_fd < 0) {
        give_up("a socket in a namespace");
    }
    bring_up(socket_fd, "lo");
    set_address(socket_fd, SIOCSIFADDR, host->address);
    set_address(socket_fd, SIOCSIFNETMASK, htonl(UINT32_C(0xFF000000)));
    name_device(&request, "far0");
    request.ifr_mtu = FABRIC_MTU;
    if (ioctl(socket_fd, SIOCSIFMTU, &request) != 0) {
        give_up("the size of packets");
    }
    bring_up(socket_fd, "far0");
    (void)close(socket_fd);
}
