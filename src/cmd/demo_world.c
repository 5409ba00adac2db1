/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's folder, free ports, certificates and configuration files. Traps of a fresh Debian that
 * are avoided here: root's home is closed to the database's user (the folder is under /var/tmp,
 * open along its whole path), sockets have short paths, ports in use are gone around. */
#include "base/check.h"
#include "base/ids.h"
#include "cmd/demo.h"
#include "rpc/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PORT_FIRST = 21000,
    PORT_LAST = 31999,
    SECRET_SIZE = 33,
    OPEN_FILES_MAX = 16,
    PASSWD_SIZE = 4096
};

static const char *const REGION_NAMES[DEMO_REGIONS_MAX] = {
    "africa", "europe", "asia", "americas", "oceania"};

static bool make_dir(struct demo *demo);
static bool make_regions(struct demo *demo);
static bool make_certificates(struct demo *demo);
static bool issue(struct demo *demo, const char *name, const char *spiffe_path);
static bool write_configs(struct demo *demo);
static bool
write_member(const struct demo *demo, const struct demo_region *region, const char *cluster);
static bool
write_sidecar(const struct demo *demo, const struct demo_region *region, const char *secret);
static bool format_member(struct demo *demo, const struct demo_region *region);
static bool write_file(const char *path, const struct buf *content);
static uint16_t free_port(uint16_t *next);
static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where);

bool demo_world_make(struct demo *demo)
{
    /* Databases refuse to run as root; the sidecar finds the user by name. */
    struct passwd entry;
    struct passwd *user = NULL;
    char text[PASSWD_SIZE];
    bool root = geteuid() == 0;
    if (!root && (getpwuid_r(geteuid(), &entry, text, sizeof(text), &user) != 0 || user == NULL)) {
        demo->failure = "this user has no name";
        return false;
    }
    (void)snprintf(demo->user, sizeof(demo->user), "%s", root ? "postgres" : entry.pw_name);
    if (!make_dir(demo) || !make_regions(demo) || !make_certificates(demo) ||
        !write_configs(demo)) {
        return false;
    }
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        if (!format_member(demo, &demo->regions[i])) {
            return false;
        }
    }
    return true;
}

void demo_world_remove(const struct demo *demo)
{
    if (demo->dir_is_ours) {
        (void)nftw(demo->dir, remove_one, OPEN_FILES_MAX, FTW_DEPTH | FTW_PHYS);
    }
}

static bool make_dir(struct demo *demo)
{
    if (demo->dir[0] == '\0') {
        (void)snprintf(demo->dir, sizeof(demo->dir), "/var/tmp/indaba-demo-XXXXXX");
        if (mkdtemp(demo->dir) == NULL) {
            demo->failure = "no folder could be made under /var/tmp";
            return false;
        }
        demo->dir_is_ours = true;
    } else if (demo->dir[0] != '/' || strlen(demo->dir) > DEMO_DIR_MAX) {
        demo->failure =
            "--dir must be an absolute path of at most 48 bytes (sockets have short paths)";
        return false;
    } else if (mkdir(demo->dir, 0755) != 0) {
        demo->failure = "--dir must name a folder that does not exist yet";
        return false;
    }
    if (chmod(demo->dir, 0755) != 0) {
        demo->failure = "the demo's folder could not be opened to the database's user";
        return false;
    }
    (void)snprintf(demo->certs, sizeof(demo->certs), "%.200s/certs", demo->dir);
    return true;
}

static bool make_regions(struct demo *demo)
{
    uint16_t next = (uint16_t)(PORT_FIRST + (getpid() * 37) % 9000);
    size_t used = 0;
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        struct demo_region *region = &demo->regions[i];
        region->name = REGION_NAMES[i];
        (void)snprintf(region->dir, DEMO_PATH_SIZE, "%.200s/%s", demo->dir, region->name);
        (void)snprintf(region->member_config, DEMO_PATH_SIZE, "%.230s/member.yaml", region->dir);
        (void)snprintf(region->sidecar_config, DEMO_PATH_SIZE, "%.230s/sidecar.yaml", region->dir);
        (void)snprintf(region->member_log, DEMO_PATH_SIZE, "%.230s/member.log", region->dir);
        (void)snprintf(region->sidecar_log, DEMO_PATH_SIZE, "%.230s/sidecar.log", region->dir);
        if (mkdir(region->dir, 0755) != 0 || chmod(region->dir, 0755) != 0) {
            demo->failure = "a region's folder could not be made";
            return false;
        }
        uint64_t id[2];
        id128_random(&id[0], &id[1]);
        (void)id128_format(id[0], id[1], region->member_id);
        region->peer_port = free_port(&next);
        region->api_port = free_port(&next);
        region->ops_port = free_port(&next);
        region->database_port = free_port(&next);
        region->http_port = free_port(&next);
        if (region->http_port == 0) {
            demo->failure = "no free ports between 21000 and 31999";
            return false;
        }
        int len = snprintf(demo->members + used,
                           sizeof(demo->members) - used,
                           "%s127.0.0.1:%u",
                           i == 0 ? "" : ",",
                           region->api_port);
        CHECK(len > 0);
        used += (size_t)len;
    }
    return true;
}

