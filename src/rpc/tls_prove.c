/* SPDX-License-Identifier: Apache-2.0 */
/* Before a pair of certificate and key is put in force it is tried: a handshake of the process with
 * itself, in memory. A certificate for servers only, or for clients only, a key of a curve that TLS
 * 1.3 does not know, pass every other check and are refused by every peer. And nobody is asked for
 * a pass phrase: a process that serves would wait at its terminal for ever. */
#include "base/check.h"
#include "rpc/tls_internal.h"

#include <openssl/ui.h>
#include <pthread.h>
#include <stdio.h>

enum {
    FLIGHTS_MAX = 16,
    PLAIN_BYTES = 64,
};

static pthread_once_t mute_once = PTHREAD_ONCE_INIT;

static void mute(void);
static int refuse_to_open(UI *ui);
static enum error shake(struct tls_session *client,
                        struct tls_session *server,
                        const struct tls_session **refuser_out);
static enum error step(struct tls_session *session, struct buf *in, struct buf *out);

void tls_ask_nobody(void)
{
    CHECK(pthread_once(&mute_once, mute) == 0);
}

int tls_no_pass_phrase(char *text, int size, int is_writing, void *asked)
{
    (void)is_writing;
    if (size > 0) {
        text[0] = '\0';
    }
    if (asked != NULL) {
        *(bool *)asked = true;
    }
    return -1;
}

enum error tls_prove(const struct tls *tls, const struct tls_material *fresh, struct reason *reason)
{
    struct tls probe = {.material = *fresh};
    struct tls_session *client = tls_session_new(&probe, TLS_CLIENT, NULL);
    struct tls_session *server = tls_session_new(&probe, TLS_SERVER, NULL);
    const struct tls_session *refuser = NULL;
    if (tls->is_client_only) {
        tls_session_trust_blindly(client); /* then only what we are as a client is proven */
    }
    enum error error = shake(client, server, &refuser);
    if (error != ERR_OK) {
        error = reason_set(reason,
                           ERR_CONFIG,
                           "%s: as a %s it is of no use here; %.100s",
                           tls->paths[TLS_PATH_CERT],
                           refuser == server ? "client" : "server",
                           tls_session_errmsg(refuser));
    }
    tls_session_free(client);
    tls_session_free(server);
    return error;
}

/* Whatever of OpenSSL would still ask finds no terminal. */
static void mute(void)
{
    UI_METHOD *method = UI_create_method("nobody is asked");
    CHECK(method != NULL);
    CHECK(UI_method_set_opener(method, refuse_to_open) == 0);
    UI_set_default_method(method); /* kept for the life of the process */
}

static int refuse_to_open(UI *ui)
{
    (void)ui;
    return 0;
}

/* `refuser`: who of the two does not take the other. */
static enum error shake(struct tls_session *client,
                        struct tls_session *server,
                        const struct tls_session **refuser_out)
{
    struct buf to_client = {0};
    struct buf to_server = {0};
    enum error error = ERR_OK;
    for (uint32_t flight = 0; flight < FLIGHTS_MAX && error == ERR_OK; flight++) {
        *refuser_out = client;
        error = step(client, &to_client, &to_server);
        if (error == ERR_OK) {
            *refuser_out = server;
            error = step(server, &to_server, &to_client);
        }
        if (tls_session_established(client) && tls_session_established(server)) {
            break;
        }
    }
    if (error == ERR_OK && !tls_session_established(server)) {
        error = ERR_PROTOCOL;
    }
    buf_deinit(&to_client);
    buf_deinit(&to_server);
    return error;
}

static enum error step(struct tls_session *session, struct buf *in, struct buf *out)
{
    uint8_t plain[PLAIN_BYTES];
    size_t len = 0;
    tls_session_feed(session, buf_view(in));
    enum error error = tls_session_read(session, plain, sizeof(plain), &len);
    buf_deinit(in);
    tls_session_output(session, out);
    return error;
}
