/*
 * Bodies of HTTP/1 messages: takes them out of the bytes that carry them, and
 * finds their end. Owns nothing; a body is a small state that the connection
 * has. Called by connections and by the client's binding; any thread.
 */
#ifndef MW_HTTP_BODY_H
#define MW_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/parser.h"

struct mw_http_body {
  uint64_t left;   /* bytes of the body, or of the chunk */
  uint32_t line;   /* bytes of what is no data: extensions, trailers */
  uint8_t framing; /* enum mw_http_framing */
  uint8_t state;   /* private to body.c */
  uint8_t digits;
  bool over;
};

/** Begins the body that a head tells of; one without is over at once. */
void mw_http_body_begin(struct mw_http_body *body,
                        const struct mw_http_head *head);

/**
 * Takes bytes off the beginning of `bytes`, and shows the piece of the body
 * among them, which may be empty. Returns how many it took, 0 where it needs
 * more or the body is over; negative where they can't be a body.
 */
ptrdiff_t mw_http_body_take(struct mw_http_body *body, const char *bytes,
                            size_t length, struct mw_http_span *piece);

#endif
