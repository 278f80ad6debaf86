/* A library of its own, which is loaded only where LTTng is measured: with it come two threads. */

#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE

#include "spans.h"

void rivals_enter(const char *name)
{
    lttng_ust_tracepoint(rivals, enter, name);
}

void rivals_enter_with_fields(const char *name, uint64_t id, double ratio, const char *kind)
{
    lttng_ust_tracepoint(rivals, enter_with_fields, name, id, ratio, kind);
}

void rivals_leave(void)
{
    lttng_ust_tracepoint(rivals, leave);
}
