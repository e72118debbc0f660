/*
 * The headers of a response, as the lines that will be sent. Owns nothing but
 * what the buffer holds, which is the caller's. Called by connections; one
 * thread at a time.
 */
#ifndef MW_HTTP_HEADER_BLOCK_H
#define MW_HTTP_HEADER_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "http/parser.h"

/** Adds a line; false without memory. Name and value must be sound. */
bool mw_http_header_add(struct mw_buffer *block, struct mw_http_span name,
                        struct mw_http_span value);

/** Takes all lines of that name out; whether there was one. */
bool mw_http_header_remove(struct mw_buffer *block, struct mw_http_span name);

/**
 * The next line of that name from `*offset` on, 0 at first, which is moved
 * behind it; false where there is no more.
 */
bool mw_http_header_find(const struct mw_buffer *block,
                         struct mw_http_span name, size_t *offset,
                         struct mw_http_span *value);

/** The next line, whatever its name. */
bool mw_http_header_next(const struct mw_buffer *block, size_t *offset,
                         struct mw_http_span *name, struct mw_http_span *value);

#endif
