#include "base/buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 256 };

bool mw_buffer_reserve(struct mw_buffer *buffer, size_t more) {
  if (more <= buffer->capacity - buffer->length)
    return true;
  if (more > SIZE_MAX / 2 - buffer->length)
    return false;
  size_t needed = buffer->length + more;
  size_t capacity = buffer->capacity < SIZE_MAX / 4 ? buffer->capacity * 2 : 0;
  if (capacity < CAPACITY_MIN)
    capacity = CAPACITY_MIN;
  if (capacity < needed)
    capacity = needed;
  char *bytes = realloc(buffer->bytes, capacity);
  if (!bytes)
    return false;
  buffer->bytes = bytes;
  buffer->capacity = capacity;
  return true;
}

bool mw_buffer_append(struct mw_buffer *buffer, const void *bytes,
                      size_t count) {
  if (count == 0)
    return true;
  if (!mw_buffer_reserve(buffer, count))
    return false;
  memcpy(buffer->bytes + buffer->length, bytes, count);
  buffer->length += count;
  return true;
}

void mw_buffer_free(struct mw_buffer *buffer) {
  free(buffer->bytes);
  *buffer = (struct mw_buffer){.bytes = NULL};
}
