/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_JOURNALD_H
#define FAULTD_JOURNALD_H

/* When stderr is connected to systemd's journal ($JOURNAL_STREAM), log lines go there with the
 * fields FAULTD_FAULT and FAULTD_ACTION instead, and records of experiments with EXPERIMENT_ID and
 * LOG_TYPE. */
void journald_start(void);

#endif
