#include "base/error_name.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

const char *mw_error_name(int code, char buf[MW_ERROR_NAME_SIZE]) {
  uv_err_name_r(code, buf, MW_ERROR_NAME_SIZE);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 32)
  /* uv leaves out ENOEXEC, EDQUOT and others that the C library names. */
  if (strncmp(buf, "Unknown", 7) == 0 && strerrorname_np(-code) != NULL)
    snprintf(buf, MW_ERROR_NAME_SIZE, "%s", strerrorname_np(-code));
#endif
  return buf;
}
