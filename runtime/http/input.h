/*
 * What has come in on a connection and nobody has taken yet. Owns a buffer,
 * which it has only while bytes wait; those of one read are worked on where
 * that has put them. Inner to http/; the loop's thread.
 */
#ifndef MW_HTTP_INPUT_H
#define MW_HTTP_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "http/parser.h"

/* All zero is an empty one. */
struct mw_http_input {
  struct mw_http_span now; /* what there is, while it is worked on */
  struct mw_buffer kept;   /* the same, while it is not */
  size_t seen;             /* of a head that is not all there */
  bool ended;              /* the peer has: nothing more comes */
};

/**
 * Reads once (recv(2)). Returns how many bytes came, 0 at the end, UV_EAGAIN
 * where none are there, or why none will come.
 */
ptrdiff_t mw_http_input_receive(struct mw_http_input *input, int socket,
                                char *bytes, size_t size);

/** Begins to work on what was kept. */
void mw_http_input_open(struct mw_http_input *input);

/** The same, with bytes behind it, good until it is kept; false without
 * memory. */
bool mw_http_input_add(struct mw_http_input *input, const char *bytes,
                       size_t count);

/** Takes bytes off the beginning. */
void mw_http_input_take(struct mw_http_input *input, size_t count);

/**
 * Takes the empty lines in front of a request, which clients of old send behind
 * a body. Returns whether there is anything else.
 */
bool mw_http_input_skip_empty_lines(struct mw_http_input *input);

/** Ends the work: what is left waits. False without memory. */
bool mw_http_input_keep(struct mw_http_input *input);

/** Forgets all there is. */
void mw_http_input_drop(struct mw_http_input *input);

#endif
