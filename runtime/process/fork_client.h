/*
 * The master's side of a fork server (process/fork_server): asks it for
 * workers, which are children of the master.
 *
 * Owns nothing between calls: the socket is the caller's. Called by
 * process/spawn and lua_fork_server; the thread that started the server, which
 * stands still until the worker runs.
 */
#ifndef MW_PROCESS_FORK_CLIENT_H
#define MW_PROCESS_FORK_CLIENT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "process/child_setup.h"

/** What a process gets from its parent, and no option of spawn changes. */
struct mw_fork_identity {
  uid_t uid, effective_uid;
  gid_t gid, effective_gid;
  pid_t group, session;
};

/** That of this process (credentials(7)). */
struct mw_fork_identity mw_fork_client_identity(void);

/**
 * A connection for a server that is to be started: fds[0] stays here, fds[1]
 * goes there.
 */
int mw_fork_client_pair(int fds[2]);

/**
 * Waits at most `timeout_ms` for a new server to have loaded its modules. 0,
 * or a negative code: UV_EPIPE where it ended, UV_EPROTO where it could not:
 * then `reason` is its own words, cut at `size`.
 */
int mw_fork_client_wait(int socket, int timeout_ms, char *reason, size_t size);

/**
 * Starts a worker, as mw_spawn does a program. UV_EPIPE in the stage "server"
 * where there was nobody to ask; UV_ECONNRESET where the server has ended over
 * it, and in the stage "worker" where that was killed before it ran;
 * UV_ETIMEDOUT where the server does not answer.
 *
 * Whoever else has become a child of this process meanwhile is added to
 * `strays`, a pid_t each: their own parents have ended, and we must reap them.
 */
int mw_fork_client_start(const struct mw_spawn_options *options,
                         enum mw_spawn_stage *stage, struct mw_buffer *strays);

#endif
