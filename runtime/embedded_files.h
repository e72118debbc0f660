/*
 * What the build generates from lua/ (see embed.cmake): the sources of all
 * modules, sorted by module name.
 */
#ifndef MW_EMBEDDED_FILES_H
#define MW_EMBEDDED_FILES_H

#include <stddef.h>

struct mw_embedded_file {
  const char *name; /* as in require: "mw.stream" */
  const char *path; /* as in a traceback: "mw/stream/init.lua" */
  const char *start;
  const char *end;
};

extern const struct mw_embedded_file mw_embedded_files[];
extern const size_t mw_embedded_file_count;

#endif
