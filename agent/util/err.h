/* SPDX-License-Identifier: Apache-2.0 */
/* The one rich error of the request path. Everywhere else an error is a negative errno.
 * It is set where the failure is understood, once, and carried up; whoever answers the
 * caller prints it. A function that fills one returns the negative errno that goes with it. */
#ifndef FAULTD_UTIL_ERR_H
#define FAULTD_UTIL_ERR_H

#include <errno.h>

enum error_code {
	ERROR_NONE,
	ERROR_VALIDATION,  /* the request is wrong */
	ERROR_DENIED,      /* policy forbids the caller or the target */
	ERROR_NOT_FOUND,   /* no such fault, action or path */
	ERROR_METHOD,      /* the path is right, the method is not */
	ERROR_CONFLICT,    /* the state of things forbids it */
	ERROR_QUOTA,       /* too many faults */
	ERROR_TOO_LARGE,   /* the body */
	ERROR_UNSUPPORTED, /* this host lacks a feature or a privilege */
	ERROR_UNAVAILABLE, /* no guardian, or stopping */
	ERROR_FAILED,      /* a step failed, and was undone */
	/* AWS's, of signatures */
	ERROR_UNSIGNED,             /* there is none */
	ERROR_SIGNATURE_INCOMPLETE, /* it cannot be read */
	ERROR_SIGNATURE,            /* it is wrong, of another time or for something else */
	ERROR_KEY_UNKNOWN,          /* the key, or its session token */
	_ERROR_CODE_MAX,
};

struct error {
	enum error_code code;
	char field[96];    /* path in the request, or "" */
	char value[96];    /* what was there, shortened, or "" */
	char allowed[160]; /* what would have been right, or "" */
	char message[512]; /* one line that says it all */
};

/* "ValidationException" and its like: FIS's names where FIS has one. */
const char *error_code_name(enum error_code code);

/* The HTTP status that goes with a code. */
unsigned error_code_status(enum error_code code);

/* Sets code and message. Its value is `r` (a negative errno), for `return error_set(...)`: a macro,
 * so that compilers and analysers see that value. */
#define error_set(e, code, r, ...) (error_set_text(e, code, __VA_ARGS__), (r))
void error_set_text(struct error *e, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A wrong field: the message becomes "FIELD: <format…>; allowed: ALLOWED". `value` and `allowed`
 * may be NULL. Its value is -EINVAL. */
#define error_field(e, ...) (error_set_field(e, __VA_ARGS__), -EINVAL)
void error_set_field(struct error *e, const char *field, const char *value, const char *allowed,
		     const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
