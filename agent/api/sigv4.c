/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical request is not built but hashed as it is written: it is as long as the request.
 *
 * The path is encoded once more as it was sent, as all SDKs do for services other than S3: botocore
 * sends "/tags/arn%3Aaws…" and signs "/tags/arn%253Aaws…". One with "//", "/./" or "/../" in it is
 * refused rather than normalised: what is signed is then what is routed. */
#include "api/sigv4.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/cleanup.h"
#include "util/str.h"

#define ALGORITHM         "AWS4-HMAC-SHA256"
#define SERVICE           "fis"
#define TERMINATOR        "aws4_request"
#define HASH_SIZE         32
#define HEX_SIZE          (2 * HASH_SIZE)
#define AUTHORIZATION_MAX 4095
#define QUERY_PAIRS_MAX   256
#define DATE_SIZE         16 /* 20201201T000000Z */
#define DAY_SIZE          8

#define REFUSE(e, code, ...) error_set(e, code, -EACCES, __VA_ARGS__)

/* The Authorization header, cut into its parts. */
struct authorization {
	char text[AUTHORIZATION_MAX + 1];
	char *credential, *signed_headers, *signature;
	char *key_id, *day, *region, *service, *terminator; /* the credential's */
};

/* A hash that is being written. Once something failed it stays so. */
struct hash {
	EVP_MD_CTX *md;
	bool failed;
};

static void add(struct hash *h, const char *data, size_t n)
{
	h->failed = h->failed || EVP_DigestUpdate(h->md, data, n) != 1;
}

static void add_text(struct hash *h, const char *s)
{
	add(h, s, strlen(s));
}

static void to_hex(const unsigned char *bytes, char ret[static HEX_SIZE + 1])
{
	for (size_t i = 0; i < HASH_SIZE; i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static int out_of_memory(struct error *e)
{
	return error_set(e, ERROR_UNAVAILABLE, -ENOMEM, "out of memory");
}

static int hash_body(const struct sigv4_request *q, char ret[static HEX_SIZE + 1], struct error *e)
{
	unsigned char bytes[HASH_SIZE];

	if (EVP_Digest(q->body, q->body_length, bytes, NULL, EVP_sha256(), NULL) != 1)
		return out_of_memory(e);
	to_hex(bytes, ret);
	return 0;
}

/* The header's value, and how many there are of that name. */
static const char *header(const struct sigv4_request *q, const char *name, size_t *ret_n)
{
	const char *value = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < q->n_headers; i++) {
		if (strcasecmp(q->headers[i].name, name) == 0) {
			value = q->headers[i].value;
			(*ret_n)++;
		}
	}
	return value;
}

/* Where one of them goes, NULL: not a parameter of this header. */
static char **parameter(struct authorization *a, const char *text, size_t *ret_length)
{
	const struct {
		const char *name;
		char **to;
	} known[] = {{"Credential=", &a->credential},
		     {"SignedHeaders=", &a->signed_headers},
		     {"Signature=", &a->signature}};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		*ret_length = strlen(known[i].name);
		if (str_starts(text, known[i].name))
			return known[i].to;
	}
	return NULL;
}

