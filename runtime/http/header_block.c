#include "http/header_block.h"

#include <string.h>

bool mw_http_header_add(struct mw_buffer *block, struct mw_http_span name,
                        struct mw_http_span value) {
  if (!mw_buffer_reserve(block, name.length + value.length + 4))
    return false;
  char *at = block->bytes + block->length;
  memcpy(at, name.at, name.length);
  at += name.length;
  *at++ = ':';
  *at++ = ' ';
  if (value.length > 0)
    memcpy(at, value.at, value.length);
  at += value.length;
  *at++ = '\r';
  *at++ = '\n';
  block->length = (size_t)(at - block->bytes);
  return true;
}

bool mw_http_header_next(const struct mw_buffer *block, size_t *offset,
                         struct mw_http_span *name,
                         struct mw_http_span *value) {
  if (*offset >= block->length)
    return false;
  const char *line = block->bytes + *offset;
  size_t left = block->length - *offset;
  const char *colon = memchr(line, ':', left);
  const char *end = memchr(colon, '\r', left - (size_t)(colon - line));
  *name = (struct mw_http_span){line, (size_t)(colon - line)};
  *value = (struct mw_http_span){colon + 2, (size_t)(end - colon) - 2};
  *offset += (size_t)(end - line) + 2;
  return true;
}

bool mw_http_header_find(const struct mw_buffer *block,
                         struct mw_http_span name, size_t *offset,
                         struct mw_http_span *value) {
  struct mw_http_span found;
  while (mw_http_header_next(block, offset, &found, value))
    if (mw_http_same_name(found.at, found.length, name.at, name.length))
      return true;
  return false;
}

bool mw_http_header_remove(struct mw_buffer *block, struct mw_http_span name) {
  struct mw_http_span found, value;
  size_t offset = 0, start = 0;
  bool removed = false;
  while (mw_http_header_next(block, &offset, &found, &value)) {
    if (mw_http_same_name(found.at, found.length, name.at, name.length)) {
      memmove(block->bytes + start, block->bytes + offset,
              block->length - offset);
      block->length -= offset - start;
      offset = start;
      removed = true;
    }
    start = offset;
  }
  return removed;
}
