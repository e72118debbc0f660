/*
 * An exchange, a request and its response, from outside: what its owner does to
 * it. Owns nothing; a connection has one exchange at a time, from on_request to
 * on_over. Called by the owner; the loop's thread.
 *
 * What is done outside of the connection's own events goes out before the loop
 * waits again.
 */
#ifndef MW_HTTP_EXCHANGE_H
#define MW_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "http/parser.h"

struct mw_http_connection;

/** What the events of the exchange are about; NULL when it begins. */
void **mw_http_exchange_user(struct mw_http_connection *connection);

/** The headers to be sent, to be changed until the head is out. */
struct mw_buffer *mw_http_exchange_head(struct mw_http_connection *connection);

/** Whether the head of the response is out. */
bool mw_http_exchange_has_begun(const struct mw_http_connection *connection);

/**
 * Sends the head of a response whose body comes in pieces. `reason` may be
 * empty. UV_EINVAL where it is out already; UV_ENOMEM.
 */
int mw_http_exchange_begin(struct mw_http_connection *connection, int status,
                           struct mw_http_span reason);

/**
 * Sends a piece of the body, behind the head. Returns 1 where that is enough
 * for now (on_drain follows), 0 where more may come; UV_EMSGSIZE where it is
 * more than Content-Length has said; UV_ENOMEM.
 */
int mw_http_exchange_write(struct mw_http_connection *connection,
                           const char *bytes, size_t length);

/** Ends a response that has begun. */
int mw_http_exchange_finish(struct mw_http_connection *connection);

/** Sends a whole response. */
int mw_http_exchange_respond(struct mw_http_connection *connection, int status,
                             struct mw_http_span reason, const char *bytes,
                             size_t length);

/**
 * Sends a whole response whose body are `length` bytes of a file from `offset`
 * on (sendfile(2)). Takes the descriptor over, unless this fails.
 */
int mw_http_exchange_respond_file(struct mw_http_connection *connection,
                                  int status, struct mw_http_span reason,
                                  int fd, uint64_t offset, uint64_t length);

/** Lets pieces of the body come, or lets none come for now. */
void mw_http_exchange_want(struct mw_http_connection *connection, bool wanted);

/** Whether the body has been read to its end, or there is none. */
bool mw_http_exchange_body_is_over(const struct mw_http_connection *connection);

/** Whether the exchange has come to its end, but for the telling: what is over
 * now needs no on_over. */
bool mw_http_exchange_is_done(const struct mw_http_connection *connection);

/** Ends the exchange and the connection, so that the peer sees that the
 * response is not whole. */
void mw_http_exchange_cut(struct mw_http_connection *connection);

/** In on_upgrade: what was read behind the request, and what waits to be
 * written; good until the connection is given away. */
void mw_http_exchange_rest(const struct mw_http_connection *connection,
                           struct mw_http_span *unread,
                           struct mw_http_span *unsent);

/** The descriptor, for asking who is there. */
int mw_http_exchange_fd(const struct mw_http_connection *connection);

#endif
