/*
 * A channel: framed messages with descriptors, both ways, over one end of an
 * AF_UNIX stream pair, on a uv loop. What is sent goes out once a turn of the
 * loop, in as few system calls as possible. Owns the descriptor and the queues
 * of both directions; its handles keep `data` NULL. Lives from
 * mw_channel_open() to on_closed, which comes once, last, after
 * mw_channel_close() only. Nothing in it knows Lua.
 */
#ifndef MW_IPC_CHANNEL_H
#define MW_IPC_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buffer.h"
#include "ipc/frame.h"

struct mw_channel;

/* Called by the loop. Each may close the channel. */
struct mw_channel_events {
  /* A frame has come; its bytes are good until the return. The descriptors
     that it counts are taken by mw_channel_take_fds(). A negative code closes
     the channel's reading side as garbage does. */
  int (*on_frame)(void *user, const struct mw_frame *frame);
  /* The kernel has taken all bytes up to this offset (mw_channel_queued()). */
  void (*on_sent)(void *user, uint64_t offset);
  /* Nothing goes out any more, once: the peer does not read, but it may still
     send. What waited is dropped. */
  void (*on_broken)(void *user, int error);
  /* Nothing comes any more, once: 0 where the peer has closed, else why. */
  void (*on_end)(void *user, int error);
  void (*on_closed)(void *user);
};

/**
 * Takes over `fd` and reads nothing until mw_channel_read_start(). On failure
 * (negative code) the descriptor stays the caller's and no event comes.
 */
int mw_channel_open(uv_loop_t *loop, int fd, enum mw_framing framing,
                    const struct mw_channel_events *events, void *user,
                    struct mw_channel **channel);

/**
 * Begins a frame: returns the buffer to append its payload to, behind what it
 * holds, or NULL without memory. Nothing else may be sent before
 * mw_channel_end_frame() or mw_channel_drop_frame().
 */
struct mw_buffer *mw_channel_begin_frame(struct mw_channel *channel);

/**
 * Ends it and queues it. Its descriptors stay the caller's, who keeps them open
 * until the peer has said that it has them, or the channel is closed or broken.
 * UV_ENOMEM, UV_EMSGSIZE and the code of on_broken drop the frame.
 */
int mw_channel_end_frame(struct mw_channel *channel, enum mw_frame_kind kind,
                         const int *fds, unsigned fd_count);

/** Takes the frame back that was begun; harmless where there is none. */
void mw_channel_drop_frame(struct mw_channel *channel);

/** The offset behind the last frame that was queued. */
uint64_t mw_channel_queued(const struct mw_channel *channel);

/** How many bytes the kernel has taken, of all that were queued. */
uint64_t mw_channel_sent(const struct mw_channel *channel);

/** How many bytes wait to be sent. */
size_t mw_channel_pending(const struct mw_channel *channel);

/**
 * Takes the descriptors of the frame that on_frame tells of: `count` as the
 * frame says, or 1 for a line that is known to have one. False where they did
 * not get here, because this process has too many open.
 */
bool mw_channel_take_fds(struct mw_channel *channel, int *fds, unsigned count);

/** Lets frames come. */
void mw_channel_read_start(struct mw_channel *channel);

/** Lets no frame come for now; what has come stays. */
void mw_channel_read_stop(struct mw_channel *channel);

/**
 * What has come and is no frame that was told of: `*bytes`, good until the next
 * call, and how many. UV_EAGAIN where descriptors have come with them.
 */
ptrdiff_t mw_channel_unread(const struct mw_channel *channel,
                            const char **bytes);

/** Takes bytes for the first that have come, before anything is read. */
int mw_channel_preload(struct mw_channel *channel, const char *bytes,
                       size_t length);

/** Whether an open channel keeps the loop alive; unsent bytes always do. */
void mw_channel_set_referenced(struct mw_channel *channel, bool referenced);

/** Sends at once what waits, as far as the kernel takes it. */
void mw_channel_flush(struct mw_channel *channel);

/** The same until all is sent, or `deadline_ms` have passed. */
int mw_channel_drain(struct mw_channel *channel, int timeout_ms);

/**
 * Ends the connection: what waits is dropped, descriptors that have come are
 * closed, no event but on_closed follows. May be called twice.
 */
void mw_channel_close(struct mw_channel *channel);

/** The descriptor; -1 once it is closed. */
int mw_channel_fd(const struct mw_channel *channel);

#endif
