/*
 * Takes connections off one listening socket. Owns the descriptor and two
 * handles, whose `data` stays NULL. Lives from mw_acceptor_open() to on_closed,
 * which comes once, last, after mw_acceptor_close() only. Used by whoever
 * serves connections or hands them on; the loop's thread.
 *
 * Where there are no descriptors or no memory left, it tells that and tries
 * again a moment later: the connections wait in the kernel.
 */
#ifndef MW_NET_ACCEPTOR_H
#define MW_NET_ACCEPTOR_H

#include <stdbool.h>
#include <uv.h>

struct mw_acceptor;

/* It may be stopped and closed in any of these. */
struct mw_acceptor_events {
  /* A connection: non-blocking, close-on-exec, the listener's from now on. */
  void (*on_connection)(void *user, int fd);
  /* One could not be accepted, and the next try is a moment away: a negative
     uv code. */
  void (*on_refused)(void *user, int error);
  void (*on_closed)(void *user);
};

/**
 * Takes over a descriptor that listens and is non-blocking, unless this fails;
 * accepts nothing before mw_acceptor_start(). With `exclusive`, a connection
 * wakes one of the processes that wait at the same socket in place of all
 * (EPOLLEXCLUSIVE); they must all ask for it. Negative uv codes.
 */
int mw_acceptor_open(uv_loop_t *loop, int fd, bool exclusive,
                     const struct mw_acceptor_events *events, void *user,
                     struct mw_acceptor **acceptor);

/** Accepts from now on; harmless where it does. */
void mw_acceptor_start(struct mw_acceptor *acceptor);

/** Accepts no more: what comes waits in the kernel. May be started again. */
void mw_acceptor_stop(struct mw_acceptor *acceptor);

/** Whether accepting keeps the loop alive, as it does at first. */
void mw_acceptor_set_referenced(struct mw_acceptor *acceptor, bool referenced);

/** Stops and closes the descriptor at once; on_closed follows. May be called
 * twice. */
void mw_acceptor_close(struct mw_acceptor *acceptor);

#endif
