/*
 * Bytes that grow at their end, from malloc(). Whoever holds one owns its
 * memory and frees it; an all-zero one is empty and holds none. No lock: one
 * thread at a time.
 */
#ifndef MW_BASE_BUFFER_H
#define MW_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct mw_buffer {
  char *bytes; /* NULL without capacity */
  size_t length;
  size_t capacity;
};

/** Makes room for `more` bytes behind the length; false without memory. */
bool mw_buffer_reserve(struct mw_buffer *buffer, size_t more);

/** Adds a copy of `count` bytes; false without memory. */
bool mw_buffer_append(struct mw_buffer *buffer, const void *bytes,
                      size_t count);

/** Gives the memory back and leaves an empty buffer. */
void mw_buffer_free(struct mw_buffer *buffer);

#endif
