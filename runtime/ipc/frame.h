/*
 * Frames: the units in which a channel's bytes are cut. Two framings: the
 * binary one of mwrun, with a header that says how many bytes and descriptors
 * follow, and lines of text, which is Node's. Owns nothing; no I/O.
 */
#ifndef MW_IPC_FRAME_H
#define MW_IPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mw_framing { MW_FRAMING_BINARY, MW_FRAMING_LINES };

/* What a frame is for; in the binary header only. */
enum mw_frame_kind {
  MW_FRAME_MESSAGE = 0,  /* a value for whoever listens */
  MW_FRAME_INTERNAL = 1, /* a value for the runtime itself */
  MW_FRAME_KIND_COUNT
};

enum {
  MW_FRAME_HEADER_SIZE = 8,
  MW_FRAME_FDS_MAX = 64,                   /* descriptors of one frame */
  MW_FRAME_PAYLOAD_MAX = 256 * 1024 * 1024 /* bytes of one frame */
};

/* In the flags of the binary header. */
enum {
  MW_FRAME_STARTS_BATCH = 1 /* its descriptors, and those of the frames behind
                               it, have come with its first byte */
};

struct mw_frame {
  enum mw_frame_kind kind;
  unsigned fd_count;
  bool starts_batch;
  const char *payload;
  size_t length;
};

/**
 * Writes the header of a binary frame: the length of the payload (4 bytes,
 * little endian), the kind (1), the number of descriptors (1), flags (1),
 * zero (1).
 */
void mw_frame_write_header(char *header, const struct mw_frame *frame);

/** Sets MW_FRAME_STARTS_BATCH in a header that is written. */
void mw_frame_start_batch(char *header);

/**
 * Finds the first frame in `bytes`. Returns how many bytes it takes, 0 where
 * it has not come whole (then `*wanted` is how many it needs, as far as is
 * known), or UV_EPROTO for what can be no frame. `*seen` remembers, between
 * calls on a growing frame, how far a search has come; it is 0 for a new one.
 */
ptrdiff_t mw_frame_find(enum mw_framing framing, const char *bytes,
                        size_t length, struct mw_frame *frame, size_t *seen,
                        size_t *wanted);

#endif
