/*
 * How a child process is to be started: plain data, read by mw_spawn.
 *
 * Without `from_server` the child runs `file`; with it, the script that `argv`
 * names for mwrun, in a copy of a warm process.
 *
 * Owns nothing: all pointers belong to the caller and are only looked at until
 * mw_spawn returns. All zero, but for `file` and `argv`, is a child with the
 * parent's environment, directory, ids and limits and with /dev/null as its
 * three standard streams.
 */
#ifndef MW_PROCESS_SPAWN_OPTIONS_H
#define MW_PROCESS_SPAWN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

/** As mw_spawn_fd.fd: /dev/null for descriptors 0 to 2, nothing from 3 up. */
#define MW_FD_IGNORE (-1)

/** What stands at one descriptor number of the child. */
struct mw_spawn_fd {
  int fd;        /* the parent's descriptor, or MW_FD_IGNORE */
  bool blocking; /* clear O_NONBLOCK on a stream; always done for 0 to 2 */
};

struct mw_spawn_limit {
  int resource; /* RLIMIT_* */
  rlim_t soft;
  rlim_t hard;
};

struct mw_spawn_options {
  const char *file;  /* looked up in PATH when it holds no slash */
  char *const *argv; /* NULL-terminated, argv[0] included */
  char *const *envp; /* NULL: the parent's environment as it is now */
  const char *cwd;   /* NULL: the parent's */

  const struct mw_spawn_fd *fds; /* fds[i] is for the child's descriptor i */
  size_t fd_count;               /* missing ones below 3 are ignored */

  bool set_session; /* setsid(2): also leader of a new group */
  bool set_group;   /* setpgid(2) to `group`, 0 for a new one */
  bool set_uid;
  bool set_gid;
  bool set_umask;
  bool no_new_privs; /* prctl(2), PR_SET_NO_NEW_PRIVS */
  pid_t group;
  uid_t uid;
  gid_t gid;
  mode_t umask;
  int death_signal; /* sent when the starting thread ends; 0: none */

  const struct mw_spawn_limit *limits;
  size_t limit_count;

  bool from_server; /* a clone of the process behind `server`; no exec */
  bool double_fork; /* even where the kernel could make it ours at once */
  int server;       /* our end of the socket of a process/fork_server */
};

#endif
