/*
 * Running a child to its end while everything else waits.
 *
 * Owns the child, its pipes and the output buffers until mw_sync_run returns;
 * the buffers then until mw_sync_free. Called by lua_process; any thread.
 * Uses poll(2) and no uv loop, and waits for its own pid only, so that other
 * children's ends are still there for the reaper.
 */
#ifndef MW_PROCESS_SPAWN_SYNC_H
#define MW_PROCESS_SPAWN_SYNC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/spawn.h"

enum mw_sync_kind {
  MW_SYNC_GIVEN, /* what options->fds says */
  MW_SYNC_INPUT, /* fed from `input`, then closed */
  MW_SYNC_CAPTURE
};

/** One descriptor of the child. */
struct mw_sync_stream {
  enum mw_sync_kind kind;
  const char *input;
  size_t input_len;

  char *output; /* out: what was captured, NULL if nothing */
  size_t output_len;

  /* private */
  int fd; /* our end, -1 when closed */
  size_t room;
  size_t sent;
};

struct mw_sync_request {
  const struct mw_spawn_options *options;
  struct mw_sync_stream *streams; /* streams[i] is the child's descriptor i */
  size_t stream_count;
  int64_t timeout_ms; /* 0: none */
  int kill_signal;    /* for the time-out and too much output */
  size_t max_buffer;  /* kept bytes of each stream; SIZE_MAX: no limit */

  /* out */
  int pid;                   /* 0: never started */
  int status;                /* exit status, -1 when killed or unknown */
  int signum;                /* that killed it, or 0 */
  int error;                 /* 0, UV_ETIMEDOUT, UV_ENOBUFS, ... */
  enum mw_spawn_stage stage; /* if it was not started */
};

/**
 * Starts the child, feeds and reads its pipes, and waits for its end and for
 * the end of file of all captured ones, or, after it had to be killed, for its
 * end only, however long it takes (poll(2), pidfd_open(2)). Output up to the
 * limit is kept in any case. The results are in `request`.
 */
void mw_sync_run(struct mw_sync_request *request);

/** Frees the outputs; harmless when repeated. */
void mw_sync_free(struct mw_sync_request *request);

#endif
