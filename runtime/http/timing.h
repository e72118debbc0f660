/*
 * How long a connection waits: for a request, for its body, for the client to
 * take what is sent. Inner to http/; the loop's thread.
 */
#ifndef MW_HTTP_TIMING_H
#define MW_HTTP_TIMING_H

struct mw_deadline;
struct mw_http_connection;

/** Sets the deadline for what the connection waits for now. */
void mw_http_timing_set(struct mw_http_connection *connection);

/** The deadline of a connection has passed. */
void mw_http_timing_expired(struct mw_deadline *deadline);

#endif
