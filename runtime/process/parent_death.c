#include "process/parent_death.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

/* Made before it is needed: a handler may only start it. */
static timer_t killer;
static struct itimerspec grace;

int mw_parent_death_signal(void) {
  return SIGRTMAX;
}

static void on_parent_death(int signum) {
  int error = errno;
  (void)signum;
  timer_settime(killer, 0, &grace, NULL);
  errno = error;
}

static void set_grace(int ms) {
  grace.it_value.tv_sec = ms / 1000;
  grace.it_value.tv_nsec = ms % 1000 * 1000000L;
  if (ms == 0)
    grace.it_value.tv_nsec = 1; /* zero would stop it */
}

void mw_parent_death_set_grace(int grace_ms) {
  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, mw_parent_death_signal());
  sigprocmask(SIG_BLOCK, &signals, &before);
  set_grace(grace_ms);
  sigprocmask(SIG_SETMASK, &before, NULL);
}

int mw_parent_death_watch(int grace_ms) {
  int signum = 0;
  if (prctl(PR_GET_PDEATHSIG, &signum) == -1)
    return -errno;
  if (signum != mw_parent_death_signal())
    return 0;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                           .sigev_signo = SIGKILL};
  set_grace(grace_ms);
  if (timer_create(CLOCK_MONOTONIC, &event, &killer) == -1)
    return -errno;
  struct sigaction action = {.sa_handler = on_parent_death,
                             .sa_flags = SA_RESTART};
  sigfillset(&action.sa_mask);
  return sigaction(signum, &action, NULL) == -1 ? -errno : 0;
}
