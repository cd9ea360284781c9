/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker tells faultd, without a system call of either: one page of shared memory, which
 * faultd makes (a memfd, the worker's standard input) and only the worker writes. Beside it, the
 * worker's standard output is a pipe on which it says one line: "ready" once its load has begun, or
 * why it cannot; its end closes with the worker. */
#ifndef FAULTD_LOAD_REPORT_PAGE_H
#define FAULTD_LOAD_REPORT_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

enum load_counter {
	LOAD_HELD,    /* bytes, descriptors, threads or ports it holds now */
	LOAD_WANTED,  /* how many it aims at now */
	LOAD_YIELDED, /* how often it gave some back because others needed them */
	LOAD_READS,
	LOAD_READ_BYTES,
	LOAD_WRITES,
	LOAD_WRITTEN_BYTES,
	LOAD_SYNCS,
	_LOAD_COUNTER_MAX,
};

struct load_report {
	_Atomic uint64_t counter[_LOAD_COUNTER_MAX];
};

#define LOAD_REPORT_SIZE 4096
#define LOAD_READY       "ready"

#endif
