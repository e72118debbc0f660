#include "ipc/frame.h"

#include <string.h>
#include <uv.h>

void mw_frame_write_header(char *header, const struct mw_frame *frame) {
  unsigned char *bytes = (unsigned char *)header;
  uint32_t length = (uint32_t)frame->length;
  for (int i = 0; i < 4; i++)
    bytes[i] = (unsigned char)(length >> (8 * i));
  bytes[4] = (unsigned char)frame->kind;
  bytes[5] = (unsigned char)frame->fd_count;
  bytes[6] = frame->starts_batch ? MW_FRAME_STARTS_BATCH : 0;
  bytes[7] = 0;
}

void mw_frame_start_batch(char *header) {
  header[6] = MW_FRAME_STARTS_BATCH;
}

static ptrdiff_t find_binary(const char *start, size_t length,
                             struct mw_frame *frame, size_t *wanted) {
  const unsigned char *bytes = (const unsigned char *)start;
  *wanted = MW_FRAME_HEADER_SIZE;
  if (length < MW_FRAME_HEADER_SIZE)
    return 0;
  size_t payload = (size_t)bytes[0] | (size_t)bytes[1] << 8 |
                   (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
  if (payload > MW_FRAME_PAYLOAD_MAX || bytes[4] >= MW_FRAME_KIND_COUNT ||
      bytes[5] > MW_FRAME_FDS_MAX || bytes[6] > MW_FRAME_STARTS_BATCH ||
      bytes[7] != 0)
    return UV_EPROTO;
  *wanted = MW_FRAME_HEADER_SIZE + payload;
  if (length < *wanted)
    return 0;
  frame->kind = (enum mw_frame_kind)bytes[4];
  frame->fd_count = bytes[5];
  frame->starts_batch = bytes[6] == MW_FRAME_STARTS_BATCH;
  frame->payload = start + MW_FRAME_HEADER_SIZE;
  frame->length = payload;
  return (ptrdiff_t)*wanted;
}

static ptrdiff_t find_line(const char *bytes, size_t length,
                           struct mw_frame *frame, size_t *seen,
                           size_t *wanted) {
  const char *newline = memchr(bytes + *seen, '\n', length - *seen);
  if (!newline) {
    *seen = length;
    *wanted = length + 1;
    return length > MW_FRAME_PAYLOAD_MAX ? UV_EPROTO : 0;
  }
  *seen = 0;
  *frame =
      (struct mw_frame){.payload = bytes, .length = (size_t)(newline - bytes)};
  return newline + 1 - bytes;
}

ptrdiff_t mw_frame_find(enum mw_framing framing, const char *bytes,
                        size_t length, struct mw_frame *frame, size_t *seen,
                        size_t *wanted) {
  return framing == MW_FRAMING_BINARY
             ? find_binary(bytes, length, frame, wanted)
             : find_line(bytes, length, frame, seen, wanted);
}
