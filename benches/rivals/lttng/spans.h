/* Tracepoints for the beginning and the end of a span, as a C program would have them. */

#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER rivals

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "spans.h"

#if !defined(RIVALS_SPANS_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define RIVALS_SPANS_H

#include <stdint.h>

#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(
    rivals, enter,
    LTTNG_UST_TP_ARGS(const char *, name),
    LTTNG_UST_TP_FIELDS(lttng_ust_field_string(name, name)))

LTTNG_UST_TRACEPOINT_EVENT(
    rivals, enter_with_fields,
    LTTNG_UST_TP_ARGS(const char *, name, uint64_t, id, double, ratio, const char *, kind),
    LTTNG_UST_TP_FIELDS(
        lttng_ust_field_string(name, name)
        lttng_ust_field_integer(uint64_t, id, id)
        lttng_ust_field_float(double, ratio, ratio)
        lttng_ust_field_string(kind, kind)))

LTTNG_UST_TRACEPOINT_EVENT(rivals, leave, LTTNG_UST_TP_ARGS(), LTTNG_UST_TP_FIELDS())

#endif

#include <lttng/tracepoint-event.h>
