/*
 * The finder of frames, in both framings. The input: one byte for the framing,
 * one that counts the cuts, a byte for each, the sizes of the pieces in turn,
 * and what the peer sends. Whatever the pieces, the frames are the same.
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "ipc/frame.h"

enum { FRAMES_MAX = 4096, CUTS_MAX = 16 };

/* What was found: digests of frames, and how it ended. */
struct finding {
  uint64_t frames[FRAMES_MAX];
  size_t count;
  size_t consumed;
  bool refused;
};

static uint64_t digest(const struct mw_frame *frame) {
  uint64_t sum = 14695981039346656037u; /* FNV-1a */
  for (size_t i = 0; i < frame->length; i++)
    sum = (sum ^ (unsigned char)frame->payload[i]) * 1099511628211u;
  sum = (sum ^ frame->length) * 1099511628211u;
  return sum ^ (uint64_t)frame->kind << 56 ^ (uint64_t)frame->fd_count << 48 ^
         (uint64_t)frame->starts_batch << 40;
}

static void check_frame(enum mw_framing framing, const struct mw_frame *frame,
                        const char *bytes, ptrdiff_t size) {
  fuzz_require(frame->payload >= bytes, "a payload is in the bytes");
  fuzz_require(frame->payload + frame->length <= bytes + size,
               "a payload ends within its frame");
  fuzz_require(frame->length <= MW_FRAME_PAYLOAD_MAX, "it is not too long");
  fuzz_require(frame->kind < MW_FRAME_KIND_COUNT, "the kind is known");
  fuzz_require(frame->fd_count <= MW_FRAME_FDS_MAX, "the count is sane");
  if (framing == MW_FRAMING_LINES)
    fuzz_require(bytes[size - 1] == '\n' &&
                     !memchr(frame->payload, '\n', frame->length),
                 "a line ends at its newline");
}

/* The frames of what has come so far. The bytes lie in a block of just their
   size, so that AddressSanitizer sees a read beyond them. */
static void find_all(enum mw_framing framing, const char *bytes, size_t length,
                     size_t *seen, struct finding *found) {
  char *block = malloc(length ? length : 1);
  fuzz_require(block, "there is memory");
  memcpy(block, bytes, length);
  size_t start = 0;
  while (!found->refused && found->count < FRAMES_MAX) {
    struct mw_frame frame = {.length = 0};
    size_t wanted = 0, left = length - start;
    ptrdiff_t size =
        mw_frame_find(framing, block + start, left, &frame, seen, &wanted);
    fuzz_require(*seen <= left, "what was seen is there");
    found->refused = size < 0;
    if (size <= 0) {
      fuzz_require(size < 0 || wanted > left, "an unfinished frame needs more");
      break;
    }
    fuzz_require((size_t)size <= left, "a frame is within the bytes");
    check_frame(framing, &frame, block + start, size);
    fuzz_require(*seen == 0, "the search for the next begins anew");
    found->frames[found->count++] = digest(&frame);
    start += (size_t)size;
  }
  found->consumed += start;
  free(block);
}

/* As a channel does: what was found is dropped, and the rest grows. */
static void find_in_pieces(enum mw_framing framing, const char *bytes,
                           size_t length, const uint8_t *cuts, size_t cut_count,
                           struct finding *found) {
  size_t seen = 0, end = 0;
  for (size_t i = 0; end < length && !found->refused; i++) {
    size_t piece = cut_count ? cuts[i % cut_count] : 1;
    end += piece + 1 < length - end ? piece + 1 : length - end;
    find_all(framing, bytes + found->consumed, end - found->consumed, &seen,
             found);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct finding whole, pieces;
  if (size < 2)
    return 0;
  enum mw_framing framing = data[0] & 1 ? MW_FRAMING_LINES : MW_FRAMING_BINARY;
  size_t cut_count = data[1] % CUTS_MAX;
  if (size < 2 + cut_count)
    return 0;
  const char *bytes = (const char *)data + 2 + cut_count;
  size_t length = size - 2 - cut_count, seen = 0;
  whole.count = whole.consumed = pieces.count = pieces.consumed = 0;
  whole.refused = pieces.refused = false;
  find_all(framing, bytes, length, &seen, &whole);
  find_in_pieces(framing, bytes, length, data + 2, cut_count, &pieces);
  fuzz_require(whole.count == pieces.count, "as many frames in any pieces");
  fuzz_require(memcmp(whole.frames, pieces.frames,
                      whole.count * sizeof *whole.frames) == 0,
               "the same frames in any pieces");
  fuzz_require(whole.consumed == pieces.consumed, "of the same bytes");
  fuzz_require(whole.refused == pieces.refused, "and the same is refused");
  return 0;
}
