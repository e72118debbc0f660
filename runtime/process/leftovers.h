/*
 * What a piece of code has left behind in its process: threads and
 * descriptors.
 *
 * Owns nothing. Called by the host of a fork server, whose copies would have
 * them too; one thread. Reads /proc, and finds nothing where that is not there.
 */
#ifndef MW_PROCESS_LEFTOVERS_H
#define MW_PROCESS_LEFTOVERS_H

#include <stddef.h>

/** How many threads the process has (proc(5)); at least 1. */
int mw_leftovers_threads(void);

/**
 * The lowest open descriptor above the standard ones that is not `known`, -1
 * where there is none; `target` tells what it is, cut at `size`.
 */
int mw_leftovers_descriptor(int known, char *target, size_t size);

#endif
