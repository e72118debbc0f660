/*
 * Runs a program under a rule of the kernel that holds for all it starts:
 *   sandbox no-siblings PROGRAM [ARGUMENT...]   clone(2) with CLONE_PARENT is
 *                                               refused with EPERM
 *   sandbox no-sessions PROGRAM [ARGUMENT...]   whoever calls setsid(2) is
 *                                               killed
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(member)                                                           \
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define SKIP_UNLESS(test, value, count)                                        \
  BPF_JUMP(BPF_JMP | (test) | BPF_K, value, 0, count)
#define ANSWER(action) BPF_STMT(BPF_RET | BPF_K, action)

/* The first argument, or rather its lower half. */
#define LOAD_FLAGS                                                             \
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                                           \
           offsetof(struct seccomp_data, args) +                               \
               (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0))

static struct sock_filter no_siblings[] = {
    LOAD(nr),
    SKIP_UNLESS(BPF_JEQ, SYS_clone, 3),
    LOAD_FLAGS,
    SKIP_UNLESS(BPF_JSET, CLONE_PARENT, 1),
    ANSWER(SECCOMP_RET_ERRNO | EPERM),
    ANSWER(SECCOMP_RET_ALLOW),
};

static struct sock_filter no_sessions[] = {
    LOAD(nr),
    SKIP_UNLESS(BPF_JEQ, SYS_setsid, 1),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    ANSWER(SECCOMP_RET_ALLOW),
};

#define PROGRAM(filter)                                                        \
  { sizeof(filter) / sizeof *(filter), filter }

static const struct {
  const char *name;
  struct sock_fprog program;
} rules[] = {
    {"no-siblings", PROGRAM(no_siblings)},
    {"no-sessions", PROGRAM(no_sessions)},
};

static int apply(const char *name) {
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (strcmp(rules[i].name, name) != 0)
      continue;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
               ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &rules[i].program)
               : -1;
  }
  errno = EINVAL;
  return -1;
}

int main(int argc, char **argv) {
  if (argc > 2 && apply(argv[1]) == 0)
    execv(argv[2], argv + 2);
  perror("sandbox");
  return 126;
}
