/* SPDX-License-Identifier: Apache-2.0 */
/* One line to a key-value server, one line back; every wait has an end and can be cancelled. */
#include "tests/keyvalue/keyvalue_internal.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum error
open_socket(struct work *work, const char *address, const char *line, int *socket_out);
static enum error start_connect(const char *address, int *socket_out);
static void take_field(struct keyvalue_info *info, const char *name, const char *value);

enum error keyvalue_ask(struct work *work,
                        const char *address,
                        const char *line,
                        char answer[KEYVALUE_LINE_SIZE])
{
    int peer = -1;
    size_t len = 0;
    TRY(open_socket(work, address, line, &peer));
    enum error error = ERR_OK;
    for (;;) {
        error = work_wait(work, peer, POLLIN, KEYVALUE_ASK_MS);
        ssize_t got =
            error == ERR_OK ? recv(peer, answer + len, KEYVALUE_LINE_SIZE - 1 - len, 0) : 0;
        if (error == ERR_OK && got <= 0) {
            error = ERR_UNAVAILABLE;
        }
        if (error != ERR_OK) {
            break;
        }
        len += (size_t)got;
        if (answer[len - 1] == '\n') {
            answer[len - 1] = '\0';
            break;
        }
    }
    (void)close(peer);
    return error;
}

enum error keyvalue_fetch(struct work *work, const char *address, const char *line, struct buf *out)
{
    int peer = -1;
    TRY(open_socket(work, address, line, &peer));
    enum error error = ERR_OK;
    for (;;) {
        uint8_t bytes[KEYVALUE_LINE_SIZE];
        error = work_wait(work, peer, POLLIN, KEYVALUE_ASK_MS);
        ssize_t got = error == ERR_OK ? recv(peer, bytes, sizeof(bytes), 0) : 0;
        if (error != ERR_OK || got <= 0) {
            break;
        }
        buf_append(out, bytes, (size_t)got);
        if (out->len > KEYVALUE_COPY_MAX) {
            error = ERR_LIMIT;
            break;
        }
    }
    (void)close(peer);
    return error;
}

enum error keyvalue_info(struct work *work, const char *address, struct keyvalue_info *info_out)
{
    char answer[KEYVALUE_LINE_SIZE];
    struct keyvalue_info info = {.known = true};
    TRY(keyvalue_ask(work, address, "INFO", answer));
    for (char *at = answer, *word; (word = strsep(&at, " ")) != NULL;) {
        char *value = strchr(word, '=');
        if (value != NULL) {
            *value = '\0';
            take_field(&info, word, value + 1);
        }
    }
    *info_out = info;
    return ERR_OK;
}

static void take_field(struct keyvalue_info *info, const char *name, const char *value)
{
    uint64_t number = strtoull(value, NULL, 10);
    bool none = strcmp(value, "-") == 0;
    if (strcmp(name, "identity") == 0) {
        info->identity = number;
    } else if (strcmp(name, "writable") == 0) {
        info->writable = number == 1;
    } else if (strcmp(name, "timeline") == 0) {
        info->fork.timeline = (uint32_t)number;
    } else if (strcmp(name, "parent") == 0) {
        info->fork.parent_timeline = (uint32_t)number;
    } else if (strcmp(name, "left") == 0) {
        info->fork.fork_lsn = number;
    } else if (strcmp(name, "end") == 0) {
        info->end = number;
    } else if (strcmp(name, "upstream") == 0) {
        (void)snprintf(info->upstream, sizeof(info->upstream), "%s", none ? "" : value);
    } else if (strcmp(name, "of") == 0) {
        info->of.value = (uint32_t)number;
    } else if (strcmp(name, "receiving") == 0) {
        info->receiving = number == 1;
    } else if (strcmp(name, "streaming") == 0) {
        info->streaming = number == 1;
    } else if (strcmp(name, "silence_ms") == 0) {
        info->silence_ms = (uint32_t)number;
    } else if (strcmp(name, "standbys") == 0) {
        (void)snprintf(info->standbys, sizeof(info->standbys), "%s", none ? "" : value);
    }
}

static enum error
open_socket(struct work *work, const char *address, const char *line, int *socket_out)
{
    char text[KEYVALUE_LINE_SIZE];
    int peer = -1;
    int failed = 0;
    socklen_t len = sizeof(failed);
    TRY(start_connect(address, &peer));
    enum error error = work_wait(work, peer, POLLOUT, KEYVALUE_ASK_MS);
    if (error == ERR_OK &&
        (getsockopt(peer, SOL_SOCKET, SO_ERROR, &failed, &len) != 0 || failed != 0)) {
        error = error_from_errno(failed);
    }
    int size = snprintf(text, sizeof(text), "%s\n", line);
    if (error == ERR_OK && send(peer, text, (size_t)size, MSG_NOSIGNAL) != size) {
        error = ERR_UNAVAILABLE;
    }
    if (error != ERR_OK) {
        (void)close(peer);
        return error;
    }
    *socket_out = peer;
    return ERR_OK;
}

static enum error start_connect(const char *address, int *socket_out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char host[ADDRESS_SIZE];
    (void)snprintf(host, sizeof(host), "%s", address);
    char *colon = strrchr(host, ':');
    if (colon == NULL) {
        return ERR_INVALID;
    }
    *colon = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return ERR_INVALID;
    }
    int peer = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool begun = peer >= 0 &&
                 (connect(peer, found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS);
    freeaddrinfo(found);
    if (!begun) {
        enum error error = error_from_errno(errno);
        if (peer >= 0) {
            (void)close(peer);
        }
        return error;
    }
    *socket_out = peer;
    return ERR_OK;
}
