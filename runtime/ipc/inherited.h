/*
 * The channel that the parent has opened for this process: where the
 * environment says that it is. Read once, at the start, before any child could
 * inherit the variables. Owns nothing.
 */
#ifndef MW_IPC_INHERITED_H
#define MW_IPC_INHERITED_H

#include <stdbool.h>

enum { MW_FLUSH_TIMEOUT = 5000 };

struct mw_inherited_channel {
  int fd;            /* -1 where there is none */
  bool json;         /* Node's wire format */
  int flush_timeout; /* ms for what is unsent at the exit */
};

/**
 * Reads MW_CHANNEL_FD, or NODE_CHANNEL_FD and NODE_CHANNEL_SERIALIZATION_MODE,
 * and MW_EXIT_FLUSH_TIMEOUT, removes all four from the environment and makes
 * the descriptor close-on-exec. What names no open socket counts as none.
 */
struct mw_inherited_channel mw_inherited_channel_take(void);

#endif
