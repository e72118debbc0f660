/*
 * A page of memory that a master and one worker share: on it the worker says
 * what it does with the connections that it was passed, each in its order, and
 * how many it has open. To say so costs it no system call, and it outlives the
 * worker: what is not on it when the worker dies, that has not touched.
 *
 * Each side maps it once: the master makes it and sends it, the worker receives
 * it. Owned by the outlet and the intake. One thread on each side.
 */
#ifndef MW_CLUSTER_BOARD_H
#define MW_CLUSTER_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mw_board;

/** Makes one: its descriptor is to be sent, and closed. Negative uv codes. */
int mw_board_make(struct mw_board **board, int *fd);

/** Maps one that was received; the descriptor stays the caller's. */
int mw_board_map(int fd, struct mw_board **board);

/** Takes it out of this process's memory. */
void mw_board_unmap(struct mw_board *board);

/* The worker's */

/** Says of the next `count` connections whether they are taken: 1 or 0. */
void mw_board_say(struct mw_board *board, const uint8_t *verdicts,
                  size_t count);

/** Says how many connections are open. */
void mw_board_set_open(struct mw_board *board, uint32_t open);

/** Says that there is room again, after connections were not taken. */
void mw_board_say_room(struct mw_board *board);

/** Whether the master is to be woken for what was said; once for each asking.
 */
bool mw_board_take_call(struct mw_board *board);

/* The master's */

/** How many verdicts there are in all. */
uint64_t mw_board_said(const struct mw_board *board);

/** The verdict with that number, of the last ones. */
bool mw_board_verdict(const struct mw_board *board, uint64_t number);

/** How many connections are open. */
uint32_t mw_board_open(const struct mw_board *board);

/** How often there was room again. */
uint32_t mw_board_rooms(const struct mw_board *board);

/** Asks to be woken for the next thing that is said. What was said before is
 * to be looked at afterwards. */
void mw_board_call(struct mw_board *board);

#endif