/* "Credential=…, SignedHeaders=…, Signature=…", in any order, blanks after the commas or not. */
static int cut_parameters(struct authorization *a, char *text, struct error *e)
{
	char *save = NULL;

	for (char *s = strtok_r(text, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
		size_t n;
		char **to;

		s += strspn(s, " ");
		to = parameter(a, s, &n);
		if (!to || *to || strchr(s, ' '))
			return REFUSE(e, ERROR_SIGNATURE_INCOMPLETE,
				      "Authorization header: not one parameter of each kind, at "
				      "'%.32s'",
				      s);
		*to = s + n;
	}
	if (!a->credential || !a->signed_headers || !a->signature)
		return REFUSE(e, ERROR_SIGNATURE_INCOMPLETE,
			      "Authorization header requires '%s' parameter.",
			      !a->credential       ? "Credential"
			      : !a->signed_headers ? "SignedHeaders"
						   : "Signature");
	return 0;
}

/* KEY/20201201/us-east-1/fis/aws4_request */
static int cut_credential(struct authorization *a, struct error *e)
{
	char **const parts[] = {&a->key_id, &a->day, &a->region, &a->service, &a->terminator};
	char *rest = a->credential;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		*parts[i] = strsep(&rest, "/");
	if (!a->terminator || rest || !a->key_id[0])
		return REFUSE(e, ERROR_SIGNATURE_INCOMPLETE,
			      "Credential must have exactly 5 slash-delimited elements, e.g. "
			      "keyid/date/region/service/term");
	return 0;
}

static int read_authorization(const struct sigv4_request *q, struct authorization *a,
			      struct error *e)
{
	size_t n, length = strlen(ALGORITHM);
	const char *value = header(q, "Authorization", &n);

	*a = (struct authorization){0};
	if (n == 0 && strstr(q->raw_query, "X-Amz-"))
		return REFUSE(e, ERROR_UNSIGNED,
			      "presigned requests are not accepted: sign in the Authorization "
			      "header");
	if (n == 0)
		return REFUSE(e, ERROR_UNSIGNED, "Missing Authentication Token");
	if (n > 1 || !str_copy(a->text, sizeof(a->text), value))
		return REFUSE(e, ERROR_SIGNATURE_INCOMPLETE,
			      "Authorization header: more than one, or longer than %d bytes",
			      AUTHORIZATION_MAX);
	if (!str_starts(a->text, ALGORITHM) || a->text[length] != ' ')
		return REFUSE(e, ERROR_SIGNATURE_INCOMPLETE,
			      "Authorization header: the algorithm is not " ALGORITHM);
	if (cut_parameters(a, a->text + length, e) < 0)
		return -EACCES;
	return cut_credential(a, e);
}

/* Returns 0 or -EINVAL. */
static int read_date(const char *s, time_t *ret)
{
	struct tm tm = {0};

	if (strlen(s) != DATE_SIZE)
		return -EINVAL;
	for (size_t i = 0; i < DATE_SIZE; i++) {
		if (i != DAY_SIZE && i != DATE_SIZE - 1 && (s[i] < '0' || s[i] > '9'))
			return -EINVAL;
	}
	if (strptime(s, "%Y%m%dT%H%M%SZ", &tm) != s + DATE_SIZE)
		return -EINVAL;
	*ret = timegm(&tm);
	return 0;
}

static const char *print_date(time_t t, char ret[static DATE_SIZE + 1])
{
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(ret, DATE_SIZE + 1, "%Y%m%dT%H%M%SZ", &tm) == 0)
		(void)str_copy(ret, DATE_SIZE + 1, "?");
	return ret;
}

static int check_date(const struct sigv4_request *q, time_t now, const char **ret, struct error *e)
{
	char text[DATE_SIZE + 1], limit[DATE_SIZE + 1];
	size_t n;
	const char *s = header(q, "X-Amz-Date", &n);
	time_t t;

	if (n != 1 || read_date(s, &t) < 0)
		return REFUSE(e, ERROR_SIGNATURE_INCOMPLETE,
			      "Date must be in ISO-8601 'basic format' in one X-Amz-Date header. "
			      "Got '%.32s'.",
			      s ? s : "");
	if (t < now - SIGV4_SKEW_S)
		return REFUSE(e, ERROR_SIGNATURE,
			      "Signature expired: %s is now earlier than %s (%s - %d min.)", s,
			      print_date(now - SIGV4_SKEW_S, limit), print_date(now, text),
			      SIGV4_SKEW_S / 60);
	if (t > now + SIGV4_SKEW_S)
		return REFUSE(e, ERROR_SIGNATURE,
			      "Signature not yet current: %s is still later than %s (%s + %d "
			      "min.)",
			      s, print_date(now + SIGV4_SKEW_S, limit), print_date(now, text),
			      SIGV4_SKEW_S / 60);
	*ret = s;
	return 0;
}

static int check_scope(const struct authorization *a, const char *date, const char *region,
		       struct error *e)
{
	if (strlen(a->day) != DAY_SIZE || strncmp(a->day, date, DAY_SIZE) != 0)
		return REFUSE(e, ERROR_SIGNATURE,
			      "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
			      "version of date from HTTP: '%.16s' != '%.8s', from '%.16s'.",
			      a->day, date, date);
	if (!str_eq(a->region, region))
		return REFUSE(e, ERROR_SIGNATURE,
			      "Credential should be scoped to a valid region, not '%.32s': this "
			      "host's is '%.32s'.",
			      a->region, region);
	if (!str_eq(a->service, SERVICE))
		return REFUSE(e, ERROR_SIGNATURE,
			      "Credential should be scoped to correct service: '" SERVICE "'.");
	if (!str_eq(a->terminator, TERMINATOR))
		return REFUSE(e, ERROR_SIGNATURE,
			      "Credential should be scoped with a valid terminator: '" TERMINATOR
			      "', not '%.32s'.",
			      a->terminator);
	return 0;
}

