/*
 * What a master and a worker say to each other about connections, over a pair
 * of AF_UNIX packet sockets of their own: the master hands over connections,
 * the worker says of each, in order, whether it takes it. Says so before it
 * reads anything from it: what a dead worker has not said yes to is untouched.
 * Owns nothing; all functions return 0, a count, or a negative uv code.
 */
#ifndef MW_CLUSTER_HANDOFF_H
#define MW_CLUSTER_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* The worker's answer to one packet; or, of its own accord and without
   verdicts, that something has changed: it may have room. */
struct mw_handoff_report {
  size_t count;  /* of verdicts */
  uint32_t open; /* connections that the worker has, where it counts them */
  uint8_t verdicts[MW_HANDOFF_MAX]; /* 1: taken, 0: not */
};

/** Makes the two ends, close-on-exec and non-blocking. */
int mw_handoff_pair(int fds[2]);

/** Sends a packet; the descriptors stay the caller's. UV_EAGAIN: no room. */
int mw_handoff_send(int fd, const struct mw_handoff *handoff);

/** Receives one: how many connections, 0 at the end. */
int mw_handoff_receive(int fd, struct mw_handoff *handoff);

/** Sends a report. UV_EAGAIN: no room. */
int mw_handoff_report(int fd, const struct mw_handoff_report *report);

/** Receives one: 1, or 0 at the end. */
int mw_handoff_receive_report(int fd, struct mw_handoff_report *report);

#endif
