/* SPDX-License-Identifier: Apache-2.0 */
/* dns-fault: the victim's DNS queries for some names, or all, are lost, late, or answered with an
 * error.
 * Changed on the host: a classifier and a rule, as for network-loss, that knows queries by their
 * names and turns them into their own answers; for a delay, a shaper as well. Put back likewise. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "actions/network.h"

#define NAMES_ALLOWED                                                     \
	"1 to 8 names such as example.com, of letters, digits, - and _, " \
	"at most 61 characters long; . is all names"

enum how { HOW_DROP, HOW_DELAY, HOW_NXDOMAIN, HOW_SERVFAIL };

static const char *const hows[] = {"drop", "delay", "nxdomain", "servfail", NULL};
static const char *const protocols[] = {"any", "tcp", "udp", NULL}; /* as network_protocols */

enum rcode { RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

struct dns_fault {
	int how; /* enum how */
	uint64_t delay_ms;
	struct name_list names;
	struct network network;
};

/* Queries for a local resolver (systemd-resolved is at 127.0.0.53) leave through loopback, others
 * as a rule by the default route. */
static const struct row rows[] = {
	{.name = "how",
	 .type = ROW_ENUM,
	 FIELD(struct dns_fault, how),
	 .def = "nxdomain",
	 .values = hows,
	 .text = "queries are lost, late, or answered: no such name, or the server failed"},
	{.name = "delay",
	 .type = ROW_DURATION,
	 FIELD(struct dns_fault, delay_ms),
	 .min = 1,
	 .max = 60000,
	 .text = "how late a query comes to its server, with how=delay"},
	{.name = "names",
	 .type = ROW_NAMES,
	 FIELD(struct dns_fault, names),
	 .text = "only queries for these names, and all below them; by default for any"},
	NETWORK_LINK_ROWS(struct dns_fault, "DEFAULT,lo", "egress"),
	NETWORK_PROTOCOL_ROW(struct dns_fault, protocols),
	NETWORK_PORTS_ROW(struct dns_fault, "53"),
	NETWORK_PEER_ROWS(struct dns_fault, false),
	NETWORK_FLOW_ROWS(struct dns_fault),
	NETWORK_PACKETS_ROW(struct dns_fault),
};

/* One label, with its length, to the end of `wire`. Returns what is wrong with it, or NULL. */
static const char *add_label(const char *label, size_t length, uint8_t *wire, size_t *at,
			     size_t size)
{
	if (length == 0)
		return "has an empty label";
	if (length > 63)
		return "has a label of more than 63 characters";
	if (*at + 1 + length + 1 > size)
		return "is longer than 61 characters";
	wire[(*at)++] = (uint8_t)length;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)label[i];

		if (c >= 0x80)
			return "is not in ASCII: names of other letters are given in punycode (xn--...)";
		if (c == '*')
			return "has a wildcard: all below a name is meant anyway";
		if (!isalnum(c) && c != '-' && c != '_')
			return "has a character that names of hosts have not";
		wire[(*at)++] = (uint8_t)tolower(c);
	}
	return NULL;
}

/* "Example.com", with or without a dot at its end, as the classifier wants it. Returns likewise. */
static const char *add_name(const char *name, struct classify_names *ret)
{
	uint8_t *wire = ret->name[ret->n].wire;
	const char *problem = NULL;
	size_t at = 0;

	for (const char *label = str_eq(name, ".") ? "" : name, *end; *label && !problem;
	     label = *end ? end + 1 : end) {
		end = strchrnul(label, '.');
		problem = add_label(label, (size_t)(end - label), wire, &at,
				    sizeof(ret->name[0].wire));
	}
	if (problem)
		return problem;
	wire[at++] = 0;
	ret->name[ret->n++].length = (uint8_t)at;
	return NULL;
}

