/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_written.h. */
#include "replication/postgres/pg_written.h"

#include "base/check.h"
#include "replication/as_user.h"
#include "replication/durable_file.h"
#include "replication/postgres/pg_config_file.h"

#include <stdio.h>
#include <string.h>

enum {
    FILE_MAX = 64 * 1024, /* ours are smaller; a larger one is somebody else's */
};

static const struct {
    const char *name;
    bool in_run; /* of the run folder, not of the data folder */
} FILES[PG_WRITTEN_COUNT] = {
    [PG_WRITTEN_HBA] = {"pg_hba.conf", false},
    [PG_WRITTEN_IDENT] = {"pg_ident.conf", false},
    [PG_WRITTEN_CONF] = {"postgresql.conf", false},
    [PG_WRITTEN_INCLUDED] = {"indaba.conf", true},
    [PG_WRITTEN_PASSWORDS] = {"pgpass", true},
    [PG_WRITTEN_DOORS] = {"closed.list", true},
};

static enum error
read_file(const struct pg_place *place, const char *path, bool in_run, struct buf *text);
static struct sha256 digest_of(const void *data, size_t len);

void pg_written_init(struct pg_written *written)
{
    memset(written, 0, sizeof(*written));
    CHECK(pthread_mutex_init(&written->lock, NULL) == 0);
}

void pg_written_deinit(struct pg_written *written)
{
    CHECK(pthread_mutex_destroy(&written->lock) == 0);
}

void pg_written_note(struct pg_written *written, const char *name, const struct buf *text)
{
    for (int i = 0; i < PG_WRITTEN_COUNT && written != NULL; i++) {
        if (strcmp(FILES[i].name, name) == 0) {
            CHECK(pthread_mutex_lock(&written->lock) == 0);
            written->digests[i] = digest_of(text->data, text->len);
            written->known[i] = true;
            CHECK(pthread_mutex_unlock(&written->lock) == 0);
        }
    }
}

const char *pg_written_foreign(const struct pg_place *place)
{
    struct pg_written *written = place->written;
    const char *foreign = NULL;
    struct buf text = {0};

    buf_reserve(&text, FILE_MAX);
    for (int i = 0; i < PG_WRITTEN_COUNT && written != NULL && foreign == NULL; i++) {
        char path[PG_PATH_SIZE * 2];
        CHECK(pthread_mutex_lock(&written->lock) == 0);
        bool known = written->known[i];
        struct sha256 wanted = written->digests[i];
        CHECK(pthread_mutex_unlock(&written->lock) == 0);
        (void)snprintf(
            path, sizeof(path), "%s/%s", FILES[i].in_run ? place->run : place->data, FILES[i].name);
        if (known &&
            (read_file(place, path, FILES[i].in_run, &text) != ERR_OK ||
             memcmp(digest_of(text.data, text.len).bytes, wanted.bytes, SHA256_SIZE) != 0)) {
            foreign = FILES[i].name;
        }
    }
    buf_deinit(&text);
    return foreign;
}

/* With no more rights than those of whom the folder belongs to. */
static enum error
read_file(const struct pg_place *place, const char *path, bool in_run, struct buf *text)
{
    if (!in_run) {
        as_user_enter(&place->user);
    }
    enum error error = durable_file_read(path, text->data, FILE_MAX, &text->len);
    if (!in_run) {
        as_user_leave(&place->user);
    }
    return error;
}

static struct sha256 digest_of(const void *data, size_t len)
{
    struct slice part = {.data = data, .len = len};

    return hash_sha256(&part, 1);
}
