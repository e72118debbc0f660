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

enum {
  SLAB_SIZE = 16384, /* and what its address is a multiple of */
  /* The C library's own bytes stand in front of the next slab: in this way one
     fits behind the other without a gap. */
  SLAB_USABLE = SLAB_SIZE - 16,
  STEP = 16,
  SPARE_MAX = 8
};

/* A block that nobody has. */
struct block {
  struct block *next;
};

/* Stands at the beginning of its memory, before the blocks. */
struct slab {
  struct mw_link link;
  struct block *free;  /* given back */
  char *fresh;         /* from here on, none was ever handed out */
  unsigned left, most; /* blocks that can be had now, and when it is empty */
  uint16_t size;       /* of a block */
  uint8_t class;
  bool settled;
};

enum { SLAB_HEAD = (sizeof(struct slab) + STEP - 1) / STEP * STEP };

static struct slab *of_link(struct mw_link *link) {
  return MW_LINKED(link, struct slab, link);
}

static struct slab *of_block(void *block) {
  return (struct slab *)((uintptr_t)block & ~(uintptr_t)(SLAB_SIZE - 1));
}

static bool is_small(size_t size) {
  return USES_SLABS && size <= MW_POOL_BLOCK_MAX;
}

/* The sizes grow by 16 up to 128, from there on by a fourth of the power of two
   that they have passed. */
static unsigned class_of(size_t size) {
  unsigned steps = (unsigned)((size + STEP - 1) / STEP);
  if (steps <= 8)
    return steps - 1;
  unsigned power = 31 - (unsigned)__builtin_clz(steps - 1);
  return 4 * (power - 1) + ((steps - 1) >> (power - 2)) - 4;
}

static size_t size_of(unsigned class) {
  if (class < 8)
    return (class + 1) * STEP;
  return (size_t)(class % 4 + 5) << (class / 4 - 1) << 4;
}

/* slabs */

static void move_to(struct mw_link *list, struct slab *slab) {
  mw_list_remove(&slab->link);
  mw_list_insert_after(list, &slab->link);
}

static struct slab *take_spare(struct mw_pool *pool) {
  struct slab *slab = of_link(pool->spare.next);
  mw_list_remove(&slab->link);
  pool->spare_count--;
  return slab;
}

static struct slab *add_slab(struct mw_pool *pool, unsigned class) {
  void *memory;
  if (!mw_list_is_empty(&pool->spare))
    memory = take_spare(pool);
  else if (posix_memalign(&memory, SLAB_SIZE, SLAB_USABLE))
    return NULL;
  struct slab *slab = memory;
  size_t size = size_of(class);
  unsigned count = (unsigned)((SLAB_USABLE - SLAB_HEAD) / size);
  *slab = (struct slab){.fresh = (char *)memory + SLAB_HEAD,
                        .left = count,
                        .most = count,
                        .size = (uint16_t)size,
                        .class = (uint8_t) class};
  mw_list_insert_after(&pool->open[class], &slab->link);
  return slab;
}

static void retire(struct mw_pool *pool, struct slab *slab) {
  mw_list_remove(&slab->link);
  if (pool->spare_count == SPARE_MAX) {
    free(slab);
    return;
  }
  mw_list_insert_after(&pool->spare, &slab->link);
  pool->spare_count++;
}

/* blocks */

static void *take(struct mw_pool *pool, size_t size) {
  unsigned class = class_of(size);
  struct mw_link *open = &pool->open[class];
  struct slab *slab =
      mw_list_is_empty(open) ? add_slab(pool, class) : of_link(open->next);
  if (!slab)
    return NULL;
  if (--slab->left == 0)
    move_to(&pool->full, slab);
  void *taken = slab->free;
  if (taken) {
    slab->free = slab->free->next;
  } else {
    taken = slab->fresh;
    slab->fresh += slab->size;
  }
  return taken;
}

static void give_back(struct mw_pool *pool, void *memory) {
  struct slab *slab = of_block(memory);
  struct block *block = memory;
  if (slab->settled)
    return;
  block->next = slab->free;
  slab->free = block;
  if (slab->left++ == 0)
    move_to(&pool->open[slab->class], slab);
  if (slab->left == slab->most)
    retire(pool, slab);
}

static void *allocate(struct mw_pool *pool, size_t size) {
  return is_small(size) ? take(pool, size) : malloc(size);
}

static void release(struct mw_pool *pool, void *block, size_t size) {
  if (is_small(size))
    give_back(pool, block);
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
  if (wanted == 0) {
    if (block)
      release(pool, block, size);
    return NULL;
  }
  if (!block)
    return allocate(pool, wanted);
  if (!is_small(size) && !is_small(wanted))
    return realloc(block, wanted);
  if (is_small(size) && is_small(wanted) && class_of(size) == class_of(wanted))
    return block;
  return move(pool, block, size, wanted);
}

/* the pool */

void mw_pool_open(struct mw_pool *pool) {
  for (int class = 0; class < MW_POOL_CLASSES; class ++)
    mw_list_init(&pool->open[class]);
  mw_list_init(&pool->full);
  mw_list_init(&pool->settled);
  mw_list_init(&pool->spare);
  pool->spare_count = 0;
}

static void settle_all(struct mw_pool *pool, struct mw_link *list) {
  while (!mw_list_is_empty(list)) {
    struct slab *slab = of_link(list->next);
    slab->settled = true;
    move_to(&pool->settled, slab);
  }
}

void mw_pool_settle(struct mw_pool *pool) {
  for (int class = 0; class < MW_POOL_CLASSES; class ++)
    settle_all(pool, &pool->open[class]);
  settle_all(pool, &pool->full);
  settle_all(pool, &pool->spare);
  pool->spare_count = 0;
}

void mw_pool_close(struct mw_pool *pool) {
  mw_pool_settle(pool);
  while (!mw_list_is_empty(&pool->settled)) {
    struct slab *slab = of_link(pool->settled.next);
    mw_list_remove(&slab->link);
    free(slab);
  }
}
