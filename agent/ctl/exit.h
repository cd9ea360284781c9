/* SPDX-License-Identifier: Apache-2.0 */
/* The exit codes of faultctl, which are also its help text. Scripts and the SSM agent act on
 * them: none may be 137, 168, 169 or 194, and none is above 125, where shells report signals. */
#ifndef FAULTD_CTL_EXIT_H
#define FAULTD_CTL_EXIT_H

/*        name              code  at most 24 characters */
#define EXIT_CODES(X)                                      \
	X(EXIT_DONE, 0, "ended as asked, undone")          \
	X(EXIT_FAILED, 1, "failed or ended early")         \
	X(EXIT_USAGE, 2, "wrong usage")                    \
	X(EXIT_REFUSED, 3, "refused, nothing done")        \
	X(EXIT_UNREACHABLE, 4, "faultd is not reachable")  \
	X(EXIT_LOST, 5, "connection lost")                 \
	X(EXIT_STUCK, 6, "stuck: NOT put back")            \
	X(EXIT_UNSUPPORTED, 7, "not possible here or now") \
	X(EXIT_INTERRUPTED, 8, "interrupted, undone")

enum {
#define EXIT_ENUM(name, code, text) name = code,
	EXIT_CODES(EXIT_ENUM)
#undef EXIT_ENUM
};

#endif
