/*
 * The command line: that of `lua` 5.4 (manual, section 7), and the long
 * options of mwrun. Runs in a protected call of the host.
 */
#ifndef MW_CLI_H
#define MW_CLI_H

#include <lua.h>
#include <stdbool.h>

enum mw_cli_outcome {
  MW_CLI_RUN,   /* all went well: run the loop, then end */
  MW_CLI_LEAVE, /* end now with status 0: nothing to run */
  MW_CLI_FAIL   /* end now with status 1: the reason is told */
};

/**
 * Does what the command line says, up to the end of the script. `opened` tells
 * that the state has its libraries already.
 */
enum mw_cli_outcome mw_cli_run(lua_State *L, int argc, char **argv,
                               bool opened);

#endif
