#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define USES_SLABS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define USES_SLABS false
#endif
#endif
#ifndef USES_SLABS
#define USES_SLABS true
#endif

/* Slabs stand at multiples of their size, so that a block leads to its slab. In
   a chunk, the head takes the place of the first one. The end of a chunk is
   left to the C library's own bytes: so the next one fits right behind. */
enum {
  STEP = 16, /* what all sizes of blocks are multiples of */
  SLAB_SIZE = 2048,
  SLAB_USABLE = SLAB_SIZE - 16,
  CHUNK_SIZE = 65536,
  CHUNK_USABLE = CHUNK_SIZE - 16,
  PLACES = CHUNK_SIZE / SLAB_SIZE,
  SPARE_MAX = 2 * PLACES
};

/* A block that nobody has. */
struct block {
  struct block *next;
};

struct slab {
  struct mw_link link; /* while it is open or spare */
  struct block *free;  /* given back */
  uint16_t fresh;      /* where the bytes begin that were never handed out */
  uint8_t left, used;  /* how many blocks can be had, and are */
  uint8_t size_class;
  uint8_t place; /* in its chunk */
  bool settled;
};

struct chunk {
  struct mw_link link;
  unsigned cut;  /* how many places are taken */
  unsigned used; /* how many slabs are not spare */
};

enum { SLAB_HEAD = (sizeof(struct slab) + STEP - 1) / STEP * STEP };

static struct slab *slab_of_link(struct mw_link *link) {
  return MW_LINKED(link, struct slab, link);
}

static struct chunk *chunk_of_link(struct mw_link *link) {
  return MW_LINKED(link, struct chunk, link);
}

static struct slab *slab_of(void *block) {
  return (struct slab *)((uintptr_t)block & ~(uintptr_t)(SLAB_SIZE - 1));
}

static struct slab *slab_at(struct chunk *chunk, unsigned place) {
  return (struct slab *)(void *)((char *)chunk + place * SLAB_SIZE);
}

static struct chunk *chunk_of(struct slab *slab) {
  return (struct chunk *)(void *)((char *)slab - slab->place * SLAB_SIZE);
}

/* sizes */

static bool is_small(size_t size) {
  return USES_SLABS && size <= MW_POOL_BLOCK_MAX;
}

/* By steps of 16 up to 128, and of 32 from there on. */
static unsigned class_of(size_t size) {
  unsigned steps = (unsigned)((size + STEP - 1) / STEP);
  return steps <= 8 ? steps - 1 : (steps + 1) / 2 + 3;
}

static unsigned size_of(unsigned size_class) {
  return STEP * (size_class < 8 ? size_class + 1 : 2 * (size_class - 3));
}

/* slabs */

static struct chunk *add_chunk(struct mw_pool *pool) {
  void *memory;
  if (posix_memalign(&memory, SLAB_SIZE, CHUNK_USABLE))
    return NULL;
  struct chunk *chunk = memory;
  *chunk = (struct chunk){.cut = 1};
  mw_list_insert_after(&pool->chunks, &chunk->link);
  return chunk;
}

/* Only the latest chunk may have places that no slab has taken. */
static struct slab *cut_slab(struct mw_pool *pool) {
  struct chunk *chunk = chunk_of_link(pool->chunks.next);
  if (mw_list_is_empty(&pool->chunks) || chunk->cut == PLACES)
    chunk = add_chunk(pool);
  if (!chunk)
    return NULL;
  struct slab *slab = slab_at(chunk, chunk->cut);
  slab->place = (uint8_t)chunk->cut++;
  return slab;
}

static struct slab *take_spare(struct mw_pool *pool) {
  struct slab *slab = slab_of_link(pool->spare.next);
  mw_list_remove(&slab->link);
  pool->spare_count--;
  return slab;
}

static struct slab *open_slab(struct mw_pool *pool, unsigned size_class) {
  struct slab *slab =
      mw_list_is_empty(&pool->spare) ? cut_slab(pool) : take_spare(pool);
  if (!slab)
    return NULL;
  *slab = (struct slab){
      .fresh = SLAB_HEAD,
      .left = (uint8_t)((SLAB_USABLE - SLAB_HEAD) / size_of(size_class)),
      .size_class = (uint8_t)size_class,
      .place = slab->place,
  };
  chunk_of(slab)->used++;
  mw_list_insert_after(&pool->open[size_class], &slab->link);
  return slab;
}