static bool make_certificates(struct demo *demo)
{
    static struct reason reason = {0};
    if (cert_create_ca(demo->certs, "indaba.local", &reason) != ERR_OK) {
        demo->failure = reason.text;
        return false;
    }
    if (!issue(demo, "operator", "/operator/operator")) {
        return false;
    }
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        char name[64];
        char path[96];
        (void)snprintf(name, sizeof(name), "member-%s", demo->regions[i].name);
        (void)snprintf(path, sizeof(path), "/member/%s", demo->regions[i].name);
        if (!issue(demo, name, path)) {
            return false;
        }
        (void)snprintf(name, sizeof(name), "sidecar-%s", demo->regions[i].name);
        (void)snprintf(path, sizeof(path), "/sidecar/main/%s", demo->regions[i].name);
        if (!issue(demo, name, path)) {
            return false;
        }
    }
    return true;
}

static bool issue(struct demo *demo, const char *name, const char *spiffe_path)
{
    static struct reason reason = {0};
    static const char *const HOSTS[] = {"127.0.0.1"};
    struct cert_request request = {
        .name = name,
        .spiffe_path = spiffe_path,
        .hosts = HOSTS,
        .hosts_count = 1,
    };
    if (cert_issue(demo->certs, &request, &reason) != ERR_OK) {
        demo->failure = reason.text;
        return false;
    }
    return true;
}

static bool write_configs(struct demo *demo)
{
    char cluster[ID128_TEXT_SIZE];
    char secret[SECRET_SIZE];
    uint64_t id[2];
    id128_random(&id[0], &id[1]);
    (void)id128_format(id[0], id[1], cluster);
    id128_random(&id[0], &id[1]);
    (void)id128_format(id[0], id[1], secret);
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        if (!write_member(demo, &demo->regions[i], cluster) ||
            !write_sidecar(demo, &demo->regions[i], secret)) {
            demo->failure = "a configuration file could not be written";
            return false;
        }
    }
    return true;
}

static bool
write_member(const struct demo *demo, const struct demo_region *region, const char *cluster)
{
    struct buf text = {0};
    buf_printf(&text, "cluster: {id: \"%s\", name: demo, lease_ms: 3000}\n", cluster);
    buf_printf(&text, "member: {name: %s, dir: %s/member}\nmembers:\n", region->name, region->dir);
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        const struct demo_region *other = &demo->regions[i];
        buf_printf(&text,
                   "  - {id: \"%s\", name: %s, region: %s, peer: \"127.0.0.1:%u\", "
                   "api: \"127.0.0.1:%u\", ops: \"127.0.0.1:%u\"}\n",
                   other->member_id,
                   other->name,
                   other->name,
                   other->peer_port,
                   other->api_port,
                   other->ops_port);
    }
    buf_append_string(&text, "regions:\n");
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        buf_printf(&text, "  - {name: %s, rank: %u}\n", demo->regions[i].name, i);
    }
    buf_printf(&text,
               "tls: {ca: %s/ca.pem, cert: %s/member-%s.pem, key: %s/member-%s.key}\n",
               demo->certs,
               demo->certs,
               region->name,
               demo->certs,
               region->name);
    bool ok = write_file(region->member_config, &text);
    buf_deinit(&text);
    return ok;
}

static bool
write_sidecar(const struct demo *demo, const struct demo_region *region, const char *secret)
{
    struct buf text = {0};
    buf_append_string(&text, "cluster: {members: [");
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        buf_printf(&text, "%s\"127.0.0.1:%u\"", i == 0 ? "" : ", ", demo->regions[i].api_port);
    }
    buf_printf(&text,
               "]}\ninstance: {shard: main, name: %s, region: %s, dir: %s/db, "
               "address: \"127.0.0.1:%u\", http: \"127.0.0.1:%u\"}\n",
               region->name,
               region->name,
               region->dir,
               region->database_port,
               region->http_port);
    buf_printf(&text,
               "postgres: {user: \"%s\", replication_password: \"%s\", "
               "hba: \"host all all 127.0.0.1/32 trust\"}\n",
               demo->user,
               secret);
    buf_printf(&text,
               "tls: {ca: %s/ca.pem, cert: %s/sidecar-%s.pem, key: %s/sidecar-%s.key}\n",
               demo->certs,
               demo->certs,
               region->name,
               demo->certs,
               region->name);
    bool ok = write_file(region->sidecar_config, &text);
    buf_deinit(&text);
    return ok;
}

static bool format_member(struct demo *demo, const struct demo_region *region)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (freopen(region->member_log, "a", stdout) == NULL ||
            freopen(region->member_log, "a", stderr) == NULL) {
            _exit(127);
        }
        (void)execl("/proc/self/exe",
                    "indaba",
                    "member",
                    "init",
                    "--config",
                    region->member_config,
                    (const char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0) {
        demo->failure = "a member's data folder could not be made";
        return false;
    }
    return true;
}

static bool write_file(const char *path, const struct buf *content)
{
    FILE *file = fopen(path, "wex");
    if (file == NULL) {
        return false;
    }
    bool written = fwrite(content->data, 1, content->len, file) == content->len;
    return fclose(file) == 0 && written;
}

/* Nobody listens there now, and no connection of ours will take it: it is below the ephemeral
 * range. 0 if there is none. */
static uint16_t free_port(uint16_t *next)
{
    while (*next < PORT_LAST) {
        uint16_t port = (*next)++;
        int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = {
            .sin_family = AF_INET,
            .sin_port = htons(port),
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        bool is_free =
            probe >= 0 &&
            bind(probe, (const struct sockaddr *)(const void *)&address, sizeof(address)) == 0;
        if (probe >= 0) {
            (void)close(probe);
        }
        if (is_free) {
            return port;
        }
    }
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}
