/*
 * What a server is told to keep to, and what it tells. Owns nothing.
 */
#ifndef MW_HTTP_EVENTS_H
#define MW_HTTP_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/parser.h"

struct mw_http_connection;

/* Milliseconds, of which 0 is no limit; bytes; counts. */
struct mw_http_limits {
  size_t max_header_size;
  unsigned max_headers;
  uint64_t max_body;
  size_t max_connections;
  uint64_t headers_timeout;
  uint64_t request_timeout;
  uint64_t send_timeout; /* without a byte taken by the client */
  uint64_t keep_alive_timeout;
  uint64_t drain_timeout;
};

/* A request and its response are an exchange; a connection has one at a time,
   which begins with on_request and ends with on_over. The connection may be
   closed in any of these. */
struct mw_http_events {
  /* `bytes` are the whole head, good until the return. */
  void (*on_request)(void *user, struct mw_http_connection *connection,
                     const struct mw_http_head *head, const char *bytes,
                     size_t size);
  /* The same, for one that asks for another protocol. Whether it was taken;
     if not, on_request follows. */
  bool (*on_upgrade)(void *user, struct mw_http_connection *connection,
                     const struct mw_http_head *head, const char *bytes,
                     size_t size);
  /* A piece of the body, while it is wanted; NULL at its end. */
  void (*on_data)(void *user, struct mw_http_connection *connection,
                  const char *bytes, size_t length);
  /* What was written has gone, and it was told that it is too much. */
  void (*on_drain)(void *user, struct mw_http_connection *connection);
  /* The exchange is over: 0, or why its body or response is not whole. */
  void (*on_over)(void *user, struct mw_http_connection *connection, int error);
  /* A connection could not be accepted. */
  void (*on_refused)(void *user, int error);
  /* The server takes no more connections, and none is left. */
  void (*on_empty)(void *user);
  void (*on_closed)(void *user); /* the last */
};

#endif
