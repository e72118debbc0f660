#include "process/child_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/signals.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* The C library's wrappers make all threads change their ids; the child, that
 * shares the threads' memory but not the threads, calls the kernel. */
#ifdef SYS_setresuid32
#define RAW_SETRESUID SYS_setresuid32
#define RAW_SETRESGID SYS_setresgid32
#define RAW_SETGROUPS SYS_setgroups32
#else
#define RAW_SETRESUID SYS_setresuid
#define RAW_SETRESGID SYS_setresgid
#define RAW_SETGROUPS SYS_setgroups
#endif

#define HIGHEST_FD_GUESS 65536

void mw_child_report_write(int report_fd, struct mw_child_report report) {
  ssize_t n;
  do
    n = write(report_fd, &report, sizeof report);
  while (n == -1 && errno == EINTR);
}

static _Noreturn void fail(int report_fd, enum mw_spawn_stage stage,
                           int error) {
  struct mw_child_report report = {(int)stage, error, getpid()};
  mw_child_report_write(report_fd, report);
  _exit(127);
}

int mw_child_fd_count(const struct mw_spawn_options *options) {
  return options->fd_count < 3 ? 3 : (int)options->fd_count;
}

static int set_session_and_group(const struct mw_spawn_options *options,
                                 enum mw_spawn_stage *stage) {
  *stage = MW_STAGE_SETSID;
  if (options->set_session && setsid() == -1)
    return errno;
  /* The leader of a session has its new group already. */
  *stage = MW_STAGE_SETPGID;
  if (options->set_group && !(options->set_session && options->group == 0) &&
      setpgid(0, options->group) == -1)
    return errno;
  return 0;
}

/* Moves every source that stands where another descriptor will go to a number
 * above the wanted ones. */
static int move_sources(const struct mw_spawn_options *options, int *sources) {
  int wanted = mw_child_fd_count(options);
  for (int i = 0; i < wanted; i++) {
    int fd = (size_t)i < options->fd_count ? options->fds[i].fd : MW_FD_IGNORE;
    if (fd >= 0 && fd < wanted && fd != i) {
      fd = fcntl(fd, F_DUPFD_CLOEXEC, wanted);
      if (fd == -1)
        return errno;
    }
    sources[i] = fd;
  }
  return 0;
}

static int open_null(int target) {
  int fd;
  close(target);
  if (target > 2)
    return 0;
  fd = open("/dev/null", target == 0 ? O_RDONLY : O_RDWR);
  if (fd == -1)
    return errno;
  if (fd == target)
    return 0;
  if (dup2(fd, target) == -1)
    return errno;
  close(fd);
  return 0;
}

/* Whether the loop of the parent may rely on it not to block, since it reads
 * or accepts until there is nothing more: a listening or a datagram socket.
 * Anything else is taken for a stream that the program reads or writes. */
static bool must_not_block(int fd) {
  int listening, type;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == -1)
    return false;
  size = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == -1)
    return false;
  return listening || type != SOCK_STREAM;
}

static int place_fd(int source, int target, bool blocking) {
  int flags;
  if (source < 0)
    return open_null(target);
  if (source == target) {
    if (fcntl(target, F_SETFD, 0) == -1)
      return errno;
  } else if (dup2(source, target) == -1) {
    return errno;
  }
  if (!blocking)
    return 0;
  flags = fcntl(target, F_GETFL);
  if (flags != -1 && (flags & O_NONBLOCK) != 0 && !must_not_block(target))
    fcntl(target, F_SETFL, flags & ~O_NONBLOCK);
  return 0;
}

static int place_fds(const struct mw_spawn_options *options, int *sources) {
  int wanted = mw_child_fd_count(options);
  int error = move_sources(options, sources);
  if (error != 0)
    return error;
  for (int i = 0; i < wanted; i++) {
    bool blocking = i < 3 || options->fds[i].blocking;
    error = place_fd(sources[i], i, blocking);
    if (error != 0)
      return error;
  }
  return 0;
}

static void set_cloexec(int fd) {
  int flags = fcntl(fd, F_GETFD);
  if (flags != -1 && (flags & FD_CLOEXEC) == 0)
    fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

static int parse_fd(const char *name) {
  int fd = 0;
  if (*name == '\0')
    return -1;
  for (; *name != '\0'; name++) {
    if (*name < '0' || *name > '9')
      return -1;
    fd = fd * 10 + (*name - '0');
  }
  return fd;
}

/* Entries of getdents64(2): inode and offset (8 bytes each), a length (2), a
 * type (1), the name. */
static bool cloexec_by_proc(int lowest) {
  _Alignas(8) char entries[1024];
  int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  long size;
  if (dir == -1)
    return false;
  while ((size = syscall(SYS_getdents64, dir, entries, sizeof entries)) > 0) {
    for (char *entry = entries; entry < entries + size;) {
      uint16_t length = *(uint16_t *)(void *)(entry + 16);
      int fd = parse_fd(entry + 19);
      if (fd >= lowest)
        set_cloexec(fd);
      entry += length;
    }
  }
  close(dir);
  return size == 0;
}

static void cloexec_by_guess(int lowest) {
  struct rlimit limit;
  int highest = HIGHEST_FD_GUESS;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 1024 &&
      limit.rlim_cur < HIGHEST_FD_GUESS)
    highest = (int)limit.rlim_cur;
  for (int fd = lowest; fd < highest; fd++)
    set_cloexec(fd);
}