/* Is `name` one of "a;b;c"? */
static bool is_signed(const char *names, const char *name)
{
	size_t length = strlen(name);

	for (const char *s = names; s; s = strchr(s, ';')) {
		s += *s == ';';
		if (strcspn(s, ";") == length && strncasecmp(s, name, length) == 0)
			return true;
	}
	return false;
}

/* What AWS wants signed: the host and whatever begins with "x-amz-". */
static int check_signed_headers(const struct sigv4_request *q, const char *names, struct error *e)
{
	size_t n;

	(void)header(q, "Host", &n);
	if (n != 1 || !is_signed(names, "host"))
		return REFUSE(e, ERROR_SIGNATURE,
			      "'Host' must be there once, and be a 'SignedHeader' in the "
			      "AWS Authorization.");
	for (size_t i = 0; i < q->n_headers; i++) {
		if (strncasecmp(q->headers[i].name, "x-amz-", 6) == 0 &&
		    !is_signed(names, q->headers[i].name))
			return REFUSE(e, ERROR_SIGNATURE,
				      "'%.64s' must be a 'SignedHeader' in the AWS "
				      "Authorization.",
				      q->headers[i].name);
	}
	return 0;
}

static int check_payload(const struct sigv4_request *q, const char *hash, struct error *e)
{
	size_t n;
	const char *s = header(q, "X-Amz-Content-Sha256", &n);

	if (n == 0 || (n == 1 && str_eq(s, hash)))
		return 0;
	return REFUSE(e, ERROR_SIGNATURE,
		      "The provided 'x-amz-content-sha256' header does not match what was "
		      "computed: the body must be signed.");
}

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Three bytes at most. Returns how many. */
static size_t encode(unsigned char c, bool keep_slash, char ret[static 4])
{
	if (is_unreserved(c) || (keep_slash && c == '/')) {
		ret[0] = (char)c;
		return 1;
	}
	return (size_t)snprintf(ret, 4, "%%%02X", c);
}

/* Absolute, and each "%" begins a byte: what cannot be read in two ways. */
static bool is_normal(const char *path)
{
	if (path[0] != '/' || strstr(path, "//"))
		return false;
	for (const char *s = path; s; s = strchr(s + 1, '/')) {
		size_t n = strcspn(s + 1, "/");

		if ((n == 1 && s[1] == '.') || (n == 2 && s[1] == '.' && s[2] == '.'))
			return false;
	}
	for (const char *s = strchr(path, '%'); s; s = strchr(s + 1, '%')) {
		if (hex_digit(s[1]) < 0 || hex_digit(s[2]) < 0)
			return false;
	}
	return true;
}

static void add_path(struct hash *h, const char *path)
{
	char bytes[4];

	for (; *path; path++)
		add(h, bytes, encode((unsigned char)*path, true, bytes));
}

struct pair {
	const char *name, *value;
};

static int by_name_and_value(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->value, y->value);
}

/* Writes the part of a query up to "&" or (a name) "=", decoded and encoded anew, to `*to`, and
 * moves both on. "+" is a blank, as libmicrohttpd reads it. False: a "%" that begins no byte. */
static bool recode(const char **from, const char *end, char **to)
{
	while (**from && !strchr(end, **from)) {
		unsigned char c = (unsigned char)*(*from)++;

		if (c == '%') {
			int high = hex_digit((*from)[0]);
			int low = high < 0 ? -1 : hex_digit((*from)[1]);

			if (low < 0)
				return false;
			c = (unsigned char)(high * 16 + low);
			*from += 2;
		} else if (c == '+') {
			c = ' ';
		}
		*to += encode(c, false, *to);
	}
	*(*to)++ = '\0';
	return true;
}

/* `text` has room for what it becomes. Returns how many pairs, or a negative errno. */
static int read_pairs(const char *query, char *text, struct pair *pairs)
{
	int n = 0;

	while (*query) {
		if (n == QUERY_PAIRS_MAX)
			return -E2BIG;
		pairs[n].name = text;
		if (!recode(&query, "=&", &text))
			return -EINVAL;
		query += *query == '=';
		pairs[n++].value = text;
		if (!recode(&query, "&", &text))
			return -EINVAL;
		query += *query == '&';
	}
	return n;
}

