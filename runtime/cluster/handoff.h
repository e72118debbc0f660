/*
 * The way on which a master passes connections to one worker: a pair of AF_UNIX
 * packet sockets beside their channel, so that no message stands in the way of
 * a connection. What comes back is on the board; the only packet up is one that
 * wakes the master. Owns nothing; all functions return 0, a count, or a
 * negative uv code.
 */
#ifndef MW_CLUSTER_HANDOFF_H
#define MW_CLUSTER_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/board.h"

enum {
  MW_HANDOFF_MAX = 64 /* connections of one packet */
};

/* The connections of one packet; their descriptors come along. */
struct mw_handoff {
  size_t count;
  struct {
    uint32_t key;    /* which of the worker's servers it is for */
    uint32_t beyond; /* 1: every worker is full, this one is to say so */
  } records[MW_HANDOFF_MAX];
  int fds[MW_HANDOFF_MAX]; /* -1 where one did not get here */
};

/** Makes the two ends, close-on-exec and non-blocking. */
int mw_handoff_pair(int fds[2]);

/** Makes the board of a way and sends it, before all else; another one once
 * another image of the master goes on with the way. */
int mw_handoff_send_board(int fd, struct mw_board **board);

/** Receives it. UV_EPROTO where it is not there. */
int mw_handoff_receive_board(int fd, struct mw_board **board);

/** Whether a packet is none of connections but another board. */
bool mw_handoff_has_board(const struct mw_handoff *handoff);

/** Maps it, and closes what has come with it. */
int mw_handoff_take_board(const struct mw_handoff *handoff,
                          struct mw_board **board);

/** Sends a packet; the descriptors stay the caller's. UV_EAGAIN: no room. */
int mw_handoff_send(int fd, const struct mw_handoff *handoff);

/** Receives one: how many connections, 0 at the end. */
int mw_handoff_receive(int fd, struct mw_handoff *handoff);

/** Wakes the master. */
void mw_handoff_wake(int fd);

/** Takes what has woken it: 1, or 0 at the end. */
int mw_handoff_receive_wake(int fd);

#endif
