/*
 * One connection of a server: reads requests, one at a time, and sends the
 * responses. Owns its descriptor, its handle and its buffers, which it has only
 * while something is in them. Made by the server; freed once it is closed,
 * which may be at any time: who keeps a pointer gets on_over first. The loop's
 * thread.
 */
#ifndef MW_HTTP_CONNECTION_H
#define MW_HTTP_CONNECTION_H

#include <stdbool.h>

#include "base/buffer.h"
#include "http/parser.h"

struct mw_http_connection;
struct mw_http_service;
struct mw_link;

/* For the server */

/**
 * Takes over a connected stream socket, non-blocking, unless this fails.
 * `handed_over` tells that somebody else has accepted it, who may still have a
 * copy and has not set TCP_NODELAY; `unread` are bytes that were read already.
 */
int mw_http_connection_open(struct mw_http_service *service, int fd,
                            bool handed_over, struct mw_http_span unread);

/** The connection that the link of `service->connections` belongs to. */
struct mw_http_connection *mw_http_connection_of(struct mw_link *link);

/** Goes on with one that is due. */
void mw_http_connection_go_on_due(struct mw_link *link);

/** The first bytes of one are there; for mw_arrivals_open(). */
void mw_http_connection_arrived(void *connection);

/** Answers 503 and ends; for one that has just been opened. */
void mw_http_connection_turn_away(struct mw_http_connection *connection);

/** Ends it where it waits for a request, of which nothing has come. */
void mw_http_connection_end_idle(struct mw_http_connection *connection);

/** Ends it before the loop waits again. */
void mw_http_connection_end(struct mw_http_connection *connection);

/** Ends it at once. */
void mw_http_connection_close(struct mw_http_connection *connection);

/** Frees one of `service->gone`. */
void mw_http_connection_free(struct mw_http_connection *connection);

/* For whoever takes an upgrade */

/** In on_upgrade: ends the connection and returns its descriptor, the caller's
 * from then on. on_over does not follow. */
int mw_http_connection_give_away(struct mw_http_connection *connection);

/* For the files that work on it, by its state */

/** The buffer that what is to be sent is put into. */
struct mw_buffer *mw_http_connection_out(struct mw_http_connection *connection);

/** Lets it go on before the loop waits: something was done from outside. */
void mw_http_connection_make_due(struct mw_http_connection *connection);

/** Ends it at once; an exchange that is under way fails for that reason. */
void mw_http_connection_close_with(struct mw_http_connection *connection,
                                   int error);

/** The same, so that the peer sees that something is missing. */
void mw_http_connection_reset(struct mw_http_connection *connection, int error);

#endif
