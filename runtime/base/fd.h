/*
 * File descriptors: birth, flags, and writing everything.
 *
 * Owns nothing: descriptors are plain ints that the caller closes. Every one
 * made here is born close-on-exec. Called by the engine and by lua_fd; any
 * thread. All functions return 0 (or a count) or a negative uv code.
 * Writing to a pipe without a reader raises SIGPIPE: the host has an empty
 * handler for it; sockets are written to with MSG_NOSIGNAL.
 */
#ifndef MW_BASE_FD_H
#define MW_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>

/** One buffer to be written by mw_fd_drain. */
struct mw_fd_item {
  int fd;
  const char *data;
  size_t len;
  size_t written; /* out: bytes that were written */
  int error;      /* out: 0, UV_ETIMEDOUT or why writing stopped */
  size_t chunk;   /* private: most bytes to be written at once */
  bool is_socket; /* private */
};

/** Makes a pipe, fds[0] for reading (pipe2(2)). */
int mw_fd_pipe(int fds[2]);

/** Makes a pair of connected stream sockets (socketpair(2), AF_UNIX). */
int mw_fd_socketpair(int fds[2]);

/**
 * Makes a file that lies in memory and has no path (memfd_create(2)); `name` is
 * for who looks into /proc.
 */
int mw_fd_memory(const char *name);

/** Closes a descriptor; interrupted is closed too (close(2), Linux). */
int mw_fd_close(int fd);

/** A close-on-exec copy of a descriptor, above the standard ones. */
int mw_fd_dup(int fd);

/**
 * Puts a copy of `fd` in the place of another, close-on-exec unless that is a
 * standard one (dup3(2)).
 */
int mw_fd_replace(int fd, int replaced);

/**
 * Locks what is open for as long as it is (flock(2)); UV_EAGAIN where another
 * has it.
 */
int mw_fd_lock(int fd);

/** O_RDONLY, O_WRONLY or O_RDWR (fcntl(2), F_GETFL). */
int mw_fd_access_mode(int fd);

/**
 * Makes a descriptor close-on-exec that was there when the process started
 * (fcntl(2)). UV_EBADF where it is so already: then it is one of our own.
 */
int mw_fd_claim(int fd);

/**
 * Sets or clears O_NONBLOCK, which all that share the open file description
 * will see (fcntl(2), F_SETFL).
 */
int mw_fd_set_nonblocking(int fd, bool nonblocking);

/**
 * Reads at most `len` bytes, once (read(2)). Returns the count, 0 at the end
 * of file. At most INT_MAX bytes.
 */
int mw_fd_read(int fd, void *data, size_t len);

/**
 * Writes all of `data`, waiting when a non-blocking descriptor is full
 * (write(2)).
 */
int mw_fd_write_all(int fd, const void *data, size_t len);

/**
 * Writes several buffers to as many descriptors at once, until all is written
 * or `timeout_ms` has passed (poll(2); negative: no limit). Each descriptor
 * stands in one item only and may be blocking or not. Each item tells what
 * became of it; the result is negative only if nothing could be tried.
 */
int mw_fd_drain(struct mw_fd_item *items, size_t count, int timeout_ms);

/**
 * Whether reading would give the end of file, now: 1 or 0 (poll(2)). Takes
 * nothing off.
 */
int mw_fd_at_end(int fd);

/**
 * Makes a descriptor that polls as readable when `fd` does (epoll(7)): for
 * waiting on one whose flags are not ours to change. -EPERM for files, which
 * are always ready.
 */
int mw_fd_watch(int fd);

/**
 * What a descriptor is: "file", "fifo", "socket", "char", "tty", "block" or
 * "directory" (fstat(2), isatty(3)).
 */
int mw_fd_kind(int fd, const char **kind);

#endif
