/*
 * One connection of a server: reads requests, one at a time, and sends the
 * responses. Owns its descriptor, its handle and its buffers, which it has only
 * while something is in them. Made by the server; freed once it is closed,
 * which may be at any time: who keeps a pointer gets on_over first. The loop's
 * thread.
 *
 * What is done to a response outside of the connection's own events goes out
 * before the loop waits again.
 */
#ifndef MW_HTTP_CONNECTION_H
#define MW_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "http/parser.h"

struct mw_http_connection;
struct mw_http_service;
struct mw_deadline;
struct mw_link;

/* The exchange */

/** What the events of the exchange are about; NULL when it begins. */
void **mw_http_connection_user(struct mw_http_connection *connection);

/** The headers to be sent, to be changed until the head is out. */
struct mw_buffer *mw_http_headers(struct mw_http_connection *connection);

/** Whether the head of the response is out. */
bool mw_http_connection_has_begun(const struct mw_http_connection *connection);

/**
 * Sends the head of a response whose body comes in pieces. `reason` may be
 * empty. UV_EINVAL where it is out already; UV_ENOMEM.
 */
int mw_http_connection_begin(struct mw_http_connection *connection, int status,
                             struct mw_http_span reason);

/**
 * Sends a piece of the body, behind the head. Returns 1 where that is enough
 * for now (on_drain follows), 0 where more may come; UV_EMSGSIZE where it is
 * more than Content-Length has said; UV_ENOMEM.
 */
int mw_http_connection_write(struct mw_http_connection *connection,
                             const char *bytes, size_t length);

/** Ends a response that has begun. */
int mw_http_connection_finish(struct mw_http_connection *connection);

/** Sends a whole response. */
int mw_http_connection_respond(struct mw_http_connection *connection,
                               int status, struct mw_http_span reason,
                               const char *bytes, size_t length);

/**
 * Sends a whole response whose body are `length` bytes of a file from `offset`
 * on (sendfile(2)). Takes the descriptor over, unless this fails.
 */
int mw_http_connection_respond_file(struct mw_http_connection *connection,
                                    int status, struct mw_http_span reason,
                                    int fd, uint64_t offset, uint64_t length);

/** Lets pieces of the body come, or lets none come for now. */
void mw_http_connection_want(struct mw_http_connection *connection,
                             bool wanted);

/** Whether the body has been read to its end, or there is none. */
bool mw_http_connection_body_is_over(
    const struct mw_http_connection *connection);

/** Whether the exchange has come to its end, but for the telling: what is over
 * now needs no on_over. */
bool mw_http_connection_is_done(const struct mw_http_connection *connection);

/** Ends the exchange and the connection, so that the peer sees that the
 * response is not whole. */
void mw_http_connection_cut(struct mw_http_connection *connection);

/** In on_upgrade: what was read behind the request, and what waits to be
 * written; good until the connection is given away. */
void mw_http_connection_rest(const struct mw_http_connection *connection,
                             struct mw_http_span *unread,
                             struct mw_http_span *unsent);

/** In on_upgrade: ends the connection and returns its descriptor, the caller's
 * from then on. on_over does not follow. */
int mw_http_connection_give_away(struct mw_http_connection *connection);

/** The descriptor, for asking who is there. */
int mw_http_connection_fd(const struct mw_http_connection *connection);

/* For the server */

/** Takes over a connected stream socket, unless this fails. */
int mw_http_connection_open(struct mw_http_service *service, int fd);

/** The connection that the link of `service->connections` belongs to. */
struct mw_http_connection *mw_http_connection_of(struct mw_link *link);

/** Goes on with one that is due. */
void mw_http_connection_go_on_due(struct mw_link *link);

/** A deadline of a connection has passed. */
void mw_http_connection_expired(struct mw_deadline *deadline);

/** Answers 503 and ends; for one that has just been opened. */
void mw_http_connection_turn_away(struct mw_http_connection *connection);

/** Ends it where it waits for a request, of which nothing has come. */
void mw_http_connection_end_idle(struct mw_http_connection *connection);

/** Ends it before the loop waits again. */
void mw_http_connection_end(struct mw_http_connection *connection);

/** Ends it at once. */
void mw_http_connection_close(struct mw_http_connection *connection);

#endif
