/*
 * Deadlines on the monotonic clock.
 *
 * Owns nothing: a deadline is a number of nanoseconds. Called by everything
 * that waits with poll(2); any thread. A time-out in milliseconds becomes a
 * deadline once, where it enters, so that retries never prolong it.
 */
#ifndef MW_BASE_DEADLINE_H
#define MW_BASE_DEADLINE_H

#include <stdint.h>

#define MW_DEADLINE_NEVER INT64_MAX

/**
 * The moment `timeout_ms` from now; a negative time-out is never
 * (clock_gettime(2), CLOCK_MONOTONIC).
 */
int64_t mw_deadline_after(int64_t timeout_ms);

/**
 * What to give to poll(2) as its time-out to wake at `deadline`: rounded up,
 * 0 when it has passed, -1 for never.
 */
int mw_deadline_poll_ms(int64_t deadline);

#endif
