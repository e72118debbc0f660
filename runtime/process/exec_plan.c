#include "process/exec_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_PATH "/usr/local/bin:/bin:/usr/bin"

static const char *path_of(char *const *envp) {
  for (; *envp != NULL; envp++) {
    if (strncmp(*envp, "PATH=", 5) == 0)
      return *envp + 5;
  }
  return DEFAULT_PATH;
}

/* After clearenv(3) there is no environ at all. */
static char *const *envp_of(const struct mw_spawn_options *options) {
  static char *const nothing[] = {NULL};
  if (options->envp != NULL)
    return options->envp;
  return environ != NULL ? environ : nothing;
}

static size_t count_entries(const char *path) {
  size_t count = 1;
  for (; *path != '\0'; path++)
    count += *path == ':';
  return count;
}

static size_t count_args(char *const *argv) {
  size_t count = 0;
  while (argv[count] != NULL)
    count++;
  return count;
}

/* Each entry of `path` joined with `file`; an empty entry is the current
 * directory. Writes into `text` and returns how many it made. */
static size_t join_entries(char **candidates, char *text, const char *path,
                           const char *file) {
  size_t file_size = strlen(file) + 1;
  size_t count = 0;

  for (;;) {
    size_t len = strcspn(path, ":");
    candidates[count++] = text;
    memcpy(text, path, len);
    text += len;
    if (len > 0)
      *text++ = '/';
    memcpy(text, file, file_size);
    text += file_size;
    if (path[len] == '\0')
      return count;
    path += len + 1;
  }
}

static void fill_shell_argv(char **shell_argv, char *const *argv, size_t argc) {
  static char shell[] = "/bin/sh";
  shell_argv[0] = shell;
  shell_argv[1] = NULL; /* the child puts the file here */
  for (size_t i = 1; i < argc; i++)
    shell_argv[i + 1] = argv[i];
  shell_argv[argc > 0 ? argc + 1 : 2] = NULL;
}

int mw_exec_plan_init(struct mw_exec_plan *plan,
                      const struct mw_spawn_options *options) {
  const char *file = options->file;
  size_t argc = count_args(options->argv);
  const char *path;
  size_t entries, text_size, pointers, count;
  char *text;

  plan->argv = options->argv;
  plan->envp = envp_of(options);
  plan->searched = *file != '\0' && strchr(file, '/') == NULL;

  path = plan->searched ? path_of(plan->envp) : "";
  entries = count_entries(path);
  text_size = strlen(path) + entries * (strlen(file) + 2);
  pointers = entries + 1 + argc + 3;
  plan->candidates = malloc(pointers * sizeof(char *) + text_size);
  if (plan->candidates == NULL)
    return -ENOMEM;

  plan->shell_argv = plan->candidates + entries + 1;
  text = (char *)(plan->candidates + pointers);
  count = join_entries(plan->candidates, text, path, file);
  plan->candidates[count] = NULL;
  fill_shell_argv(plan->shell_argv, options->argv, argc);
  return 0;
}

void mw_exec_plan_free(struct mw_exec_plan *plan) {
  free(plan->candidates);
  plan->candidates = NULL;
}
