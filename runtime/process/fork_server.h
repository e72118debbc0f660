/*
 * The fork server: a process that has loaded what its workers need, and makes
 * copies of itself on request. One thread, no event loop, nothing but a
 * blocking wait for the next request; it ends with its master.
 *
 * Owns the socket to the master and the request that is being met. Called by
 * the host of a process that was started to be one. (The master's side:
 * process/fork_client.)
 */
#ifndef MW_PROCESS_FORK_SERVER_H
#define MW_PROCESS_FORK_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "process/fork_request.h"

struct mw_fork_server {
  int socket; /* -1: this process is none */
  pid_t last; /* the worker that was made last, 0 where that is unknown */
  struct mw_fork_request request;
};

/**
 * Whether this process was started to be a fork server: MW_FORK_SERVER_FD in
 * the environment names its socket, and is taken out.
 */
struct mw_fork_server mw_fork_server_take(void);

/** Tells the master that all is loaded, or, by a `reason`, why it is not. */
void mw_fork_server_ready(struct mw_fork_server *server, const char *reason);

/**
 * Makes workers until the master has gone. Returns false then; and true in
 * each worker, which has what its options say, `server->request` with its
 * arguments, and nothing of the server's descriptors (clone(2)).
 */
bool mw_fork_server_run(struct mw_fork_server *server);

/** Closes the socket and frees the request. Not for workers, who live on it. */
void mw_fork_server_close(struct mw_fork_server *server);

#endif
