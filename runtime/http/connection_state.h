/*
 * What a connection has and where it stands, for the files that work on it:
 * connection.c has its life, requests.c takes what comes in, exchange.c what is
 * done from outside, timing.c how long all that may take. Inner to http/.
 */
#ifndef MW_HTTP_CONNECTION_STATE_H
#define MW_HTTP_CONNECTION_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "http/body.h"
#include "http/deadlines.h"
#include "http/input.h"
#include "http/output.h"
#include "http/response.h"
#include "http/service.h"

/* How much may wait: of what has come while nobody can take it, of what goes
   out before a writer is told, or before the next request is looked at. */
enum { MW_HTTP_IN_MAX = 65536, MW_HTTP_OUT_ENOUGH = 65536 };

/* What `timed` is besides a kind of deadline. */
enum { MW_HTTP_UNTIMED = -1, MW_HTTP_STALE = -2 /* set, not meant any more */ };

enum mw_http_state {
  MW_HTTP_WAITING, /* for a request */
  MW_HTTP_BUSY,    /* with an exchange */
  MW_HTTP_LAST,    /* what is left goes out, then comes our end */
  MW_HTTP_LINGERS, /* until the peer has ended too: closing earlier would
                      reset */
  MW_HTTP_GONE
};

/* How it is told of what comes. */
enum mw_http_watch {
  MW_HTTP_NEW,      /* not yet */
  MW_HTTP_ARRIVING, /* by the service's arrivals */
  MW_HTTP_ARRIVED,  /* not any more: they have told it */
  MW_HTTP_POLLED    /* by a handle of its own */
};

enum mw_http_order { MW_HTTP_GO_ON, MW_HTTP_CUT, MW_HTTP_END };

struct mw_http_connection {
  uv_poll_t poll; /* open where it is polled */
  struct mw_http_service *service;
  struct mw_link link, due;
  struct mw_deadline deadline;
  int fd;
  int polled;  /* events that the poll waits for */
  int timed;   /* what the deadline is for */
  int unacked; /* bytes that the peer had not taken when it was set */
  enum mw_http_state state;
  enum mw_http_watch watch;
  enum mw_http_order order; /* what to do at the next step */
  uint64_t began;           /* when the first byte of the request came */
  struct mw_http_input input;
  struct mw_http_output output;
  struct mw_http_body body;
  uint64_t body_bytes;
  struct mw_http_response response;
  void *user;
  bool running;     /* go_on() is under way */
  bool has_served;  /* a request, or more */
  bool handed_over; /* not accepted here: somebody may have a copy */
  bool may_delay;   /* the kernel may hold a small packet back (Nagle) */
  bool has_sent;
  bool wanted; /* pieces of the body are to be told */
  bool end_told;
  bool told_enough;     /* on_drain is due */
  bool needs_no_linger; /* the peer has said that nothing more comes */
};

#endif
