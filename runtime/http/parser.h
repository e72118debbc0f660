/*
 * Heads of HTTP/1 messages: where one ends, and what it says. The only door to
 * the parser library; what that lets through and RFC 9112 does not is refused
 * here, so that nobody in front of us can take two requests for one.
 *
 * Owns nothing: all spans point into the bytes that were given. Called by
 * connections and by the client's binding; any thread.
 */
#ifndef MW_HTTP_PARSER_H
#define MW_HTTP_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_http_span {
  const char *at;
  size_t length;
};

enum mw_http_framing {
  MW_HTTP_NO_BODY,
  MW_HTTP_LENGTH,
  MW_HTTP_CHUNKED,
  MW_HTTP_UNTIL_END /* of the connection; responses only */
};

struct mw_http_head {
  struct mw_http_span method, target; /* of a request */
  struct mw_http_span reason;         /* of a response */
  int status;
  unsigned minor; /* of the version 1.x */
  enum mw_http_framing framing;
  uint64_t content_length;
  bool has_length; /* Content-Length was there */
  bool keep_alive;
  bool upgrade; /* asked for by Connection and Upgrade, or CONNECT */
  bool expects_continue;
  bool expects_other; /* Expect with anything else */
  unsigned header_count;
};

/**
 * How many bytes the head at the beginning of `bytes` has, its empty line
 * included; 0 where it is not all there. Negative where a line does not end in
 * CRLF. `seen`, 0 at first, tells how far former calls have looked.
 */
ptrdiff_t mw_http_head_find(const char *bytes, size_t length, size_t *seen);

/**
 * Reads the head of a request, all of it. Returns 0, or the status to refuse it
 * with: 400, or 431 where there are more than `max_headers`.
 */
int mw_http_parse_request(const char *bytes, size_t size, unsigned max_headers,
                          struct mw_http_head *head);

/**
 * Reads the head of a response to a request whose method was HEAD or another.
 * Returns 0, or a negative number where it is none.
 */
int mw_http_parse_response(const char *bytes, size_t size, bool to_head,
                           struct mw_http_head *head);

/**
 * The next header of a head that was parsed. `rest` begins as the whole head
 * and is moved on; false at the end.
 */
bool mw_http_next_header(struct mw_http_span *rest, struct mw_http_span *name,
                         struct mw_http_span *value);

/** Whether the bytes are a token: a method or the name of a header. */
bool mw_http_is_token(const char *bytes, size_t length);

/** Whether the bytes may be the value of a header: no CR, LF or NUL. */
bool mw_http_is_value(const char *bytes, size_t length);

/** Whether two names are the same but for the case of their letters. */
bool mw_http_same_name(const char *name, size_t length, const char *lower,
                       size_t lower_length);

/** "Not Found"; "Unknown" where the status has no phrase. */
const char *mw_http_reason(int status);

#endif
