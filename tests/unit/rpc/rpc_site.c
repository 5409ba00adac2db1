/* SPDX-License-Identifier: Apache-2.0 */
/* See rpc_site.h. */
#include "rpc_site.h"

#include <string.h>

static void on_abort(struct http1_exchange *exchange, void *ctx)
{
    (void)exchange;
    struct site *site = ctx;
    site->aborted++;
    site->held = NULL;
}

void site_on_request(struct http1_exchange *exchange,
                     const struct http1_request *request,
                     void *ctx)
{
    struct site *site = ctx;
    site->requests++;
    if (strcmp(request->path, "/later") == 0) {
        site->held = exchange;
        http1_set_abort(exchange, on_abort, site);
        return;
    }
    struct buf body = {0};
    buf_printf(&body,
               "%d %s [%s] (%s) %zu\n",
               (int)request->method,
               request->path,
               request->query,
               request->peer,
               request->body.len);
    http1_reply(exchange, &(struct http1_response){.status = 200, .body = buf_view(&body)});
    buf_deinit(&body);
}

void site_start(struct site *site)
{
    *site = (struct site){0};
    struct reason reason = {0};
    rpc_start(&site->fixture);
    struct http1_options options = {
        .address = "127.0.0.1:0", .handler = site_on_request, .ctx = site};
    assert_int_equal(http1_new(site->fixture.net, &options, &reason, &site->http1), ERR_OK);
}

void site_stop(struct site *site)
{
    http1_free(site->http1);
    rpc_stop(&site->fixture);
}

void site_visit(struct site *site, struct rpc_peer *peer)
{
    rpc_peer_connect(&site->fixture, peer, http1_port(site->http1), &(struct stream_options){0});
    rpc_run_until(&site->fixture, &peer->opened, "open");
}

void site_ask(struct site *site, struct rpc_peer *peer, const char *request, const char *end)
{
    buf_clear(&peer->received);
    rpc_peer_send(peer, request, strlen(request));
    size_t len = strlen(end);
    for (size_t wanted = len;; wanted = peer->received.len + 1) {
        rpc_peer_await(&site->fixture, peer, wanted);
        if (memcmp(peer->received.data + peer->received.len - len, end, len) == 0) {
            break;
        }
    }
    buf_put_u8(&peer->received, 0);
}
