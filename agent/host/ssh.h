/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FAULTD_HOST_SSH_H
#define FAULTD_HOST_SSH_H

#include <stddef.h>
#include <sys/types.h>

#include "faultd/bpf-abi.h"

/* The TCP connections of the SSH session in which process `pid` runs: those held by the sshd
 * processes above it in the tree. Environment variables are not asked (sudo drops them).
 * Fills at most `room`; returns how many, 0 when there is no such session. */
size_t ssh_connections(pid_t pid, struct classify_flow *ret, size_t room);

#endif
