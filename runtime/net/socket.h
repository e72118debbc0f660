/*
 * Sockets that libuv 1.44 can't make: bound with SO_REUSEPORT, with an abstract
 * name, or so that a refusal of bind(2) is told at once.
 *
 * Owns nothing: descriptors are plain ints that the caller closes, or gives to
 * a libuv handle. Each is born close-on-exec and non-blocking. Called by
 * lua_socket; any thread. All functions return a descriptor or 0, or a
 * negative uv code.
 */
#ifndef MW_NET_SOCKET_H
#define MW_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

/** How mw_socket_bind binds. */
struct mw_socket_options {
  bool datagram;      /* UDP, else TCP */
  bool ipv6_only;     /* no IPv4 on an IPv6 socket (IPV6_V6ONLY) */
  bool reuse_port;    /* share the port, the kernel spreads (SO_REUSEPORT) */
  bool reuse_address; /* SO_REUSEADDR; TCP sets it always */
};

/** What mw_socket_kind finds. */
struct mw_socket_kind {
  const char *name;
  bool listening;
};

/** 4 or 6 for a numeric address, "%scope" included; 0 for any other text. */
int mw_socket_family(const char *address);

/**
 * Makes a TCP or UDP socket and binds it (bind(2)). `address` is numeric, IPv4
 * or IPv6, there with "%scope" where it has one; UV_EINVAL for any other text.
 * Port 0 takes a free one.
 */
int mw_socket_bind(const char *address, int port,
                   const struct mw_socket_options *options);

/**
 * Makes a Unix stream socket and binds it. A path that begins with a NUL byte
 * is an abstract name (unix(7)); UV_ENAMETOOLONG where the kernel has no room
 * for it, UV_EINVAL for an empty one.
 */
int mw_socket_bind_unix(const char *path, size_t len);

/**
 * Makes a Unix stream socket and connects it, to a path as above. Never waits:
 * UV_EAGAIN where the server has no room in its queue (connect(2)).
 */
int mw_socket_connect_unix(const char *path, size_t len);

/** One end of a connection, where it is IPv4 or IPv6. */
struct mw_socket_name {
  char address[64]; /* numeric */
  int family;       /* 4, 6; 0 where there is no such name */
  int port;
};

/** Both ends of a connected socket (getsockname(2), getpeername(2)). */
void mw_socket_names(int fd, struct mw_socket_name *here,
                     struct mw_socket_name *there);

/** Who has connected or listened at the other end of a Unix socket, at the time
 * when that was (SO_PEERCRED, unix(7)). */
struct mw_socket_peer {
  int pid; /* 0 where it is none that we can see */
  unsigned uid;
};

int mw_socket_peer(int fd, struct mw_socket_peer *peer);

/** Makes a socket listen, or changes its queue (listen(2)). */
int mw_socket_listen(int fd, int backlog);

/**
 * What a descriptor is: "tcp", "udp", "pipe" (a Unix stream socket, pipe or
 * FIFO), "unix_dgram", "unix_seqpacket", "socket" (any other), or "tty",
 * "file", "directory", "char", "block"; and whether it listens.
 */
int mw_socket_kind(int fd, struct mw_socket_kind *kind);

#endif
