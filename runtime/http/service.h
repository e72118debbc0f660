/*
 * What the connections of one server share: limits, events, one timer, one
 * buffer to read into, one to answer from. Owned by the server, inner to http/;
 * the loop's thread.
 */
#ifndef MW_HTTP_SERVICE_H
#define MW_HTTP_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <uv.h>

#include "base/buffer.h"
#include "base/list.h"
#include "http/deadlines.h"
#include "http/events.h"
#include "net/arrivals.h"

/* What a deadline is for. */
enum mw_http_deadline {
  MW_HTTP_HEAD_DEADLINE,
  MW_HTTP_BODY_DEADLINE,
  MW_HTTP_SEND_DEADLINE,
  MW_HTTP_IDLE_DEADLINE,
  MW_HTTP_ABANDONED_DEADLINE,
  MW_HTTP_LINGER_DEADLINE,
  MW_HTTP_DRAIN_DEADLINE
};

enum { MW_HTTP_SCRATCH_SIZE = 65536, MW_HTTP_DATE_SIZE = 40 };

struct mw_http_service {
  uv_loop_t *loop;
  struct mw_http_limits limits;
  const struct mw_http_events *events;
  void *user;
  struct mw_deadlines deadlines;
  struct mw_arrivals arrivals;
  struct mw_link connections;
  size_t count;          /* those that are open */
  size_t alive;          /* and those that are still to be freed */
  struct mw_link gone;   /* of these, what no handle holds */
  struct mw_link due;    /* connections to go on with before the loop waits */
  uv_idle_t before_wait; /* active while there are some, of either */
  uv_idle_cb on_before_wait;
  bool draining; /* every answer is the last of its connection */
  void (*on_left)(struct mw_http_service *service); /* one less is alive */
  struct mw_buffer spare;                           /* for the next answer */
  struct mw_buffer spare_block;                     /* and for its headers */
  uint64_t date_turn; /* uv_now() when the time was last asked for */
  time_t date_second;
  size_t date_length;
  char date[MW_HTTP_DATE_SIZE];       /* "Date: ...\r\n" */
  char keep_alive[64];                /* the lines of a connection that stays */
  char scratch[MW_HTTP_SCRATCH_SIZE]; /* what one read has brought */
};

/** Has a connection, by its link, go on before the loop waits. */
void mw_http_service_add_due(struct mw_http_service *service,
                             struct mw_link *due);

/** Has a connection that is closed, by its link, freed before the loop waits.
 */
void mw_http_service_add_gone(struct mw_http_service *service,
                              struct mw_link *gone);

/** The line for the header Date, of this second. */
struct mw_http_span mw_http_service_date(struct mw_http_service *service);

/** Gives a buffer that has no memory the spare one's. */
void mw_http_service_lend(struct mw_buffer *spare, struct mw_buffer *buffer);

/** Takes the memory of a buffer that is not needed any more, as a spare one. */
void mw_http_service_take_back(struct mw_buffer *spare,
                               struct mw_buffer *buffer);

#endif