static int add_query(struct hash *h, const char *query, struct error *e)
{
	/* Each byte at most three, and two ends for each pair, which took one byte at least. */
	_cleanup_free_
	char *text = malloc(5 * strlen(query) + 4);
	struct pair pairs[QUERY_PAIRS_MAX];
	int n;

	if (!text)
		return out_of_memory(e);
	n = read_pairs(query, text, pairs);
	if (n == -E2BIG)
		return REFUSE(e, ERROR_SIGNATURE, "the query has more than %d parameters",
			      QUERY_PAIRS_MAX);
	if (n < 0)
		return REFUSE(e, ERROR_SIGNATURE, "the query has a \"%%\" that begins no byte");
	qsort(pairs, (size_t)n, sizeof(pairs[0]), by_name_and_value);
	for (int i = 0; i < n; i++) {
		add_text(h, i ? "&" : "");
		add_text(h, pairs[i].name);
		add_text(h, "=");
		add_text(h, pairs[i].value);
	}
	return 0;
}

/* Without blanks around it, and one in the place of many. */
static void add_trimmed(struct hash *h, const char *value)
{
	static const char blanks[] = " \t\r\n\v\f";

	value += strspn(value, blanks);
	while (*value) {
		size_t n = strcspn(value, blanks);

		add(h, value, n);
		value += n;
		value += strspn(value, blanks);
		add_text(h, *value ? " " : "");
	}
}

/* Adds "name:value,value\n". Returns how many values. */
static size_t add_header(struct hash *h, const struct sigv4_request *q, const char *name)
{
	size_t n = 0;

	add_text(h, name);
	for (size_t i = 0; i < q->n_headers; i++) {
		if (strcasecmp(q->headers[i].name, name) != 0)
			continue;
		add_text(h, n++ ? "," : ":");
		add_trimmed(h, q->headers[i].value);
	}
	add_text(h, "\n");
	return n;
}

/* Each once, in order, in lower case, and there. */
static int add_headers(struct hash *h, const struct sigv4_request *q, const char *names,
		       struct error *e)
{
	char copy[AUTHORIZATION_MAX + 1];
	char *rest = copy;
	const char *last = "";

	(void)str_copy(copy, sizeof(copy), names);
	for (char *name = strsep(&rest, ";"); name; name = strsep(&rest, ";")) {
		if (strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") || strcmp(name, last) <= 0)
			return REFUSE(e, ERROR_SIGNATURE_INCOMPLETE,
				      "SignedHeaders: not sorted, not in lower case, or not "
				      "once each at '%.64s'",
				      name);
		if (add_header(h, q, name) == 0)
			return REFUSE(e, ERROR_SIGNATURE,
				      "SignedHeaders: the request has no header '%.64s'", name);
		last = name;
	}
	return 0;
}

static int write_request(struct hash *h, const struct sigv4_request *q, const char *names,
			 const char *body_hash, struct error *e)
{
	int r;

	add_text(h, q->method);
	add_text(h, "\n");
	add_path(h, q->raw_path);
	add_text(h, "\n");
	r = add_query(h, q->raw_query, e);
	add_text(h, "\n");
	if (r == 0)
		r = add_headers(h, q, names, e);
	add_text(h, "\n");
	add_text(h, names);
	add_text(h, "\n");
	add_text(h, body_hash);
	return r;
}

/* Of the canonical request. */
static int hash_request(const struct sigv4_request *q, const char *names, const char *body_hash,
			char ret[static HEX_SIZE + 1], struct error *e)
{
	struct hash h = {.md = EVP_MD_CTX_new()};
	unsigned char bytes[HASH_SIZE];
	int r;

	h.failed = !h.md || EVP_DigestInit_ex(h.md, EVP_sha256(), NULL) != 1;
	r = h.failed ? out_of_memory(e) : write_request(&h, q, names, body_hash, e);
	if (r == 0 && (h.failed || EVP_DigestFinal_ex(h.md, bytes, NULL) != 1))
		r = out_of_memory(e);
	EVP_MD_CTX_free(h.md);
	if (r == 0)
		to_hex(bytes, ret);
	return r;
}

static bool hmac(const void *key, size_t length, const char *text, unsigned char ret[HASH_SIZE])
{
	return HMAC(EVP_sha256(), key, (int)length, (const unsigned char *)text, strlen(text), ret,
		    NULL) != NULL;
}

/* What `secret` would have signed. */
static int sign(const char *secret, const struct authorization *a, const char *date,
		const char *request_hash, char ret[static HEX_SIZE + 1], struct error *e)
{
	const char *const scope[] = {a->day, a->region, a->service, a->terminator};
	char first[sizeof("AWS4") + sizeof(((struct access_key *)NULL)->secret)];
	char text[sizeof(ALGORITHM) + DATE_SIZE + AUTHORIZATION_MAX + HEX_SIZE + 8];
	unsigned char key[HASH_SIZE], next[HASH_SIZE];
	bool ok;

	(void)snprintf(first, sizeof(first), "AWS4%s", secret);
	ok = hmac(first, strlen(first), scope[0], key);
	for (size_t i = 1; i < ARRAY_SIZE(scope) && ok; i++) {
		ok = hmac(key, sizeof(key), scope[i], next);
		memcpy(key, next, sizeof(key));
	}
	(void)snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s/%s/%s/%s\n%s", date, a->day,
		       a->region, a->service, a->terminator, request_hash);
	ok = ok && hmac(key, sizeof(key), text, next);
	if (ok)
		to_hex(next, ret);
	OPENSSL_cleanse(first, sizeof(first));
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(next, sizeof(next));
	return ok ? 0 : out_of_memory(e);
}

