#include "process/leftovers.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder has two links more than folders inside. */
int mw_leftovers_threads(void) {
  struct stat info;
  if (stat("/proc/self/task", &info) == -1 || info.st_nlink < 3)
    return 1;
  return (int)info.st_nlink - 2;
}

static int lowest_unknown(DIR *folder, int known) {
  int lowest = INT_MAX;
  struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) {
    int fd = atoi(entry->d_name);
    if (fd > STDERR_FILENO && fd != known && fd != dirfd(folder) && fd < lowest)
      lowest = fd;
  }
  return lowest == INT_MAX ? -1 : lowest;
}

int mw_leftovers_descriptor(int known, char *target, size_t size) {
  char path[64];
  DIR *folder = opendir("/proc/self/fd");
  if (folder == NULL)
    return -1;
  int fd = lowest_unknown(folder, known);
  closedir(folder);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(path, target, size - 1);
  target[length > 0 ? length : 0] = '\0';
  return fd;
}
