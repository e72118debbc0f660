#include "process/fork_server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/signals.h"
#include "process/child_setup.h"
#include "process/warm_heap.h"

#define ADOPTION_MS 1000

static const char variable[] = "MW_FORK_SERVER_FD";

/* being one */

static bool is_packet_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
         type == SOCK_SEQPACKET;
}

/* What a terminal sends to all of a group is for the master to decide on. */
static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP};

#define IGNORED_COUNT (sizeof ignored / sizeof *ignored)

static void ignore_terminal(void) {
  for (size_t i = 0; i < IGNORED_COUNT; i++)
    signal(ignored[i], SIG_IGN);
}

/* Whatever the modules have set: all others are as workers begin with them. */
static void reset_other_signals(void) {
  sigset_t others;
  sigfillset(&others);
  for (size_t i = 0; i < IGNORED_COUNT; i++)
    sigdelset(&others, ignored[i]);
  mw_signals_reset(&others);
}

struct mw_fork_server mw_fork_server_take(void) {
  struct mw_fork_server server = {.socket = -1};
  const char *text = getenv(variable);
  int fd = text != NULL ? atoi(text) : -1;
  unsetenv(variable);
  if (fd > STDERR_FILENO && is_packet_socket(fd) && mw_fd_claim(fd) == 0) {
    server.socket = fd;
    ignore_terminal();
  }
  return server;
}

static void tell(int socket, const void *bytes, size_t size) {
  while (send(socket, bytes, size, MSG_NOSIGNAL) == -1 && errno == EINTR)
    continue;
}

void mw_fork_server_ready(struct mw_fork_server *server, const char *reason) {
  const char *text = reason != NULL ? reason : "";
  tell(server->socket, text, strlen(text) + 1);
}

/* making a worker */

/* As the C library's fork does for its own threads: the word where the kernel
   keeps the thread's id, and the list of its robust mutexes. */
struct thread_record {
  int *tid;
  void *robust_list;
  size_t robust_size;
};

static int get_record(struct thread_record *record) {
  if (prctl(PR_GET_TID_ADDRESS, &record->tid) == -1)
    return -ENOSYS;
  if (syscall(SYS_get_robust_list, 0, &record->robust_list,
              &record->robust_size) == -1)
    return -ENOSYS;
  return 0;
}

/* The copy is a child of the master, not of ours. The architectures differ in
   which of the last two is the id's address; the other one counts only with
   a flag that is not set. */
static int clone_sibling(void) {
  struct thread_record record;
  int rc = get_record(&record);
  if (rc != 0)
    return rc;
  unsigned long flags =
      CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
  long pid = syscall(SYS_clone, flags, NULL, NULL, record.tid, record.tid);
  if (pid == 0)
    syscall(SYS_set_robust_list, record.robust_list, record.robust_size);
  return pid == -1 ? -errno : (int)pid;
}

/* The master is a sub-reaper now, and gets the orphan. */
static int wait_for_adoption(pid_t master) {
  const struct timespec pause = {.tv_nsec = 20000};
  for (int tries = 0; getppid() != master; tries++) {
    if (tries > ADOPTION_MS * 20)
      return -ECHILD;
    nanosleep(&pause, NULL);
  }
  return 0;
}

/* The portable way. The process between is gone before the worker goes on. */
static int fork_orphan(pid_t master) {
  pid_t between = fork();
  if (between == -1)
    return -errno;
  if (between > 0) {
    int status = 0;
    while (waitpid(between, &status, 0) == -1 && errno == EINTR)
      continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? between
               : -(WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : ECHILD);
  }
  pid_t worker = fork();
  if (worker != 0)
    _exit(worker == -1 ? errno : 0);
  int rc = wait_for_adoption(master);
  if (rc != 0)
    _exit(127);
  return 0;
}

static void close_from(int lowest) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, lowest, ~0U, 0) == 0)
    return;
#endif
  long highest = sysconf(_SC_OPEN_MAX);
  for (int fd = lowest; fd < highest; fd++)
    close(fd);
}

/* Other users' processes may not look into one that has changed its user; an
   exec would have made it an ordinary one again, which reads its own /proc. */
static void become_ordinary(const struct mw_spawn_options *options) {
  if (options->set_uid || options->set_gid)
    prctl(PR_SET_DUMPABLE, 1);
}

static void become_worker(struct mw_fork_request *request) {
  struct mw_child_setup setup = {.options = &request->options,
                                 .sources = request->sources,
                                 .report_fd = request->report_fd,
                                 .parent = request->parent};
  struct mw_child_report report = {.stage = MW_STAGE_NONE, .pid = getpid()};
  sigemptyset(&setup.changed_signals);
  for (size_t i = 0; i < IGNORED_COUNT; i++)
    sigaddset(&setup.changed_signals, ignored[i]);
  if (fchdir(request->folder_fd) == -1) {
    report = (struct mw_child_report){MW_STAGE_CHDIR, errno, getpid()};
    mw_child_report_write(request->report_fd, report);
    _exit(127);
  }
  mw_child_setup_apply(&setup);
  become_ordinary(&request->options);
  environ = (char **)request->options.envp;
  mw_child_report_write(setup.report_fd, report);
  close_from(mw_child_fd_count(&request->options));
}

static int make_worker(const struct mw_fork_request *request) {
  if (request->error != 0)
    return -request->error;
  return request->options.double_fork ? fork_orphan(request->parent)
                                      : clone_sibling();
}

/* Returns true in the worker. */
static bool meet_request(struct mw_fork_server *server) {
  struct mw_fork_request *request = &server->request;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  int pid = make_worker(request);
  if (pid == 0) {
    become_worker(request);
    return true;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (pid < 0)
    mw_child_report_write(request->report_fd,
                          (struct mw_child_report){MW_STAGE_FORK, -pid, 0});
  server->last = pid > 0 && !request->options.double_fork ? pid : 0;
  mw_fork_request_release(request);
  return false;
}

bool mw_fork_server_run(struct mw_fork_server *server) {
  bool is_worker = false;
  fflush(NULL);
  reset_other_signals();
  mw_warm_heap_settle();
  while (!is_worker &&
         mw_fork_request_receive(server->socket, &server->request) > 0) {
    if (server->request.argc == 0)
      tell(server->socket, &server->last, sizeof server->last);
    else
      is_worker = meet_request(server);
  }
  /* The death of the master, which may come by now, would cut exit(3) short:
     the leak check of a sanitizer complains of that. */
  if (!is_worker)
    prctl(PR_SET_PDEATHSIG, 0);
  return is_worker;
}

void mw_fork_server_close(struct mw_fork_server *server) {
  mw_fd_close(server->socket);
  server->socket = -1;
  mw_fork_request_free(&server->request);
}
