/* SPDX-License-Identifier: Apache-2.0 */
/* See instance_dir.h. Two files in the state folder: `lock`, whose text is for people only, and
 * `identity`, JSON, replaced as a whole. */
#include "replication/instance_dir.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/plain_file.h"
#include "config/sidecar_config.h"
#include "model/records.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum {
    IDENTITY_VERSION = 1,
    PID_TEXT_SIZE = 24,
};

struct instance_dir {
    int lock;
    char path[PATH_MAX]; /* of the identity file */
    struct instance_identity identity;
};

static enum error take_lock(struct instance_dir *dir, const char *state_dir, struct reason *reason);
static enum error load(struct instance_dir *dir, struct reason *reason);
static enum error
check(struct instance_dir *dir, const struct instance_identity *found, struct reason *reason);
static void encode(const void *value, struct buf *out);
static enum error decode(struct slice bytes, void *value_out);

const struct kept_format INSTANCE_IDENTITY = {.encode = encode, .decode = decode};

enum error instance_dir_open(const char *state_dir,
                             const char *shard,
                             const char *name,
                             struct reason *reason,
                             struct instance_dir **dir_out)
{
    struct instance_dir *dir = mem_new(sizeof(*dir));
    dir->lock = -1;
    (void)snprintf(dir->path, sizeof(dir->path), "%s/identity", state_dir);
    (void)snprintf(dir->identity.shard, NAME_SIZE, "%s", shard);
    (void)snprintf(dir->identity.name, NAME_SIZE, "%s", name);
    enum error error = take_lock(dir, state_dir, reason);
    if (error == ERR_OK) {
        error = load(dir, reason);
    }
    if (error != ERR_OK) {
        instance_dir_close(dir);
        return error;
    }
    *dir_out = dir;
    return ERR_OK;
}

void instance_dir_close(struct instance_dir *dir)
{
    if (dir == NULL) {
        return;
    }
    if (dir->lock >= 0) {
        (void)close(dir->lock);
    }
    mem_free(dir);
}

enum error instance_dir_belongs(const struct instance_dir *dir, struct cluster_id cluster)
{
    CHECK(cluster.hi != 0 || cluster.lo != 0);
    const struct cluster_id *ours = &dir->identity.cluster;
    if (ours->hi == 0 && ours->lo == 0) {
        return ERR_NOT_FOUND;
    }
    return cluster_id_equal(*ours, cluster) ? ERR_OK : ERR_WRONG_CLUSTER;
}

const char *instance_dir_path(const struct instance_dir *dir)
{
    return dir->path;
}

struct instance_identity instance_dir_identity(const struct instance_dir *dir,
                                               struct cluster_id cluster)
{
    struct instance_identity identity = dir->identity;
    identity.cluster = cluster;
    return identity;
}

void instance_dir_joined(struct instance_dir *dir, struct cluster_id cluster)
{
    CHECK(instance_dir_belongs(dir, cluster) == ERR_NOT_FOUND);
    dir->identity.cluster = cluster;
}

struct cluster_id instance_dir_cluster(const struct instance_dir *dir)
{
    return dir->identity.cluster;
}

static enum error take_lock(struct instance_dir *dir, const char *state_dir, struct reason *reason)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/lock", state_dir);
    /* Not inherited: the guardian outlives this process and must not keep the folder locked. */
    enum error error = plain_file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &dir->lock);
    if (error != ERR_OK) {
        reason_say(reason, "cannot open %.300s: %s", path, error_text(error));
        return error;
    }
    char text[PID_TEXT_SIZE] = "";
    if (flock(dir->lock, LOCK_EX | LOCK_NB) != 0) {
        ssize_t len = pread(dir->lock, text, sizeof(text) - 1, 0);
        text[len > 0 ? strcspn(text, "\n") : 0] = '\0';
        return reason_set(
            reason,
            ERR_BUSY,
            "%.300s is in use by process %s: stop that sidecar first, or give this one "
            "a folder of its own (instance.dir)",
            state_dir,
            text[0] != '\0' ? text : "(unknown)");
    }
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(dir->lock, 0) != 0 || pwrite(dir->lock, text, (size_t)len, 0) != len) {
        error = error_from_errno(errno);
        reason_say(reason, "cannot write %.300s: %s", path, error_text(error));
        return error;
    }
    return ERR_OK;
}

static enum error load(struct instance_dir *dir, struct reason *reason)
{
    struct instance_identity found;
    enum error error = kept_file_read(dir->path, &INSTANCE_IDENTITY, &found);
    if (error == ERR_OK) {
        return check(dir, &found, reason);
    }
    if (error == ERR_NOT_FOUND) {
        error = kept_file_write(dir->path, &INSTANCE_IDENTITY, &dir->identity);
    }
    if (error == ERR_CORRUPT) {
        reason_say(reason,
                   "%.300s: damaged or of a later version; restore it, or empty the instance's "
                   "folder to build it anew",
                   dir->path);
    } else if (error != ERR_OK) {
        reason_say(reason, "%.300s: %s", dir->path, error_text(error));
    }
    return error;
}

static enum error
check(struct instance_dir *dir, const struct instance_identity *found, struct reason *reason)
{
    const struct instance_identity *ours = &dir->identity;
    if (strcmp(found->shard, ours->shard) != 0 || strcmp(found->name, ours->name) != 0) {
        return reason_set(
            reason,
            ERR_WRONG_MEMBER,
            "%.120s: the folder belongs to instance \"%.63s\" of shard \"%.63s\", and the "
            "configuration names \"%.63s\" of \"%.63s\": correct instance.dir or the names",
            dir->path,
            found->name,
            found->shard,
            ours->name,
            ours->shard);
    }
    dir->identity.cluster = found->cluster;
    return ERR_OK;
}

static void encode(const void *value, struct buf *out)
{
    const struct instance_identity *identity = value;
    const struct cluster_id *cluster = &identity->cluster;
    char id[ID128_TEXT_SIZE] = "";
    if (cluster->hi != 0 || cluster->lo != 0) {
        (void)id128_format(cluster->hi, cluster->lo, id);
    }
    json_t *root = json_pack("{s:i, s:s, s:s, s:s}",
                             "version",
                             IDENTITY_VERSION,
                             "shard",
                             identity->shard,
                             "instance",
                             identity->name,
                             "cluster",
                             id);
    CHECK(root != NULL);
    char *text = json_dumps(root, JSON_INDENT(2));
    CHECK(text != NULL);
    buf_append_string(out, text);
    free(text);
    json_decref(root);
}

static enum error decode(struct slice bytes, void *value_out)
{
    struct instance_identity found = {0};
    json_t *root = json_loadb((const char *)bytes.data, bytes.len, JSON_REJECT_DUPLICATES, NULL);
    const char *shard = json_string_value(json_object_get(root, "shard"));
    const char *name = json_string_value(json_object_get(root, "instance"));
    const char *cluster = json_string_value(json_object_get(root, "cluster"));
    bool whole = json_integer_value(json_object_get(root, "version")) == IDENTITY_VERSION &&
                 shard != NULL && strlen(shard) < NAME_SIZE && name != NULL &&
                 strlen(name) < NAME_SIZE && cluster != NULL &&
                 (cluster[0] == '\0' ||
                  id128_parse(cluster, &found.cluster.hi, &found.cluster.lo) == ERR_OK);
    if (whole) {
        (void)snprintf(found.shard, NAME_SIZE, "%s", shard);
        (void)snprintf(found.name, NAME_SIZE, "%s", name);
        *(struct instance_identity *)value_out = found;
    }
    json_decref(root);
    return whole ? ERR_OK : ERR_CORRUPT;
}
