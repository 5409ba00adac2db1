/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a configuration file, of a member if the first byte is even, else of a sidecar: it is
 * refused with a reason, or what is taken keeps the bounds that the rest relies on. */
#include "base/check.h"
#include "base/mem.h"
#include "config/member_config.h"
#include "config/sidecar_config.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_member(const char *path, struct reason *reason)
{
    struct member_config *config = mem_new(sizeof(*config));
    if (member_config_load(path, reason, config) == ERR_OK) {
        CHECK(config->members_count >= 1 && config->members_count <= MEMBERS_MAX);
        CHECK(config->regions_count >= 1 && config->regions_count <= REGIONS_MAX);
        CHECK(member_config_find(config, config->member) != NULL);
        CHECK(config->heartbeat_ms > 0 && config->election_ms > config->heartbeat_ms);
        struct raft_configuration founding;
        member_config_founding(config, &founding);
        CHECK(founding.count == config->members_count);
    } else {
        CHECK(reason->text[0] != '\0');
    }
    mem_free(config);
}

static void try_sidecar(const char *path, struct reason *reason)
{
    struct sidecar_config *config = mem_new(sizeof(*config));
    if (sidecar_config_load(path, reason, config) == ERR_OK) {
        CHECK(config->shard[0] != '\0' && config->name[0] != '\0' && config->dir[0] == '/');
    } else {
        CHECK(reason->text[0] != '\0');
    }
    mem_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    int file = memfd_create("config", MFD_CLOEXEC);
    CHECK(file >= 0);
    CHECK(write(file, data + 1, size - 1) == (ssize_t)size - 1);
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    struct reason reason = {0};
    if (data[0] % 2 == 0) {
        try_member(path, &reason);
    } else {
        try_sidecar(path, &reason);
    }
    CHECK(close(file) == 0);
    return 0;
}
