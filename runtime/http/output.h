/*
 * What goes out on a connection: bytes, and behind them a part of a file. Owns
 * the descriptor of the file; the memory of the bytes is lent by the
 * connection. Inner to http/; the loop's thread.
 */
#ifndef MW_HTTP_OUTPUT_H
#define MW_HTTP_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"

/* All zero is an empty one. */
struct mw_http_output {
  struct mw_buffer bytes;
  size_t sent; /* of these */
  int file;    /* where `file_left` is not 0 */
  off_t file_offset;
  uint64_t file_left;
};

/** How many bytes wait, without the file. */
size_t mw_http_output_unsent(const struct mw_http_output *output);

bool mw_http_output_is_empty(const struct mw_http_output *output);

/** Adds a part of a file, of which there is none yet; takes it over. */
void mw_http_output_add_file(struct mw_http_output *output, int fd,
                             uint64_t offset, uint64_t length);

/** Closes the file, where there is one. */
void mw_http_output_drop_file(struct mw_http_output *output);

/**
 * Sends what the kernel takes (send(2), sendfile(2)). Returns 0 where all is
 * out, UV_EAGAIN where some is left, or why it can't go out. UV_EPROTO: the
 * file is shorter than it was to be.
 */
int mw_http_output_flush(struct mw_http_output *output, int socket);

#endif
