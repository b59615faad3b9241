/*
 * The events of lttng-events.c, as LTTng-UST wants them: it includes this file several times (lttng-ust(3)).
 */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER usertrace_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./lttng-events.h"

#if !defined(LTTNG_EVENTS_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define LTTNG_EVENTS_H

#include <lttng/tracepoint.h>
#include <stdint.h>

LTTNG_UST_TRACEPOINT_EVENT(
	usertrace_bench, text,
	LTTNG_UST_TP_ARGS(int, first, int, second, const char *, text),
	LTTNG_UST_TP_FIELDS(
		lttng_ust_field_integer(int, first, first)
		lttng_ust_field_integer(int, second, second)
		lttng_ust_field_string(text, text)))

LTTNG_UST_TRACEPOINT_EVENT(
	usertrace_bench, numbers,
	LTTNG_UST_TP_ARGS(uint64_t, big, int, small, double, real),
	LTTNG_UST_TP_FIELDS(
		lttng_ust_field_integer(uint64_t, big, big)
		lttng_ust_field_integer(int, small, small)
		lttng_ust_field_float(double, real, real)))

#endif

#include <lttng/tracepoint-event.h>
