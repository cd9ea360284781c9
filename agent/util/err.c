/* SPDX-License-Identifier: Apache-2.0 */
#include "util/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/str.h"

static const struct {
	const char *name;
	unsigned status;
} codes[_ERROR_CODE_MAX] = {
	[ERROR_NONE] = {"", 200},
	[ERROR_VALIDATION] = {"ValidationException", 400},
	[ERROR_DENIED] = {"AccessDeniedException", 403},
	[ERROR_NOT_FOUND] = {"ResourceNotFoundException", 404},
	[ERROR_METHOD] = {"MethodNotAllowedException", 405},
	[ERROR_CONFLICT] = {"ConflictException", 409},
	[ERROR_QUOTA] = {"ServiceQuotaExceededException", 402},
	[ERROR_TOO_LARGE] = {"RequestTooLargeException", 413},
	[ERROR_UNSUPPORTED] = {"NotSupportedException", 501},
	[ERROR_UNAVAILABLE] = {"ServiceUnavailableException", 503},
	[ERROR_FAILED] = {"FaultFailedException", 500},
	[ERROR_UNSIGNED] = {"MissingAuthenticationTokenException", 403},
	[ERROR_SIGNATURE_INCOMPLETE] = {"IncompleteSignatureException", 403},
	[ERROR_SIGNATURE] = {"InvalidSignatureException", 403},
	[ERROR_KEY_UNKNOWN] = {"UnrecognizedClientException", 403},
};

const char *error_code_name(enum error_code code)
{
	return codes[code].name;
}

unsigned error_code_status(enum error_code code)
{
	return codes[code].status;
}

void error_set_text(struct error *e, enum error_code code, const char *format, ...)
{
	va_list ap;

	memset(e, 0, sizeof(*e));
	e->code = code;
	va_start(ap, format);
	(void)vsnprintf(e->message, sizeof(e->message), format, ap);
	va_end(ap);
	/* It may quote what anybody sent. */
	str_make_line(e->message);
}

void error_set_field(struct error *e, const char *field, const char *value, const char *allowed,
		     const char *format, ...)
{
	char text[320];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	error_set_text(e, ERROR_VALIDATION, "%s: %s%s%s", field, text, allowed ? "; allowed: " : "",
		       allowed ? allowed : "");
	str_copy(e->field, sizeof(e->field), field);
	str_copy(e->value, sizeof(e->value), value ? value : "");
	str_copy(e->allowed, sizeof(e->allowed), allowed ? allowed : "");
	str_make_line(e->field);
	str_make_line(e->value);
}