static int read_names(const struct dns_fault *p, struct classify_names *ret, struct error *e)
{
	*ret = (struct classify_names){0};
	if (p->names.n > CLASSIFY_NAMES)
		return error_field(e, "parameters.names", "", NAMES_ALLOWED, "more than 8 names");
	for (uint32_t i = 0; i < p->names.n; i++) {
		const char *problem = add_name(p->names.name[i], ret);

		if (problem)
			return error_field(e, "parameters.names", p->names.name[i], NAMES_ALLOWED,
					   "%s", problem);
	}
	if (p->names.n == 0)
		(void)add_name(".", ret);
	return 0;
}

static int check_rows(const struct dns_fault *p, struct error *e)
{
	if (p->how == HOW_DELAY && p->delay_ms == 0)
		return error_field(e, "parameters.delay", "", "a time such as 500ms",
				   "required with how=delay");
	if (p->how != HOW_DELAY && p->delay_ms != 0)
		return error_field(e, "parameters.delay", "", "a time, with how=delay",
				   "means nothing with how=%s", hows[p->how]);
	return 0;
}

static int look(const void *params, struct facts *facts, struct error *e)
{
	const struct dns_fault *p = params;
	struct classify_names names;
	int r = check_rows(p, e);

	if (r == 0)
		r = read_names(p, &names, e);
	if (r < 0)
		return r;
	return p->how == HOW_DELAY ? network_look_shaping(&p->network, true, facts, e)
				   : network_look(&p->network, facts, e);
}

static int plan(const void *params, const struct facts *facts, struct plan *plan, struct error *e)
{
	static const enum classify_verdict verdicts[] = {
		VERDICT_DROP, VERDICT_SHAPE, VERDICT_ANSWER, VERDICT_ANSWER}; /* by enum how */
	const struct dns_fault *p = params;
	struct classify_names names;
	const struct network_effect effect = {
		.verdict = verdicts[p->how],
		.percent = p->network.packets,
		.rcode = p->how == HOW_NXDOMAIN   ? RCODE_NXDOMAIN
			 : p->how == HOW_SERVFAIL ? RCODE_SERVFAIL
						  : 0,
		.names = &names,
		.netem = {.delay_ns = p->delay_ms * 1000000},
	};
	int r = check_rows(p, e);

	if (r == 0)
		r = read_names(p, &names, e);
	return r < 0 ? r : network_plan(&p->network, &effect, facts, plan, e);
}

static void describe(const void *params, struct text *t)
{
	static const char *const verbs[] = {"lose", "delay", "answer NXDOMAIN to",
					    "answer SERVFAIL to"};
	const struct dns_fault *p = params;

	text_add(t, "%s ", verbs[p->how]);
	if (p->network.packets < 100)
		text_add(t, "%.6g %% of ", p->network.packets);
	text_add(t, "DNS queries");
	for (uint32_t i = 0; i < p->names.n; i++)
		text_add(t, "%s%s", i ? "," : " for ", p->names.name[i]);
	if (p->how == HOW_DELAY)
		text_add(t, " by %" PRIu64 " ms", p->delay_ms);
	text_add(t, " in ");
	network_describe(&p->network, t);
}

extern const struct action action_dns_fault;
const struct action action_dns_fault = {
	.name = "dns-fault",
	.summary = "Lose, delay or refuse DNS queries",
	.description =
		"DNS queries for the names, and all below them, are dropped, delayed, or answered at once with NXDOMAIN or "
		"SERVFAIL; the server never sees those. Over TCP, a query that would be answered has its connection reset "
		"instead. Queries are looked for on the interface of the default route and, for the sake of a resolver on this "
		"host, on loopback: name the interfaces if yours leave otherwise. What was cached before stays known. "
		"Encrypted queries (DNS over TLS or HTTPS), fragments, and queries over TCP that are split over segments are "
		"not recognised and pass.",
	.hold = HOLD_KERNEL,
	.duration = DURATION_REQUIRED,
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.params_size = sizeof(struct dns_fault),
	.look = look,
	.plan = plan,
	.describe = describe,
	.composition =
		"composes: a query is dropped or answered by one of the faults that it matches; what none takes is delayed once",
};