static void give_chunk_back(struct mw_pool *pool, struct chunk *chunk) {
  for (unsigned place = 1; place < chunk->cut; place++) {
    mw_list_remove(&slab_at(chunk, place)->link);
    pool->spare_count--;
  }
  mw_list_remove(&chunk->link);
  free(chunk);
}

static void close_slab(struct mw_pool *pool, struct slab *slab) {
  struct chunk *chunk = chunk_of(slab);
  mw_list_remove(&slab->link);
  mw_list_insert_after(&pool->spare, &slab->link);
  pool->spare_count++;
  if (--chunk->used == 0 && pool->spare_count > SPARE_MAX)
    give_chunk_back(pool, chunk);
}

/* blocks */

static void *take_block(struct mw_pool *pool, unsigned size_class) {
  struct mw_link *open = &pool->open[size_class];
  struct slab *slab = mw_list_is_empty(open) ? open_slab(pool, size_class)
                                             : slab_of_link(open->next);
  if (!slab)
    return NULL;
  slab->used++;
  if (--slab->left == 0)
    mw_list_remove(&slab->link);
  struct block *block = slab->free;
  if (block) {
    slab->free = block->next;
    return block;
  }
  void *fresh = (char *)slab + slab->fresh;
  slab->fresh = (uint16_t)(slab->fresh + size_of(size_class));
  return fresh;
}

static void give_block_back(struct mw_pool *pool, void *memory) {
  struct slab *slab = slab_of(memory);
  struct block *block = memory;
  if (slab->settled)
    return;
  block->next = slab->free;
  slab->free = block;
  if (slab->left++ == 0)
    mw_list_insert_after(&pool->open[slab->size_class], &slab->link);
  if (--slab->used == 0)
    close_slab(pool, slab);
}

static void *allocate(struct mw_pool *pool, size_t size) {
  return is_small(size) ? take_block(pool, class_of(size)) : malloc(size);
}

static void release(struct mw_pool *pool, void *block, size_t size) {
  if (is_small(size))
    give_block_back(pool, block);
  else
    free(block);
}

static void *move(struct mw_pool *pool, void *block, size_t size,
                  size_t wanted) {
  void *moved = allocate(pool, wanted);
  if (!moved)
    return NULL;
  memcpy(moved, block, size < wanted ? size : wanted);
  release(pool, block, size);
  return moved;
}

void *mw_pool_resize(struct mw_pool *pool, void *block, size_t size,
                     size_t wanted) {
  if (!block)
    return wanted ? allocate(pool, wanted) : NULL;
  if (wanted == 0) {
    release(pool, block, size);
    return NULL;
  }
  if (!is_small(size) && !is_small(wanted))
    return realloc(block, wanted);
  if (is_small(size) && is_small(wanted) && class_of(size) == class_of(wanted))
    return block;
  return move(pool, block, size, wanted);
}

/* the pool */

static void forget_slabs(struct mw_pool *pool) {
  for (int size_class = 0; size_class < MW_POOL_CLASSES; size_class++)
    mw_list_init(&pool->open[size_class]);
  mw_list_init(&pool->spare);
  pool->spare_count = 0;
}

void mw_pool_open(struct mw_pool *pool) {
  mw_list_init(&pool->chunks);
  forget_slabs(pool);
}

static void settle_chunk(struct chunk *chunk) {
  for (unsigned place = 1; place < chunk->cut; place++)
    slab_at(chunk, place)->settled = true;
  chunk->cut = PLACES;
}

void mw_pool_settle(struct mw_pool *pool) {
  struct mw_link *link = pool->chunks.next;
  for (; link != &pool->chunks; link = link->next)
    settle_chunk(chunk_of_link(link));
  forget_slabs(pool);
}

void mw_pool_close(struct mw_pool *pool) {
  while (!mw_list_is_empty(&pool->chunks)) {
    struct chunk *chunk = chunk_of_link(pool->chunks.next);
    mw_list_remove(&chunk->link);
    free(chunk);
  }
}
