#include "process/warm_heap.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* new in Linux 6.1 */
#endif

/* Of the C library's allocator: sizes of free blocks, and their steps. */
#define LARGEST_HOLE 65536
#define LARGEST_SMALL_HOLE 1040
#define SMALLEST_HOLE 16

#define LARGE_PAGE ((uintptr_t)2 << 20)

/* Takes blocks of one size until one comes from above all that was there. */
static void take_blocks(size_t size, const char *top) {
  char *taken;
  do
    taken = malloc(size);
  while (taken != NULL && taken < top);
  free(taken);
}

/* First the C library tidies up, which a worker's first large block would else
   make it do, all over the heap. */
static void fill_holes(void) {
  const char *top = sbrk(0);
  malloc_trim(0);
  size_t size = LARGEST_HOLE;
  for (; size > LARGEST_SMALL_HOLE; size -= size / 4)
    take_blocks(size, top);
  for (size = LARGEST_SMALL_HOLE; size >= SMALLEST_HOLE; size -= SMALLEST_HOLE)
    take_blocks(size, top);
}

/* Memory that belongs to no file, and to us alone: in a line of /proc/self/maps
   the permissions are followed by three zeros. */
static bool is_our_memory(const char *line, uintptr_t *start, uintptr_t *end) {
  char permissions[5];
  unsigned long from, to, inode;
  int fields =
      sscanf(line, "%lx-%lx %4s %*s %*s %lu", &from, &to, permissions, &inode);
  *start = (from + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
  *end = to / LARGE_PAGE * LARGE_PAGE;
  return fields == 4 && strcmp(permissions, "rw-p") == 0 && inode == 0 &&
         *start < *end;
}

static void use_large_pages(void) {
  char line[512];
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL)
    return;
  while (fgets(line, sizeof line, maps) != NULL) {
    uintptr_t start, end;
    if (is_our_memory(line, &start, &end))
      madvise((void *)start, end - start, MADV_COLLAPSE); /* or not */
  }
  fclose(maps);
}

void mw_warm_heap_settle(void) {
  use_large_pages();
  fill_holes();
}
