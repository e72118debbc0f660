/*
 * One response: puts its head together and its body behind it, in the framing
 * that the request allows. Its block of headers is lent
 * by the connection; the bytes go into a buffer of the caller. Inner to http/;
 * the loop's thread.
 */
#ifndef MW_HTTP_RESPONSE_H
#define MW_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "http/parser.h"
#include "http/service.h"

struct mw_http_response {
  struct mw_buffer headers;
  uint64_t left;      /* bytes that Content-Length still promises */
  bool to_head;       /* the request's method is HEAD */
  bool to_1_0;        /* the request is HTTP/1.0 */
  bool is_asked_last; /* the peer has said that nothing comes behind it */
  bool is_last;       /* the connection ends behind it */
  bool begun;         /* the head is out */
  bool finished;      /* all of it is */
  bool has_no_body;   /* its bytes are dropped */
  bool chunked;       /* its body is */
  bool has_length;    /* Content-Length is there */
};

/** Begins the response to a request. */
void mw_http_response_open(struct mw_http_response *response,
                           const struct mw_http_head *head);

/** Puts the head out, for a body of `length` bytes, negative where that is not
 * known; UV_EINVAL where it is out, UV_ENOMEM. */
int mw_http_response_begin(struct mw_http_response *response,
                           struct mw_http_service *service,
                           struct mw_buffer *out, int status,
                           struct mw_http_span reason, int64_t length);

/** Puts a piece of the body out. UV_EMSGSIZE, UV_EINVAL, UV_ENOMEM. */
int mw_http_response_write(struct mw_http_response *response,
                           struct mw_buffer *out, const char *bytes,
                           size_t length);

/** Ends it; UV_EPROTO where the body is not as long as it was to be. */
int mw_http_response_finish(struct mw_http_response *response,
                            struct mw_buffer *out);

/** A whole response without a body, for a request that is refused. */
bool mw_http_response_refuse(struct mw_http_service *service,
                             struct mw_buffer *out, int status);

#endif
