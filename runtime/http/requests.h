/*
 * Takes requests off a connection, one at a time, and tells of them; ends the
 * exchange. Inner to http/; the loop's thread.
 */
#ifndef MW_HTTP_REQUESTS_H
#define MW_HTTP_REQUESTS_H

#include <stdbool.h>

struct mw_http_connection;

/** Takes what can be taken now, a request or a piece of a body; returns whether
 * there may be more to take. */
bool mw_http_requests_step(struct mw_http_connection *connection);

/** Answers with that status in place of an exchange, and ends. */
void mw_http_requests_refuse(struct mw_http_connection *connection, int status);

/** Ends an exchange that can't go well: by that status, where it is not 0 and
 * nothing of the response is out. */
void mw_http_requests_fail(struct mw_http_connection *connection, int status,
                           int error);

/** Tells that the exchange is over: 0, or why it did not come to its end. */
void mw_http_requests_end_exchange(struct mw_http_connection *connection,
                                   int error);

/** Tells a writer that more may come; whether there was one to tell. */
bool mw_http_requests_tell_drain(struct mw_http_connection *connection);

#endif
