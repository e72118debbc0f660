/*
 * The memory of a process that is about to be copied again and again: so that
 * a copy is quickly made, and shares as much as it can for as long as it can.
 *
 * Owns what it takes off the heap, for good. Called by process/fork_server,
 * once, when everything is loaded; one thread.
 */
#ifndef MW_PROCESS_WARM_HEAP_H
#define MW_PROCESS_WARM_HEAP_H

/**
 * Settles what is there: free memory inside it is taken, so that a copy
 * allocates from fresh pages, side by side; and it is put into large pages
 * where the kernel does that (madvise(2), MADV_COLLAPSE), for whose sake fewer
 * entries of page tables are copied.
 */
void mw_warm_heap_settle(void);

#endif
