#include "process/reaper.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUCKET_COUNT 256

struct mw_reaper {
  uv_loop_t *loop;
  uv_signal_t sigchld; /* referenced if any child is */
  uv_idle_t sweeper;   /* runs once, on the next turn; never referenced */
  int open_handles;
  bool closing;

  size_t running;    /* children in the buckets */
  size_t referenced; /* of these, how many keep the loop alive */
  struct mw_child *buckets[BUCKET_COUNT];
  struct mw_child *ended; /* reaped, on_exit not called yet */
  struct mw_child **ended_tail;
};

/* The reaper that a handle is the member `name` of. */
#define OWNER(handle, name)                                                    \
  ((struct mw_reaper *)(void *)((char *)(handle)-offsetof(struct mw_reaper,    \
                                                          name)))

static void on_sweep(uv_idle_t *sweeper);

/* lists */

static struct mw_child **bucket_of(struct mw_reaper *reaper, pid_t pid) {
  return &reaper->buckets[(unsigned)pid % BUCKET_COUNT];
}

static void link_child(struct mw_child *child, struct mw_child **place) {
  child->next = *place;
  child->link = place;
  if (child->next != NULL)
    child->next->link = &child->next;
  *place = child;
}

static void unlink_child(struct mw_child *child) {
  struct mw_reaper *reaper = child->reaper;
  if (reaper->ended_tail == &child->next)
    reaper->ended_tail = child->link;
  *child->link = child->next;
  if (child->next != NULL)
    child->next->link = child->link;
  child->next = NULL;
  child->link = NULL;
}

static struct mw_child *find_child(struct mw_reaper *reaper, pid_t pid) {
  struct mw_child *child = *bucket_of(reaper, pid);
  while (child != NULL && child->pid != pid)
    child = child->next;
  return child;
}

/* handles */

static void update_handle(struct mw_reaper *reaper) {
  if (reaper->closing || reaper->open_handles == 0)
    return;
  if (reaper->referenced > 0)
    uv_ref((uv_handle_t *)&reaper->sigchld);
  else
    uv_unref((uv_handle_t *)&reaper->sigchld);
  if (reaper->running == 0)
    uv_signal_stop(&reaper->sigchld);
}

static void sweep_soon(struct mw_reaper *reaper) {
  uv_idle_start(&reaper->sweeper, on_sweep);
}

/* Many signals in one turn of the loop make one sweep. */
static void on_sigchld(uv_signal_t *sigchld, int signum) {
  (void)signum;
  sweep_soon(OWNER(sigchld, sigchld));
}

static int init_handles(struct mw_reaper *reaper) {
  int rc = uv_signal_init(reaper->loop, &reaper->sigchld);
  if (rc != 0)
    return rc;
  uv_idle_init(reaper->loop, &reaper->sweeper);
  reaper->open_handles = 2;
  reaper->sigchld.data = NULL;
  reaper->sweeper.data = NULL;
  uv_unref((uv_handle_t *)&reaper->sigchld);
  uv_unref((uv_handle_t *)&reaper->sweeper);
  return 0;
}

/* Must come before the child starts: what follows can no longer fail. */
static int start_handles(struct mw_reaper *reaper) {
  if (reaper->closing)
    return -ECANCELED;
  if (reaper->open_handles == 0) {
    int rc = init_handles(reaper);
    if (rc != 0)
      return rc;
  }
  if (uv_is_active((uv_handle_t *)&reaper->sigchld))
    return 0;
  return uv_signal_start(&reaper->sigchld, on_sigchld, SIGCHLD);
}

/* the end of children */

static void leave_table(struct mw_child *child) {
  struct mw_reaper *reaper = child->reaper;
  reaper->running--;
  if (!child->unreferenced)
    reaper->referenced--;
  unlink_child(child);
}

static bool try_reap(struct mw_child *child) {
  struct mw_reaper *reaper = child->reaper;
  pid_t pid = waitpid(child->pid, &child->wait_status, WNOHANG);
  if (pid == 0 || (pid == -1 && errno != ECHILD))
    return false;
  child->lost = pid == -1;
  child->reaped = true;
  leave_table(child);
  link_child(child, reaper->ended_tail);
  reaper->ended_tail = &child->next;
  return true;
}

static void reap_by_trying_all(struct mw_reaper *reaper) {
  for (size_t i = 0; i < BUCKET_COUNT; i++) {
    struct mw_child *child = reaper->buckets[i];
    while (child != NULL) {
      struct mw_child *next = child->next;
      try_reap(child);
      child = next;
    }
  }
}

/* Asks the kernel for a child that has ended, without reaping it, as long as
 * it names one of ours. False if that did not explain the signal: nobody has
 * ended, or it is somebody else's child, which hides ours behind it. */
static bool reap_by_peeking(struct mw_reaper *reaper) {
  bool found = false;
  while (reaper->running > 0) {
    siginfo_t info = {.si_pid = 0};
    struct mw_child *child;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1)
      return false;
    if (info.si_pid == 0)
      return found;
    child = find_child(reaper, info.si_pid);
    if (child == NULL || !try_reap(child))
      return false;
    found = true;
  }
  return true;
}

/* As pid 1 we get the children of all who die before them: those that nobody
 * here has started are reaped and forgotten. */
static void reap_as_init(struct mw_reaper *reaper) {
  for (;;) {
    siginfo_t info = {.si_pid = 0};
    struct mw_child *child;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 ||
        info.si_pid == 0)
      return;
    child = find_child(reaper, info.si_pid);
    if (child == NULL)
      waitpid(info.si_pid, NULL, WNOHANG);
    else if (!try_reap(child))
      return;
  }
}

