#include "base/signals.h"

#include <string.h>

#define SIGNAL(name)                                                           \
  { #name, name }

static const struct mw_signals_entry signals[] = {
    SIGNAL(SIGHUP),
    SIGNAL(SIGINT),
    SIGNAL(SIGQUIT),
    SIGNAL(SIGILL),
    SIGNAL(SIGTRAP),
    SIGNAL(SIGABRT),
    SIGNAL(SIGBUS),
    SIGNAL(SIGFPE),
    SIGNAL(SIGKILL),
    SIGNAL(SIGUSR1),
    SIGNAL(SIGSEGV),
    SIGNAL(SIGUSR2),
    SIGNAL(SIGPIPE),
    SIGNAL(SIGALRM),
    SIGNAL(SIGTERM),
#ifdef SIGSTKFLT
    SIGNAL(SIGSTKFLT),
#endif
    SIGNAL(SIGCHLD),
    SIGNAL(SIGCONT),
    SIGNAL(SIGSTOP),
    SIGNAL(SIGTSTP),
    SIGNAL(SIGTTIN),
    SIGNAL(SIGTTOU),
    SIGNAL(SIGURG),
    SIGNAL(SIGXCPU),
    SIGNAL(SIGXFSZ),
    SIGNAL(SIGVTALRM),
    SIGNAL(SIGPROF),
    SIGNAL(SIGWINCH),
    SIGNAL(SIGIO),
#ifdef SIGPWR
    SIGNAL(SIGPWR),
#endif
    SIGNAL(SIGSYS),
    /* aliases */
    SIGNAL(SIGIOT),
    SIGNAL(SIGPOLL),
#ifdef SIGCLD
    SIGNAL(SIGCLD),
#else
    {"SIGCLD", SIGCHLD},
#endif
#ifdef SIGUNUSED
    SIGNAL(SIGUNUSED),
#else
    {"SIGUNUSED", SIGSYS},
#endif
};

/* SIGRTMIN is a function call: the C library keeps the first few. */
static const char *const realtime_names[] = {
    "SIGRTMIN",    "SIGRTMIN+1",  "SIGRTMIN+2",  "SIGRTMIN+3",  "SIGRTMIN+4",
    "SIGRTMIN+5",  "SIGRTMIN+6",  "SIGRTMIN+7",  "SIGRTMIN+8",  "SIGRTMIN+9",
    "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14",
    "SIGRTMIN+15", "SIGRTMIN+16", "SIGRTMIN+17", "SIGRTMIN+18", "SIGRTMIN+19",
    "SIGRTMIN+20", "SIGRTMIN+21", "SIGRTMIN+22", "SIGRTMIN+23", "SIGRTMIN+24",
    "SIGRTMIN+25", "SIGRTMIN+26", "SIGRTMIN+27", "SIGRTMIN+28", "SIGRTMIN+29",
};
static const char *const reserved_names[] = {"SIG32", "SIG33", "SIG34"};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *realtime_name(int signum) {
  size_t index;
  if (signum == SIGRTMAX)
    return "SIGRTMAX";
  if (signum < SIGRTMIN) {
    index = (size_t)(signum - 32);
    return index < COUNT_OF(reserved_names) ? reserved_names[index] : NULL;
  }
  index = (size_t)(signum - SIGRTMIN);
  return index < COUNT_OF(realtime_names) ? realtime_names[index] : NULL;
}

const struct mw_signals_entry *mw_signals_list(size_t *count) {
  *count = COUNT_OF(signals);
  return signals;
}

const char *mw_signals_name(int signum) {
  for (size_t i = 0; i < COUNT_OF(signals); i++) {
    if (signals[i].number == signum)
      return signals[i].name;
  }
  return signum >= 32 && signum < _NSIG ? realtime_name(signum) : NULL;
}

void mw_signals_reset(const sigset_t *set) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = SIG_DFL;
  /* Fails for SIGKILL, SIGSTOP and those the C library keeps: all right. */
  for (int signum = 1; signum < _NSIG; signum++) {
    if (sigismember(set, signum) == 1)
      sigaction(signum, &action, NULL);
  }
}
