/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/probe_url.h"

#include <errno.h>
#include <string.h>

#include "util/str.h"

#define URL_WANTED "http://HOST[:PORT]/… or https://…"

static const char *behind_scheme(const char *url)
{
	if (str_starts(url, "http://"))
		return url + strlen("http://");
	return str_starts(url, "https://") ? url + strlen("https://") : NULL;
}

int probe_url_check(const char *name, const char *url, struct error *e)
{
	const char *host = behind_scheme(url);
	size_t length = host ? strcspn(host, "/?#") : 0;

	if (length == 0 || host[0] == ':')
		return error_field(e, name, url, URL_WANTED, "%.100s is no such URL", url);
	if (memchr(host, '@', length))
		return error_field(e, name, url, URL_WANTED,
				   "a user and a password do not belong into a URL");
	for (const char *c = url; *c; c++) {
		if (*c <= ' ' || *c == 127)
			return error_field(e, name, url, URL_WANTED,
					   "what is not printable ASCII must be written as %%NN");
	}
	return 0;
}

bool probe_answer_says_nothing(const struct fetch_answer *a)
{
	return a->r == -ENOMEM || a->r == -EMFILE || a->r == -ENFILE || a->r == -EMSGSIZE;
}

const char *probe_fetch_strerror(int r)
{
	switch (r) {
	case -ELIBACC:
		return "libcurl is not installed, or too old";
	case -EINVAL:
		return "not a URL that can be asked";
	default:
		return strerror(-r);
	}
}
