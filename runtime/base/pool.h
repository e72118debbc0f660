/*
 * Memory for one who asks for small blocks all the time and tells their sizes
 * when it gives them back, as Lua does. Blocks of one class of sizes stand side
 * by side in a *slab*; a slab of which none is left serves another class, or
 * goes back to the C library, from which large blocks come directly.
 *
 * Owns its slabs and nothing else. Made by the host for its Lua state, from
 * mw_pool_open() to mw_pool_close(); may not be moved. No lock: one thread at a
 * time. Built with AddressSanitizer, it leaves all blocks to the C library,
 * where errors are seen.
 */
#ifndef MW_BASE_POOL_H
#define MW_BASE_POOL_H

#include <stddef.h>

#include "base/list.h"

/* The largest block that stands in a slab, and how many classes there are. */
enum { MW_POOL_BLOCK_MAX = 1024, MW_POOL_CLASSES = 20 };

struct mw_pool {
  struct mw_link open[MW_POOL_CLASSES]; /* slabs that have room, by class */
  struct mw_link full;                  /* those that have none */
  struct mw_link settled;
  struct mw_link spare; /* those that are empty, for any class */
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
 * Leaves all memory alone that there is now, handed out or not: new blocks come
 * from fresh pages, and what is given back is not used again. For a process
 * whose copies share its pages as long as nobody writes to them.
 */
void mw_pool_settle(struct mw_pool *pool);

/** Gives all slabs back, and with them all small blocks. */
void mw_pool_close(struct mw_pool *pool);

#endif