/* The token that belongs to the key, if one does, and no other. */
static bool token_fits(const struct sigv4_request *q, const struct access_key *key)
{
	size_t n, length = strlen(key->session_token);
	const char *s = header(q, "X-Amz-Security-Token", &n);

	if (n == 0 || length == 0)
		return n == 0 && length == 0;
	return n == 1 && strlen(s) == length && CRYPTO_memcmp(s, key->session_token, length) == 0;
}

/* One that is not known is worked for all the same. */
static int check_signature(const struct sigv4_request *q, const struct authorization *a,
			   const struct access_key *key, const char *date, const char *request_hash,
			   struct error *e)
{
	static const char nobody[] = "0000000000000000000000000000000000000000";
	char right[HEX_SIZE + 1];
	bool fits;

	if (sign(key ? key->secret : nobody, a, date, request_hash, right, e) < 0)
		return -ENOMEM;
	fits = strlen(a->signature) == HEX_SIZE &&
	       CRYPTO_memcmp(right, a->signature, HEX_SIZE) == 0;
	OPENSSL_cleanse(right, sizeof(right));
	if (key && !fits)
		return REFUSE(e, ERROR_SIGNATURE,
			      "The request signature we calculated does not match the signature "
			      "you provided. Check your AWS Secret Access Key and signing method. "
			      "Consult the service documentation for details.");
	if (!key || !token_fits(q, key))
		return REFUSE(e, ERROR_KEY_UNKNOWN,
			      "The security token included in the request is invalid.");
	return 0;
}

static int check_form(const struct sigv4_request *q, struct error *e)
{
	if (q->n_headers > SIGV4_HEADERS_MAX)
		return REFUSE(e, ERROR_SIGNATURE, "more than %d headers", SIGV4_HEADERS_MAX);
	if (!is_normal(q->raw_path))
		return REFUSE(e, ERROR_SIGNATURE,
			      "the path is not in its normal form: it has \"//\", \"/./\", "
			      "\"/../\" or a \"%%\" that begins no byte");
	return 0;
}

int sigv4_verify(const struct sigv4_request *q, const struct access *access, const char *region,
		 time_t now, const struct access_key **ret, struct error *e)
{
	char body_hash[HEX_SIZE + 1], request_hash[HEX_SIZE + 1];
	struct authorization a;
	const struct access_key *key;
	const char *date = "";
	int r = check_form(q, e);

	if (r == 0)
		r = read_authorization(q, &a, e);
	if (r == 0)
		r = check_date(q, now, &date, e);
	if (r == 0)
		r = check_scope(&a, date, region, e);
	if (r == 0)
		r = check_signed_headers(q, a.signed_headers, e);
	if (r == 0)
		r = hash_body(q, body_hash, e);
	if (r == 0)
		r = check_payload(q, body_hash, e);
	if (r == 0)
		r = hash_request(q, a.signed_headers, body_hash, request_hash, e);
	if (r < 0)
		return r;
	key = access_key_find(access, a.key_id);
	r = check_signature(q, &a, key, date, request_hash, e);
	*ret = r == 0 ? key : NULL;
	return r;
}