static void reap(struct mw_reaper *reaper) {
  if (getpid() == 1)
    reap_as_init(reaper);
  else if (!reap_by_peeking(reaper))
    reap_by_trying_all(reaper);
}

static void call_on_exit(struct mw_child *child) {
  int wait_status = child->wait_status;
  int status = 0;
  int signum = 0;

  unlink_child(child);
  child->reaper = NULL;
  if (child->lost)
    status = -ECHILD;
  else if (WIFSIGNALED(wait_status))
    signum = WTERMSIG(wait_status);
  else
    status = WEXITSTATUS(wait_status);
  child->on_exit(child, signum > 0 ? -1 : status, signum);
}

static void on_sweep(uv_idle_t *sweeper) {
  struct mw_reaper *reaper = OWNER(sweeper, sweeper);
  uv_idle_stop(sweeper);
  reap(reaper);
  update_handle(reaper);
  /* A callback may start and forget children, or close the reaper. */
  while (reaper->ended != NULL)
    call_on_exit(reaper->ended);
}

/* interface */

int mw_reaper_new(uv_loop_t *loop, struct mw_reaper **reaper) {
  struct mw_reaper *made = calloc(1, sizeof *made);
  if (made == NULL)
    return -ENOMEM;
  made->loop = loop;
  made->ended_tail = &made->ended;
  *reaper = made;
  return 0;
}

static void handle_closed(struct mw_reaper *reaper) {
  if (--reaper->open_handles == 0)
    free(reaper);
}

static void on_sigchld_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, sigchld));
}

static void on_sweeper_closed(uv_handle_t *handle) {
  handle_closed(OWNER(handle, sweeper));
}

static void on_exit_of_stray(struct mw_child *stray, int status, int signum) {
  (void)status;
  (void)signum;
  free(stray);
}

static void let_go(struct mw_child *child) {
  mw_child_forget(child);
  if (child->on_exit == on_exit_of_stray)
    free(child);
}

void mw_reaper_close(struct mw_reaper *reaper) {
  reaper->closing = true;
  for (size_t i = 0; i < BUCKET_COUNT; i++) {
    while (reaper->buckets[i] != NULL)
      let_go(reaper->buckets[i]);
  }
  while (reaper->ended != NULL)
    let_go(reaper->ended);
  if (reaper->open_handles == 0) {
    free(reaper);
    return;
  }
  uv_close((uv_handle_t *)&reaper->sigchld, on_sigchld_closed);
  uv_close((uv_handle_t *)&reaper->sweeper, on_sweeper_closed);
}

bool mw_reaper_owns(const struct mw_reaper *reaper, const uv_handle_t *handle) {
  return reaper != NULL && (handle == (const uv_handle_t *)&reaper->sigchld ||
                            handle == (const uv_handle_t *)&reaper->sweeper);
}

/* SIGCHLD may have come before the child was in the table: hence the sweep. */
static void adopt(struct mw_reaper *reaper, struct mw_child *child, pid_t pid) {
  child->pid = pid;
  child->reaper = reaper;
  child->unreferenced = false;
  child->reaped = false;
  child->lost = false;
  link_child(child, bucket_of(reaper, pid));
  reaper->running++;
  reaper->referenced++;
  update_handle(reaper);
  sweep_soon(reaper);
}

/* Where there is no memory for one, it is left to the kernel when we end. */
static void adopt_strays(struct mw_reaper *reaper,
                         const struct mw_buffer *strays) {
  const pid_t *pids = (const pid_t *)(const void *)strays->bytes;
  for (size_t i = 0; i < strays->length / sizeof *pids; i++) {
    struct mw_child *stray = calloc(1, sizeof *stray);
    if (stray == NULL)
      return;
    stray->on_exit = on_exit_of_stray;
    adopt(reaper, stray, pids[i]);
    mw_child_set_referenced(stray, false);
  }
}

int mw_reaper_spawn(struct mw_reaper *reaper, struct mw_child *child,
                    const struct mw_spawn_options *options,
                    enum mw_spawn_stage *stage) {
  struct mw_buffer strays = {.bytes = NULL};
  int rc;
  child->reaper = NULL;
  child->link = NULL;
  *stage = MW_STAGE_WATCH;
  rc = start_handles(reaper);
  if (rc != 0)
    return rc;
  rc = mw_spawn(options, stage, &strays);
  adopt_strays(reaper, &strays);
  mw_buffer_free(&strays);
  if (rc < 0) {
    update_handle(reaper);
    return rc;
  }
  adopt(reaper, child, rc);
  return 0;
}

int mw_reaper_watch(struct mw_reaper *reaper, struct mw_child *child,
                    pid_t pid) {
  int rc;
  child->reaper = NULL;
  child->link = NULL;
  if (pid <= 1)
    return -EINVAL;
  rc = start_handles(reaper);
  if (rc == 0)
    adopt(reaper, child, pid);
  return rc;
}

bool mw_child_is_running(const struct mw_child *child) {
  return child->reaper != NULL && !child->reaped;
}

int mw_child_kill(struct mw_child *child, int signum) {
  if (!mw_child_is_running(child))
    return -ESRCH;
  return kill(child->pid, signum) == 0 ? 0 : -errno;
}

void mw_child_set_referenced(struct mw_child *child, bool referenced) {
  if (!mw_child_is_running(child) || child->unreferenced == !referenced)
    return;
  child->unreferenced = !referenced;
  if (referenced)
    child->reaper->referenced++;
  else
    child->reaper->referenced--;
  update_handle(child->reaper);
}

void mw_child_forget(struct mw_child *child) {
  struct mw_reaper *reaper = child->reaper;
  if (reaper == NULL)
    return;
  if (child->reaped)
    unlink_child(child);
  else
    leave_table(child);
  child->reaper = NULL;
  update_handle(reaper);
}
