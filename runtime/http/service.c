#include "http/service.h"

#include <stdio.h>

/* A larger buffer is not worth keeping for the next answer. */
enum { SPARE_MAX = 65536 };

static void write_date(struct mw_http_service *service) {
  /* Not by strftime(3): the script may have set another locale. */
  static const char days[] = "SunMonTueWedThuFriSat";
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  struct tm tm;
  gmtime_r(&service->date_second, &tm);
  int length = snprintf(service->date, sizeof service->date,
                        "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
                        days + 3 * tm.tm_wday, tm.tm_mday % 32,
                        months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000,
                        tm.tm_hour % 24, tm.tm_min % 60, tm.tm_sec % 61);
  service->date_length = (size_t)length;
}

void mw_http_service_add_due(struct mw_http_service *service,
                             struct mw_link *due) {
  if (!mw_list_is_empty(due))
    return;
  mw_list_append(&service->due, due);
  uv_idle_start(&service->before_wait, service->on_before_wait);
}

void mw_http_service_add_gone(struct mw_http_service *service,
                              struct mw_link *gone) {
  mw_list_append(&service->gone, gone);
  uv_idle_start(&service->before_wait, service->on_before_wait);
}

struct mw_http_span mw_http_service_date(struct mw_http_service *service) {
  uint64_t turn = uv_now(service->loop);
  time_t now = turn == service->date_turn ? service->date_second : time(NULL);
  service->date_turn = turn;
  if (now != service->date_second) {
    service->date_second = now;
    write_date(service);
  }
  return (struct mw_http_span){service->date, service->date_length};
}

void mw_http_service_lend(struct mw_buffer *spare, struct mw_buffer *buffer) {
  if (buffer->capacity > 0)
    return;
  *buffer = *spare;
  *spare = (struct mw_buffer){.bytes = NULL};
}

void mw_http_service_take_back(struct mw_buffer *spare,
                               struct mw_buffer *buffer) {
  buffer->length = 0;
  if (spare->capacity > 0 || buffer->capacity > SPARE_MAX) {
    mw_buffer_free(buffer);
    return;
  }
  *spare = *buffer;
  *buffer = (struct mw_buffer){.bytes = NULL};
}
