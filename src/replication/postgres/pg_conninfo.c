/* SPDX-License-Identifier: Apache-2.0 */
/* How an instance is reached by another, and by what name it is known there. See pg_config_file.h.
 */
#include "replication/postgres/pg_config_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_PREFIX "indaba-" /* of the host in primary_conninfo, an instance's number follows */

static enum error write_conninfo(const struct pg_place *place,
                                 const struct pg_settings *settings,
                                 const char *name,
                                 char *text);
static char *other_name(const char *what, const struct pg_settings *settings, char *name);
static bool split_address(const char *address, char *host, const char **port_out);

char *pg_slot_name(struct instance_id instance, char *text)
{
    (void)snprintf(text, NAME_SIZE, "indaba_%" PRIu32, instance.value);
    return text;
}

/* On a narrow line a copy's stream of WAL waits behind its own files, so that its answers are late:
 * it is not given up for that, as a standby would be, to begin anew with nothing. What is said
 * twice counts as said last. */
static const char COPY_PATIENCE[] =
    " connect_timeout=10 tcp_user_timeout=60000 options='-c wal_sender_timeout=60s'";

enum error pg_conninfo(const struct pg_place *place, const struct pg_settings *settings, char *text)
{
    char name[SYNC_NAME_SIZE];

    if (settings->nameless) {
        return write_conninfo(place, settings, other_name("nameless", settings, name), text);
    }
    return write_conninfo(
        place, settings, sync_member_name(settings->shard, settings->self, name), text);
}

enum error
pg_conninfo_of_copy(const struct pg_place *place, const struct pg_settings *settings, char *text)
{
    char name[SYNC_NAME_SIZE];

    TRY(write_conninfo(place, settings, other_name("copy", settings, name), text));
    size_t len = strlen(text);
    int more = snprintf(text + len, PG_TEXT_SIZE - len, "%s", len > 0 ? COPY_PATIENCE : "");
    return more >= 0 && (size_t)more < PG_TEXT_SIZE - len ? ERR_OK : ERR_LIMIT;
}

bool pg_conninfo_is_nameless(const char *conninfo)
{
    return conninfo[0] != '\0' && strstr(conninfo, "application_name=indaba_") == NULL;
}

void pg_conninfo_parse(const char *conninfo, struct instance_id *instance_out, char *address_out)
{
    static const char PREFIX[] = "host=" HOST_PREFIX;
    static const char HOSTADDR[] = " hostaddr=";
    static const char PORT[] = " port=";
    char *at = NULL;

    instance_out->value = 0;
    address_out[0] = '\0';
    if (conninfo[0] == '\0') {
        return;
    }
    instance_out->value = UINT32_MAX; /* somebody's, not ours */
    if (strncmp(conninfo, PREFIX, sizeof(PREFIX) - 1) != 0) {
        return;
    }
    uint32_t instance = (uint32_t)strtoul(conninfo + sizeof(PREFIX) - 1, &at, 10);
    if (instance == 0 || strncmp(at, HOSTADDR, sizeof(HOSTADDR) - 1) != 0) {
        return;
    }
    const char *host = at + sizeof(HOSTADDR) - 1;
    size_t host_len = strcspn(host, " ");
    if (strncmp(host + host_len, PORT, sizeof(PORT) - 1) != 0) {
        return;
    }
    unsigned long port = strtoul(host + host_len + sizeof(PORT) - 1, NULL, 10);
    bool six = memchr(host, ':', host_len) != NULL;
    instance_out->value = instance;
    (void)snprintf(address_out,
                   ADDRESS_SIZE,
                   "%s%.*s%s:%lu",
                   six ? "[" : "",
                   (int)host_len,
                   host,
                   six ? "]" : "",
                   port);
}

bool pg_conninfo_is_of(const struct pg_settings *settings, const char *shown)
{
    static const char PREFIX[] = " host=" HOST_PREFIX;
    const char *host = strstr(shown, PREFIX);
    struct instance_id upstream = {0};
    char address[ADDRESS_SIZE];

    pg_conninfo_parse(host != NULL ? host + 1 : "", &upstream, address);
    return upstream.value == settings->upstream.value &&
           strcmp(address, settings->upstream_address) == 0 && !pg_conninfo_is_nameless(shown);
}

static enum error write_conninfo(const struct pg_place *place,
                                 const struct pg_settings *settings,
                                 const char *name,
                                 char *text)
{
    char host[ADDRESS_SIZE];
    const char *port = NULL;

    if (settings->upstream.value == 0) {
        text[0] = '\0';
        return ERR_OK;
    }
    if (!split_address(settings->upstream_address, host, &port)) {
        return ERR_INVALID;
    }
    int len = snprintf(text,
                       PG_TEXT_SIZE,
                       "host=" HOST_PREFIX "%" PRIu32 " hostaddr=%s port=%s user=%s "
                       "application_name=%s passfile=%s/pgpass sslmode=prefer gssencmode=disable "
                       "connect_timeout=2 keepalives_idle=2 keepalives_interval=1 "
                       "keepalives_count=3 tcp_user_timeout=5000",
                       settings->upstream.value,
                       host,
                       port,
                       place->config.replication_user,
                       name,
                       place->run);
    return len > 0 && len < PG_TEXT_SIZE ? ERR_OK : ERR_LIMIT;
}

/* A name that matches no member of a sync record: those begin with "indaba_". */
static char *other_name(const char *what, const struct pg_settings *settings, char *name)
{
    (void)snprintf(name,
                   SYNC_NAME_SIZE,
                   "indaba-%s-%" PRIu32 "-%" PRIu32,
                   what,
                   settings->shard.value,
                   settings->self.instance.value);
    return name;
}

/* "10.0.0.1:5432", "[fd00::1]:5432". */
static bool split_address(const char *address, char *host, const char **port_out)
{
    const char *colon = strrchr(address, ':');

    if (!address_is_valid(address)) {
        return false;
    }
    const char *begin = address;
    const char *end = colon;
    if (begin[0] == '[' && end[-1] == ']') {
        begin++;
        end--;
    }
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    *port_out = colon + 1;
    return true;
}
