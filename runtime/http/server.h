/*
 * An HTTP server: takes connections, from a listening descriptor or from
 * whoever hands one over, and keeps them to its limits. Owns its connections
 * and the listening descriptor; its handles keep `data` NULL. Lives from
 * mw_http_server_open() to on_closed, which comes once, last, after
 * mw_http_server_close() only. The loop's thread.
 */
#ifndef MW_HTTP_SERVER_H
#define MW_HTTP_SERVER_H

#include <stdbool.h>
#include <uv.h>

#include "http/events.h"

struct mw_http_server;

/** Opens a server that has no connections. Negative uv codes. */
int mw_http_server_open(uv_loop_t *loop, const struct mw_http_limits *limits,
                        const struct mw_http_events *events, void *user,
                        struct mw_http_server **server);

/**
 * Accepts what comes at a descriptor that listens, which is the server's from
 * then on, unless this fails.
 */
int mw_http_server_listen(struct mw_http_server *server, int fd);

/** Sets at a listening descriptor what connections are to inherit. */
void mw_http_server_prepare(int fd);

/**
 * Takes over a connection that was accepted at a prepared descriptor, unless
 * this fails. Past `max_connections` it is answered 503.
 */
int mw_http_server_take_accepted(struct mw_http_server *server, int fd);

/** The same for any connected stream socket, non-blocking, of which others may
 * have a copy. */
int mw_http_server_take(struct mw_http_server *server, int fd);

/** The same for one off which bytes have been read already. */
int mw_http_server_take_begun(struct mw_http_server *server, int fd,
                              const char *unread, size_t length);

/**
 * Accepts no more. What is under way is answered; every answer that begins from
 * now on is the last of its connection. Those that wait for a request are
 * ended after `drain_timeout`. on_empty comes once none is left.
 */
void mw_http_server_drain(struct mw_http_server *server);

/** Ends those that wait for a request, of which nothing has come. */
void mw_http_server_end_idle(struct mw_http_server *server);

/** Ends all connections at once. */
void mw_http_server_end_all(struct mw_http_server *server);

/** How many connections there are. */
size_t mw_http_server_count(const struct mw_http_server *server);

/** How many more there may be before `max_connections`; SIZE_MAX without a
 * limit. */
size_t mw_http_server_room(const struct mw_http_server *server);

/** Whether listening keeps the loop alive; connections always do. */
void mw_http_server_set_referenced(struct mw_http_server *server,
                                   bool referenced);

/** Ends all, at once; on_closed follows. May be called twice. */
void mw_http_server_close(struct mw_http_server *server);

#endif
