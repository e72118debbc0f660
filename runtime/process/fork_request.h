/*
 * What a master asks its fork server for: one worker, as spawn_options
 * describe it. The wire format between process/fork_client and
 * process/fork_server, which run the same executable.
 *
 * A request is one or more packets on a SOCK_SEQPACKET socket: a header, the
 * tables of limits and descriptors, the texts. The descriptors come along: the
 * one to report to, the folder to start in, then those of the worker.
 */
#ifndef MW_PROCESS_FORK_REQUEST_H
#define MW_PROCESS_FORK_REQUEST_H

#include "base/buffer.h"
#include "process/spawn_options.h"

/** A request that was received. All zero holds nothing. */
struct mw_fork_request {
  struct mw_spawn_options options; /* good until the next one is received */
  int argc;      /* 0: a question for the last worker, and nothing else in it */
  pid_t parent;  /* the master */
  int report_fd; /* for a struct mw_child_report */
  int folder_fd; /* where the master is; options.cwd starts from it */
  int *sources;  /* room for child_setup */
  int error;     /* why it can't be met, or 0 */

  /* private */
  struct mw_buffer bytes;
  struct mw_buffer passed; /* ints: all that came along */
  struct mw_buffer tables; /* pointers into `bytes`, and `sources` */
};

/**
 * Sends a request, waiting until `deadline` (base/deadline) at most. Returns 0
 * or a negative code; UV_EPIPE where the server has gone.
 */
int mw_fork_request_send(int socket, const struct mw_spawn_options *options,
                         int report_fd, int folder_fd, int64_t deadline);

/**
 * Asks for the pid of the worker that was made last: a pid_t on the socket, 0
 * where it is unknown. The same results.
 */
int mw_fork_request_send_question(int socket, int64_t deadline);

/**
 * Waits for a request. 1, 0 at the end, or a negative code where no more can
 * be understood (recvmsg(2)).
 */
int mw_fork_request_receive(int socket, struct mw_fork_request *request);

/** Closes what came along; the memory stays, for the next one. */
void mw_fork_request_release(struct mw_fork_request *request);

/** The same, and gives the memory back. */
void mw_fork_request_free(struct mw_fork_request *request);

#endif