/* close_range(2) with CLOSE_RANGE_CLOEXEC is new in Linux 5.11. */
static void cloexec_from(int lowest) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, lowest, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
    return;
#endif
  if (!cloexec_by_proc(lowest))
    cloexec_by_guess(lowest);
}

static int set_limits(const struct mw_spawn_options *options) {
  for (size_t i = 0; i < options->limit_count; i++) {
    const struct mw_spawn_limit *limit = &options->limits[i];
    struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
    if (setrlimit((unsigned)limit->resource, &value) == -1)
      return errno;
  }
  return 0;
}

/* The group goes first: without the old uid it could not be changed. */
static int set_ids(const struct mw_spawn_options *options) {
  uid_t uid = options->uid;
  gid_t gid = options->gid;
  if (!options->set_uid && !options->set_gid)
    return 0;
  if (geteuid() == 0 && syscall(RAW_SETGROUPS, 0, NULL) == -1)
    return errno;
  if (options->set_gid && syscall(RAW_SETRESGID, gid, gid, gid) == -1)
    return errno;
  if (options->set_uid && syscall(RAW_SETRESUID, uid, uid, uid) == -1)
    return errno;
  return 0;
}

/* A change of credentials clears the death signal, so this comes after. The
 * parent may have died before it was set: then nobody reads a report. */
static int set_death_signal(int signum, pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0) == -1)
    return errno;
  if (getppid() != parent)
    _exit(127);
  return 0;
}

static int set_attributes(const struct mw_child_setup *setup,
                          enum mw_spawn_stage *stage) {
  const struct mw_spawn_options *options = setup->options;
  int error;

  *stage = MW_STAGE_CHDIR;
  if (options->cwd != NULL && chdir(options->cwd) == -1)
    return errno;
  *stage = MW_STAGE_LIMITS;
  if ((error = set_limits(options)) != 0)
    return error;
  if (options->set_umask)
    umask(options->umask);
  *stage = MW_STAGE_IDS;
  if ((error = set_ids(options)) != 0)
    return error;
  *stage = MW_STAGE_NO_NEW_PRIVS;
  if (options->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
    return errno;
  *stage = MW_STAGE_DEATH_SIGNAL;
  if (options->death_signal != 0)
    return set_death_signal(options->death_signal, setup->parent);
  return 0;
}

static void accept_all_signals(const sigset_t *changed) {
  sigset_t none;
  mw_signals_reset(changed);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

static int exec_with_shell(struct mw_exec_plan *plan, char *file) {
  plan->shell_argv[1] = file;
  execve(plan->shell_argv[0], plan->shell_argv, plan->envp);
  return errno;
}

/* As execvp(3), except that an entry of PATH that is no directory counts as
 * one without the file. */
static int exec_first(struct mw_exec_plan *plan) {
  int kept = ENOENT;
  for (char **file = plan->candidates; *file != NULL; file++) {
    execve(*file, plan->argv, plan->envp);
    if (errno == ENOEXEC)
      return exec_with_shell(plan, *file);
    if (!plan->searched)
      return errno;
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
    case ESTALE:
    case ETIMEDOUT: break;
    case ENAMETOOLONG: kept = kept == ENOENT ? ENAMETOOLONG : kept; break;
    case EACCES: kept = EACCES; break;
    default: return errno;
    }
  }
  return kept;
}

void mw_child_setup_apply(struct mw_child_setup *setup) {
  const struct mw_spawn_options *options = setup->options;
  int wanted = mw_child_fd_count(options);
  enum mw_spawn_stage stage;
  int error;

  if (setup->report_fd < wanted) {
    int moved = fcntl(setup->report_fd, F_DUPFD_CLOEXEC, wanted);
    if (moved == -1)
      fail(setup->report_fd, MW_STAGE_STDIO, errno);
    setup->report_fd = moved;
  }
  if ((error = set_session_and_group(options, &stage)) != 0)
    fail(setup->report_fd, stage, error);
  if ((error = place_fds(options, setup->sources)) != 0)
    fail(setup->report_fd, MW_STAGE_STDIO, error);
  cloexec_from(wanted);
  if ((error = set_attributes(setup, &stage)) != 0)
    fail(setup->report_fd, stage, error);
  accept_all_signals(&setup->changed_signals);
}

void mw_child_setup_run(struct mw_child_setup *setup) {
  mw_child_setup_apply(setup);
  fail(setup->report_fd, MW_STAGE_EXEC, exec_first(setup->plan));
}
