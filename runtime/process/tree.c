#include "process/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How often to look at /proc until all found ones stand still. */
#define MAX_ROUNDS 200
#define EAGER_ROUNDS 5

/* A line of /proc/PID/stat; pid and start time together are unique. */
struct proc_entry {
  pid_t pid;
  pid_t parent;
  pid_t group;
  pid_t session;
  unsigned long long started;
  char state;
};

struct tree {
  DIR *proc;
  pid_t root;
  struct proc_entry *members;
  size_t count;
  size_t room;
  bool freeze;
};

/* The name may hold anything, ')' too: the fields follow the last one. */
static bool parse_stat(const char *line, struct proc_entry *entry) {
  const char *fields = strrchr(line, ')');
  if (fields == NULL || sscanf(line, "%d", &entry->pid) != 1)
    return false;
  return sscanf(fields + 1,
                " %c %d %d %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                "%*s %*s %*s %llu",
                &entry->state, &entry->parent, &entry->group, &entry->session,
                &entry->started) == 5;
}

static bool read_entry(DIR *proc, const char *name, struct proc_entry *entry) {
  char path[64];
  char line[1024];
  ssize_t n;
  int fd;

  if (snprintf(path, sizeof path, "%s/stat", name) >= (int)sizeof path)
    return false;
  fd = openat(dirfd(proc), path, O_RDONLY | O_CLOEXEC);
  if (fd == -1)
    return false;
  n = read(fd, line, sizeof line - 1);
  close(fd);
  if (n <= 0)
    return false;
  line[n] = '\0';
  return parse_stat(line, entry);
}

static bool read_entry_of(DIR *proc, pid_t pid, struct proc_entry *entry) {
  char name[16];
  snprintf(name, sizeof name, "%d", (int)pid);
  return read_entry(proc, name, entry);
}

static bool is_gone(const struct proc_entry *entry) {
  return entry->state == 'Z' || entry->state == 'X';
}

static bool is_still(const struct proc_entry *entry) {
  return is_gone(entry) || entry->state == 'T' || entry->state == 't';
}

static bool same_process(const struct proc_entry *a,
                         const struct proc_entry *b) {
  return a->pid == b->pid && a->started == b->started;
}

static bool has_member(const struct tree *tree, pid_t pid) {
  for (size_t i = 0; i < tree->count; i++) {
    if (tree->members[i].pid == pid)
      return true;
  }
  return false;
}

static bool belongs(const struct tree *tree, const struct proc_entry *entry) {
  if (entry->pid <= 1 || entry->pid == getpid())
    return false;
  return entry->pid == tree->root || entry->group == tree->root ||
         entry->session == tree->root || has_member(tree, entry->parent);
}

static int add_member(struct tree *tree, const struct proc_entry *entry) {
  if (tree->count == tree->room) {
    size_t room = tree->room == 0 ? 32 : tree->room * 2;
    struct proc_entry *members = realloc(tree->members, room * sizeof *members);
    if (members == NULL)
      return -ENOMEM;
    tree->members = members;
    tree->room = room;
  }
  tree->members[tree->count++] = *entry;
  if (tree->freeze && !is_gone(entry))
    kill(entry->pid, SIGSTOP);
  return 0;
}

/* One walk over /proc. 1 if it changed nothing: all known ones stand still and
 * no new one was found. */
static int collect_once(struct tree *tree) {
  struct proc_entry entry;
  struct dirent *found;
  bool stable = true;

  rewinddir(tree->proc);
  while ((found = readdir(tree->proc)) != NULL) {
    if (found->d_name[0] < '1' || found->d_name[0] > '9' ||
        !read_entry(tree->proc, found->d_name, &entry))
      continue;
    if (has_member(tree, entry.pid)) {
      stable = stable && (!tree->freeze || is_still(&entry));
    } else if (belongs(tree, &entry)) {
      int rc = add_member(tree, &entry);
      if (rc != 0)
        return rc;
      stable = false;
    }
  }
  return stable;
}

/* Not all can be stopped (another's, or one that sleeps in the kernel), so
 * there is an end to it. */
static int collect(struct tree *tree) {
  for (int round = 0; round < MAX_ROUNDS; round++) {
    struct timespec moment = {.tv_nsec = 1000000};
    int rc = collect_once(tree);
    if (rc != 0)
      return rc < 0 ? rc : 0;
    if (round >= EAGER_ROUNDS)
      nanosleep(&moment, NULL);
  }
  return 0;
}

/* Signals the members that are still the processes that were found. */
static int signal_members(const struct tree *tree, int signum) {
  int count = 0;
  int error = -ESRCH;
  for (size_t i = 0; i < tree->count; i++) {
    struct proc_entry now;
    if (!read_entry_of(tree->proc, tree->members[i].pid, &now) ||
        !same_process(&now, &tree->members[i]) || is_gone(&now))
      continue;
    if (kill(now.pid, signum) == 0)
      count++;
    else if (errno != ESRCH)
      error = -errno;
  }
  return count > 0 ? count : error;
}

/* SIGCONT takes away a stop signal that waits to be delivered, so these come
 * after it, and SIGSTOP needs none. */
static int deliver(const struct tree *tree, int signum) {
  bool stops = signum == SIGTSTP || signum == SIGTTIN || signum == SIGTTOU;
  int count;
  if (!tree->freeze || signum == SIGSTOP)
    return signal_members(tree, signum);
  if (stops)
    signal_members(tree, SIGCONT);
  count = signal_members(tree, signum);
  if (!stops)
    signal_members(tree, SIGCONT);
  return count;
}

int mw_tree_kill(pid_t pid, int signum) {
  struct tree tree = {.root = pid, .freeze = signum != 0};
  int rc;

  if (pid <= 1 || pid == getpid() || signum < 0 || signum >= NSIG)
    return -EINVAL;
  tree.proc = opendir("/proc");
  if (tree.proc == NULL)
    return -errno;
  rc = collect(&tree);
  if (rc == 0)
    rc = deliver(&tree, signum);
  else
    signal_members(&tree, SIGCONT);
  free(tree.members);
  closedir(tree.proc);
  return rc;
}
