/*
 * Memory for one who asks for small blocks all the time and tells their sizes
 * when it gives them back, as Lua does. Blocks of one class of sizes stand side
 * by side in a *slab*, slabs in a *chunk* from the C library. A slab of which
 * nothing is in use serves another class; a chunk goes back. Larger blocks are
 * the C library's.
 *
 * Owns its chunks. Made by the host for its Lua state, from mw_pool_open() to
 * mw_pool_close(); may not be moved. No lock: one thread at a time. Built with
 * AddressSanitizer, it leaves all blocks to the C library, where errors are
 * seen.
 */
#ifndef MW_BASE_POOL_H
#define MW_BASE_POOL_H

#include <stddef.h>

#include "base/list.h"

/* The largest block that stands in a slab, and how many classes there are. */
enum { MW_POOL_BLOCK_MAX = 256, MW_POOL_CLASSES = 12 };

struct mw_pool {
  struct mw_link chunks;
  struct mw_link open[MW_POOL_CLASSES]; /* slabs with room, by class */
  struct mw_link spare;                 /* slabs for any class */
  size_t spare_count;
};

void mw_pool_open(struct mw_pool *pool);

/**
 * As realloc(3), for a block of `size` bytes: gives a new one where `block` is
 * NULL, takes it back where `wanted` is 0. NULL without memory; the block is
 * still there then. The result is good for any type.
 */
void *mw_pool_resize(struct mw_pool *pool, void *block, size_t size,
                     size_t wanted);

/**
 * Leaves all slabs alone that there are now: new blocks come from fresh pages,
 * and what is given back is not used again. For a process whose copies share
 * its pages as long as nobody writes to them.
 */
void mw_pool_settle(struct mw_pool *pool);

/** Gives all chunks back, and with them all small blocks. */
void mw_pool_close(struct mw_pool *pool);

#endif
