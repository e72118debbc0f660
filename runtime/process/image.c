#include "process/image.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

int mw_image_hold_signals(bool held) {
  sigset_t all;
  sigfillset(&all);
  return -pthread_sigmask(held ? SIG_BLOCK : SIG_UNBLOCK, &all, NULL);
}

static int set_inherited(const int *fds, size_t count, bool inherited) {
  for (size_t i = 0; i < count; i++)
    if (fcntl(fds[i], F_SETFD, inherited ? 0 : FD_CLOEXEC) == -1)
      return -errno;
  return 0;
}

int mw_image_replace(const char *file, char *const argv[], char *const env[],
                     const int *fds, size_t count) {
  int error = set_inherited(fds, count, true);
  if (!error) {
    execve(file, argv, env);
    error = -errno;
  }
  set_inherited(fds, count, false);
  return error;
}
