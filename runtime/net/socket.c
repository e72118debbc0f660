#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include "base/fd.h"

/* Closes `fd` where what was done with it has failed. */
static int fd_or_failure(int fd, int code) {
  if (code == 0)
    return fd;
  mw_fd_close(fd);
  return code;
}

static int make(int family, int type) {
  int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return fd == -1 ? -errno : fd;
}

static int set_option(int fd, int level, int name, int value) {
  int rc = setsockopt(fd, level, name, &value, sizeof value);
  return rc == 0 ? 0 : -errno;
}

static int get_option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  int rc = getsockopt(fd, SOL_SOCKET, name, &value, &size);
  return rc == 0 ? value : -errno;
}

static socklen_t parse_address(const char *text, int port,
                               struct sockaddr_storage *address) {
  memset(address, 0, sizeof *address);
  if (uv_ip4_addr(text, port, (struct sockaddr_in *)address) == 0)
    return sizeof(struct sockaddr_in);
  if (uv_ip6_addr(text, port, (struct sockaddr_in6 *)address) == 0)
    return sizeof(struct sockaddr_in6);
  return 0;
}

int mw_socket_family(const char *address) {
  struct sockaddr_storage name;
  const char *scope = strchr(address, '%');
  if (parse_address(address, 0, &name) == 0)
    return 0;
  if (scope != NULL && scope[1] == '\0')
    return 0;
  return name.ss_family == AF_INET ? 4 : 6;
}

static int set_options(int fd, int family,
                       const struct mw_socket_options *options) {
  int rc = 0;
  if (!options->datagram || options->reuse_address)
    rc = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (rc == 0 && options->reuse_port)
    rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  /* Always, for the system's default may be either. */
  if (rc == 0 && family == AF_INET6)
    rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->ipv6_only);
  return rc;
}

int mw_socket_bind(const char *address, int port,
                   const struct mw_socket_options *options) {
  struct sockaddr_storage name;
  socklen_t size = parse_address(address, port, &name);
  int fd, rc;
  if (size == 0)
    return UV_EINVAL;
  fd = make(name.ss_family, options->datagram ? SOCK_DGRAM : SOCK_STREAM);
  if (fd < 0)
    return fd;
  rc = set_options(fd, name.ss_family, options);
  if (rc == 0 && bind(fd, (struct sockaddr *)&name, size) == -1)
    rc = -errno;
  return fd_or_failure(fd, rc);
}

/* Returns the size of the name, or a negative code. A path ends with a NUL
 * byte; an abstract name is all of its bytes. */
static int unix_address(const char *path, size_t len,
                        struct sockaddr_un *name) {
  bool is_abstract = len > 0 && path[0] == '\0';
  if (len == 0 || (!is_abstract && memchr(path, '\0', len) != NULL))
    return UV_EINVAL;
  if (len + !is_abstract > sizeof name->sun_path)
    return UV_ENAMETOOLONG;
  memset(name, 0, sizeof *name);
  name->sun_family = AF_UNIX;
  memcpy(name->sun_path, path, len);
  return (int)(offsetof(struct sockaddr_un, sun_path) + len + !is_abstract);
}

typedef int name_call(int fd, const struct sockaddr *name, socklen_t size);

/* Makes a Unix socket and calls bind(2) or connect(2) for it. */
static int make_unix(const char *path, size_t len, name_call *call) {
  struct sockaddr_un name;
  int size = unix_address(path, len, &name);
  int fd, rc;
  if (size < 0)
    return size;
  fd = make(AF_UNIX, SOCK_STREAM);
  if (fd < 0)
    return fd;
  do
    rc = call(fd, (struct sockaddr *)&name, (socklen_t)size);
  while (rc == -1 && errno == EINTR);
  return fd_or_failure(fd, rc == 0 ? 0 : -errno);
}

static int bind_name(int fd, const struct sockaddr *name, socklen_t size) {
  return bind(fd, name, size);
}

static int connect_name(int fd, const struct sockaddr *name, socklen_t size) {
  return connect(fd, name, size);
}

int mw_socket_bind_unix(const char *path, size_t len) {
  return make_unix(path, len, bind_name);
}

int mw_socket_connect_unix(const char *path, size_t len) {
  return make_unix(path, len, connect_name);
}

typedef int ask_name(int fd, struct sockaddr *name, socklen_t *size);

static void name_of(int fd, ask_name *ask, struct mw_socket_name *result) {
  struct sockaddr_storage name = {0};
  socklen_t size = sizeof name;
  *result = (struct mw_socket_name){.family = 0};
  if (ask(fd, (struct sockaddr *)&name, &size) == -1)
    return;
  if (name.ss_family == AF_INET) {
    const struct sockaddr_in *four = (const struct sockaddr_in *)&name;
    uv_ip4_name(four, result->address, sizeof result->address);
    result->family = 4;
    result->port = ntohs(four->sin_port);
  } else if (name.ss_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&name;
    uv_ip6_name(six, result->address, sizeof result->address);
    result->family = 6;
    result->port = ntohs(six->sin6_port);
  }
}

static int ask_here(int fd, struct sockaddr *name, socklen_t *size) {
  return getsockname(fd, name, size);
}

static int ask_there(int fd, struct sockaddr *name, socklen_t *size) {
  return getpeername(fd, name, size);
}

void mw_socket_names(int fd, struct mw_socket_name *here,
                     struct mw_socket_name *there) {
  name_of(fd, ask_here, here);
  name_of(fd, ask_there, there);
}

int mw_socket_peer(int fd, struct mw_socket_peer *peer) {
  struct ucred credentials;
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == -1)
    return -errno;
  peer->pid = credentials.pid;
  peer->uid = credentials.uid;
  return 0;
}

int mw_socket_listen(int fd, int backlog) {
  return listen(fd, backlog) == 0 ? 0 : -errno;
}

static const char *socket_name(int fd, int type) {
  struct sockaddr_storage name = {0};
  socklen_t size = sizeof name;
  if (getsockname(fd, (struct sockaddr *)&name, &size) == -1)
    return "socket";
  switch (name.ss_family) {
  case AF_INET:
  case AF_INET6:
    return type == SOCK_STREAM ? "tcp" : type == SOCK_DGRAM ? "udp" : "socket";
  case AF_UNIX:
    return type == SOCK_STREAM  ? "pipe"
           : type == SOCK_DGRAM ? "unix_dgram"
                                : "unix_seqpacket";
  default: return "socket";
  }
}

int mw_socket_kind(int fd, struct mw_socket_kind *kind) {
  int type = get_option(fd, SO_TYPE);
  kind->listening = false;
  if (type == UV_ENOTSOCK) {
    int rc = mw_fd_kind(fd, &kind->name);
    if (rc == 0 && strcmp(kind->name, "fifo") == 0)
      kind->name = "pipe";
    return rc;
  }
  if (type < 0)
    return type;
  kind->name = socket_name(fd, type);
  kind->listening = get_option(fd, SO_ACCEPTCONN) > 0;
  return 0;
}
