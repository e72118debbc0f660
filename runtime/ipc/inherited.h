/*
 * The channel that the parent has opened for this process, and which worker of
 * a cluster it is: what the environment says. Read once, at the start, before
 * any child could inherit the variables. Owns nothing.
 */
#ifndef MW_IPC_INHERITED_H
#define MW_IPC_INHERITED_H

#include <stdbool.h>

enum { MW_FLUSH_TIMEOUT = 5000 };

struct mw_inherited_channel {
  int fd;            /* -1 where there is none */
  bool json;         /* Node's wire format */
  int flush_timeout; /* ms for what is unsent at the exit */
  int worker_id;     /* from 1; 0 for what is no worker of a cluster */
  int worker_slot;
};

/**
 * Reads MW_CHANNEL_FD, or NODE_CHANNEL_FD and NODE_CHANNEL_SERIALIZATION_MODE,
 * MW_EXIT_FLUSH_TIMEOUT, MW_UNIQUE_ID and MW_WORKER_SLOT, removes all of them
 * from the environment and makes the descriptor close-on-exec. What names no
 * open socket counts as none; without a channel nobody is a worker.
 */
struct mw_inherited_channel mw_inherited_channel_take(void);

#endif
