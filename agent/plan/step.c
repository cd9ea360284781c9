/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/step.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>

#include "util/proc.h"

/* The journalled fields of a kind. `size` is 0 for a uint64_t, else that of a text. An optional one
 * is not written when it is 0 or empty. */
struct step_field {
	const char *name;
	size_t offset;
	size_t size;
	bool optional;
};

#define NAMED(name, member)                                   \
	{                                                     \
		name, offsetof(struct step, member), 0, false \
	}
#define TEXT_FIELD(name, member)                                                               \
	{                                                                                      \
		name, offsetof(struct step, member), sizeof(((struct step *)0)->member), false \
	}
/* Of all kinds that begin with a hook. */
#define NETNS_FIELDS                                                                       \
	{"netns", offsetof(struct step, hook.netns.inode), 0, true},                       \
		{"netns_cookie", offsetof(struct step, hook.netns.cookie), 0, true},       \
	{                                                                                  \
		"netns_path", offsetof(struct step, hook.netns.path), NETNS_PATH_MAX, true \
	}

static const struct step_field child_fields[] = {
	TEXT_FIELD("load", child.load), NAMED("pid", child.pid), NAMED("start", child.start), {0}};
static const struct step_field hook_fields[] = {TEXT_FIELD("dev", hook.ifname),
						NAMED("ifindex", hook.ifindex),
						NAMED("direction", hook.direction),
						NAMED("ours", hook.ours),
						NETNS_FIELDS,
						{0}};
static const struct step_field shaper_fields[] = {TEXT_FIELD("dev", hook.ifname),
						  NAMED("ifindex", hook.ifindex),
						  NAMED("direction", hook.direction),
						  NAMED("id", shaper.id),
						  NETNS_FIELDS,
						  {0}};
static const struct step_field process_fields[] = {NAMED("pid", process.pid),
						   NAMED("start", process.start),
						   TEXT_FIELD("name", process.name),
						   NAMED("signal", process.signal),
						   NAMED("stopped_before", process.was_stopped),
						   {0}};

static const struct step_field attr_fields[] = {
	TEXT_FIELD("path", attr.path), TEXT_FIELD("key", attr.key),
	TEXT_FIELD("want", attr.want), TEXT_FIELD("want_before", attr.want_before),
	TEXT_FIELD("was", attr.was),   {0}};
static const struct step_field cgroup_fields[] = {
	TEXT_FIELD("path", cgroup.path), NAMED("made", cgroup.made), {0}};
static const struct step_field unit_fields[] = {
	TEXT_FIELD("name", unit.name), NAMED("was_active", unit.was_active), {0}};
static const struct step_field freeze_fields[] = {TEXT_FIELD("path", freeze.path),
						  NAMED("device", freeze.device),
						  NAMED("pid", freeze.pid),
						  NAMED("start", freeze.start),
						  {0}};
static const struct step_field clock_fields[] = {
	NAMED("offset_ns", clock.offset_ns),       NAMED("before_ns", clock.before_ns),
	NAMED("base_ns", clock.base_ns),           NAMED("status", clock.status),
	NAMED("max_error_us", clock.max_error_us), NAMED("error_us", clock.error_us),
	NAMED("boot_ns", clock.boot_ns),           {0}};
static const struct step_field rlimit_fields[] = {NAMED("pid", rlimit.pid),
						  NAMED("start", rlimit.start),
						  TEXT_FIELD("name", rlimit.name),
						  NAMED("resource", rlimit.resource),
						  NAMED("since", rlimit.since),
						  NAMED("want", rlimit.want),
						  NAMED("want_before", rlimit.want_before),
						  NAMED("lowest", rlimit.lowest),
						  NAMED("highest", rlimit.highest),
						  NAMED("was", rlimit.was),
						  {0}};
static const struct step_field power_fields[] = {
	NAMED("how", power.how), NAMED("force", power.force), {0}};

static const struct step_field keep_fields[] = {TEXT_FIELD("dev", hook.ifname),
						NAMED("ifindex", hook.ifindex),
						TEXT_FIELD("shown", keep.shown),
						NAMED("type", keep.type),
						NAMED("read_boot_ns", keep.read_boot_ns),
						TEXT_FIELD("message", keep.message),
						NETNS_FIELDS,
						{0}};

static void describe_child(const struct step *s, struct text *t)
{
	text_add(t, "run faultd-load %s", s->child.load);
}

static void undo_child(const struct step *s, struct text *t)
{
	text_add(t, "kill it");
}

static const char *direction_name(const struct step_hook *h)
{
	return h->direction == CLASSIFY_INGRESS ? "ingress" : "egress";
}

static void describe_link(const struct step *s, struct text *t)
{
	text_add(t, "attach the classifier to %s %s by a TCX link", s->hook.ifname,
		 direction_name(&s->hook));
}

static void undo_link(const struct step *s, struct text *t)
{
	text_add(t, "detach it");
}

static void describe_qdisc(const struct step *s, struct text *t)
{
	text_add(t, "add the clsact qdisc to %s unless it has one", s->hook.ifname);
}

static void undo_qdisc(const struct step *s, struct text *t)
{
	text_add(t, "delete it if faultd added it and it holds no filter");
}

static void describe_filter(const struct step *s, struct text *t)
{
	text_add(t, "attach the classifier to %s %s as a clsact filter", s->hook.ifname,
		 direction_name(&s->hook));
}

static void undo_filter(const struct step *s, struct text *t)
{
	text_add(t, "delete that filter");
}

static void add_ms(const char *what, uint64_t ns, struct text *t)
{
	text_add(t, "%s%.6g ms", what, (double)ns / 1e6);
}

static void add_chance(const char *what, uint32_t chance, struct text *t)
{
	if (chance)
		text_add(t, "%s %.6g %%", what, (double)chance * 100.0 / UINT32_MAX);
}

static void describe_loss(const struct netem *n, struct text *t)
{
	switch (n->loss_model) {
	case LOSS_STATE:
		add_chance(", loss by state: p13", n->p13, t);
		add_chance(" p31", n->p31, t);
		add_chance(" p32", n->p32, t);
		add_chance(" p23", n->p23, t);
		add_chance(" p14", n->p14, t);
		break;
	case LOSS_GILBERT_ELLIOT:
		add_chance(", loss by Gilbert-Elliott: p", n->ge_p, t);
		add_chance(" r", n->ge_r, t);
		add_chance(" 1-h", n->ge_h, t);
		add_chance(" 1-k", n->ge_k1, t);
		break;
	default:
		add_chance(", loss", n->loss, t);
		add_chance(" correlation", n->loss_correlation, t);
	}
}

static void describe_netem(const struct netem *n, struct text *t)
{
	static const char *const shapes[_DISTRIBUTION_MAX] = {"uniform", "normal", "pareto",
							      "paretonormal"};

	if (n->delay_ns || n->jitter_ns)
		add_ms(", delay ", n->delay_ns, t);
	if (n->jitter_ns) {
		add_ms(" jitter ", n->jitter_ns, t);
		text_add(t, " %s", shapes[n->distribution % _DISTRIBUTION_MAX]);
	}
	add_chance(" correlation", n->delay_correlation, t);
	describe_loss(n, t);
	add_chance(", duplicate", n->duplicate, t);
	add_chance(" correlation", n->duplicate_correlation, t);
	add_chance(", corrupt", n->corrupt, t);
	add_chance(" correlation", n->corrupt_correlation, t);
	add_chance(", reorder", n->reorder, t);
	add_chance(" correlation", n->reorder_correlation, t);
	if (n->gap)
		text_add(t, " gap %u", n->gap);
	if (n->rate_bytes) {
		text_add(t, ", rate ");
		rate_print((double)n->rate_bytes * 8, t);
	}
	if (n->burst_bytes) {
		text_add(t, " burst ");
		bytes_print(n->burst_bytes, t);
	}
}

static void describe_shaper(const struct step *s, struct text *t)
{
	text_add(t, "make faultd-%08x for %s %s", (unsigned)s->shaper.id, s->hook.ifname,
		 direction_name(&s->hook));
	describe_netem(&s->shaper.netem, t);
}

static void undo_shaper(const struct step *s, struct text *t)
{
	text_add(t, "delete its filter, then the device");
}

static void describe_ports(const char *what, const struct classify_ports *p, unsigned n,
			   struct text *t)
{
	for (unsigned i = 0; i < n; i++) {
		struct port_range range = {p[i].first, p[i].last};

		text_add(t, "%s", i ? "," : what);
		port_range_print(&range, t);
	}
}

static void describe_cidrs(const char *what, const struct cidr_list *list, struct text *t)
{
	for (unsigned i = 0; i < list->n; i++) {
		text_add(t, "%s", i ? "," : what);
		cidr_print(&list->cidr[i], t);
	}
}

/* Labels with dots between them, and after the root's. */
static void describe_name(const uint8_t *wire, struct text *t)
{
	if (!*wire)
		text_add(t, ".");
	for (size_t at = 0; wire[at]; at += 1u + wire[at])
		text_add(t, "%s%.*s", at ? "." : "", wire[at], (const char *)wire + at + 1);
}

static void describe_names(const struct classify_names *names, struct text *t)
{
	for (uint32_t i = 0; i < names->n; i++) {
		text_add(t, "%s", i ? "," : ", queries for ");
		describe_name(names->name[i].wire, t);
	}
}

static void describe_protocol(uint8_t protocol, struct text *t)
{
	const char *name = protocol == IPPROTO_TCP    ? "tcp"
			   : protocol == IPPROTO_UDP  ? "udp"
			   : protocol == IPPROTO_ICMP ? "icmp"
			   : protocol == IPPROTO_SCTP ? "sctp"
						      : NULL;

	if (name)
		text_add(t, ", %s", name);
	else if (protocol)
		text_add(t, ", protocol %u", protocol);
}

/* Whose packets it is about, what the names are aside. */
static void describe_match(const struct step_rule *s, struct text *t)
{
	const struct classify_rule *r = &s->rule;

	if (r->flow_threshold != UINT32_MAX)
		text_add(t, ", of %.6g %% of flows",
			 (double)r->flow_threshold * 100.0 / UINT32_MAX);
	describe_ports(", to ports ", r->dst_ports, r->n_dst_ports, t);
	describe_ports(", from ports ", r->src_ports, r->n_src_ports, t);
	describe_names(&s->names, t);
	describe_cidrs(", peers ", &s->include, t);
	describe_cidrs(", never peers ", &s->exclude, t);
	if (r->flags & RULE_HAS_USER)
		text_add(t, ", of user %u", r->uid);
	if (r->flags & RULE_HAS_CGROUP)
		text_add(t, ", of sockets in %s", s->hook.place);
	if (r->n_flows)
		text_add(t, ", sparing %u connection%s of the caller", r->n_flows,
			 r->n_flows > 1 ? "s" : "");
}

static void describe_rule(const struct step *s, struct text *t)
{
	static const char *const verbs[] = {
		[VERDICT_DROP] = "drop",
		[VERDICT_SHAPE] = "shape",
		[VERDICT_RESET] = "reset",
		[VERDICT_ANSWER] = "answer",
	};
	const struct classify_rule *r = &s->rule.rule;

	text_add(t, "%s %.6g %% of %s %s packets", verbs[r->verdict % ARRAY_SIZE(verbs)],
		 (double)r->threshold * 100.0 / UINT32_MAX, s->rule.hook.ifname,
		 direction_name(&s->rule.hook));
	if (r->verdict == VERDICT_SHAPE)
		text_add(t, " with mark %#x", r->mark);
	if (r->verdict == VERDICT_ANSWER)
		text_add(t, " with code %u%s", r->rcode,
			 r->rcode == 3   ? " (NXDOMAIN)"
			 : r->rcode == 2 ? " (SERVFAIL)"
					 : "");
	describe_protocol(r->protocol, t);
	if (r->flags & (RULE_NEW | RULE_ESTABLISHED))
		text_add(t, ", %s connections", r->flags & RULE_NEW ? "opening" : "of established");
	describe_match(&s->rule, t);
	if (r->flags & RULE_VISIBLE)
		text_add(t, ", visibly");
}

static void describe_cut(const struct step *s, struct text *t)
{
	const struct classify_rule *r = &s->cut.rule.rule;

	text_add(t, "end ");
	if (r->threshold != UINT32_MAX)
		text_add(t, "%.6g %% of ", (double)r->threshold * 100.0 / UINT32_MAX);
	text_add(t, "the TCP connections of %s packets of %s", direction_name(&s->hook),
		 s->hook.ifname);
	describe_match(&s->cut.rule, t);
}

static void undo_cut(const struct step *s, struct text *t)
{
	text_add(t, "none: who was cut connects anew");
}

static void undo_rule(const struct step *s, struct text *t)
{
	text_add(t, "clear the rule");
}

static void describe_signal(const struct step *s, struct text *t)
{
	text_add(t, "send %s to process %" PRIu64 " (%s)", signal_name((int)s->process.signal),
		 s->process.pid, s->process.name);
}

static void undo_signal(const struct step *s, struct text *t)
{
	text_add(t, "send SIGCONT if it is still that process and still stopped");
}

static void undo_kill(const struct step *s, struct text *t)
{
	text_add(t, "none: irreversible");
}

static void describe_attr(const struct step *s, struct text *t)
{
	text_add(t, "write %s%s%s to %s", s->attr.key, s->attr.key[0] ? " " : "", s->attr.want,
		 s->attr.path);
}

static void undo_attr(const struct step *s, struct text *t)
{
	if (s->attr.was[0])
		text_add(t, "write %s back if it still is that value", s->attr.was);
	else
		text_add(t, "write what was there before, if it still is that value");
}

static void describe_cgroup(const struct step *s, struct text *t)
{
	text_add(t, "make the cgroup %s for the load", s->cgroup.path);
}

static void undo_cgroup(const struct step *s, struct text *t)
{
	text_add(t, "kill what is in it and remove it");
}

static void describe_unit(const struct step *s, struct text *t)
{
	text_add(t, "stop the unit %s", s->unit.name);
	if (s->unit.trigger[0])
		text_add(t, ", which %s can start again meanwhile", s->unit.trigger);
}

static void undo_unit(const struct step *s, struct text *t)
{
	text_add(t, "start it if it had been running");
}

static void describe_freeze(const struct step *s, struct text *t)
{
	text_add(t, "freeze the file system at %s", s->freeze.path);
}

static void undo_freeze(const struct step *s, struct text *t)
{
	text_add(t, "thaw it");
}

static void describe_clock(const struct step *s, struct text *t)
{
	text_add(t, "set the wall clock %+.6g s off", (double)(int64_t)s->clock.offset_ns / 1e9);
}

static void undo_clock(const struct step *s, struct text *t)
{
	text_add(t, "set it to where it would be, by the boot clock");
}

static void describe_rlimit(const struct step *s, struct text *t)
{
	text_add(t, "lower the limit of process %" PRIu64 " (%s) to %" PRIu64 " %s", s->rlimit.pid,
		 s->rlimit.name, s->rlimit.want,
		 s->rlimit.resource == RLIMIT_NOFILE ? "descriptors" : "processes");
}

static void undo_rlimit(const struct step *s, struct text *t)
{
	text_add(t, "raise it to what it was if it still is that value, also of what it started "
		    "meanwhile");
}

static void describe_power(const struct step *s, struct text *t)
{
	static const char *const words[_POWER_MAX] = {"reboot the host", "power the host off",
						      "crash the kernel"};

	text_add(t, "%s%s", words[s->power.how % _POWER_MAX],
		 s->power.force ? " at once, without stopping services" : "");
}

static void describe_keep(const struct step *s, struct text *t)
{
	text_add(t, "remember the %s of %s, which goes with it", s->keep.shown, s->hook.ifname);
}

static void undo_keep(const struct step *s, struct text *t)
{
	text_add(t, "add it again if it is missing");
}

static void describe_down(const struct step *s, struct text *t)
{
	text_add(t, "take %s down", s->hook.ifname);
}

static void undo_down(const struct step *s, struct text *t)
{
	text_add(t, "take it up again if it is still down");
}

static const struct {
	const char *name;
	enum hold hold;
	const struct step_field *fields;
	void (*describe)(const struct step *s, struct text *t);
	void (*describe_undo)(const struct step *s, struct text *t);
} kinds[_STEP_KIND_MAX] = {
	[STEP_CHILD] = {"child", HOLD_CHILD, child_fields, describe_child, undo_child},
	[STEP_BPF_LINK] = {"bpf_link", HOLD_KERNEL, hook_fields, describe_link, undo_link},
	[STEP_QDISC] = {"qdisc", HOLD_JOURNAL, hook_fields, describe_qdisc, undo_qdisc},
	[STEP_FILTER] = {"filter", HOLD_JOURNAL, hook_fields, describe_filter, undo_filter},
	[STEP_SHAPER] = {"shaper", HOLD_JOURNAL, shaper_fields, describe_shaper, undo_shaper},
	[STEP_RULE] = {"rule", HOLD_KERNEL, hook_fields, describe_rule, undo_rule},
	[STEP_SIGNAL] = {"signal", HOLD_JOURNAL, process_fields, describe_signal, undo_signal},
	[STEP_KILL] = {"kill", HOLD_NONE, process_fields, describe_signal, undo_kill},
	[STEP_ATTR] = {"attr", HOLD_JOURNAL, attr_fields, describe_attr, undo_attr},
	[STEP_CGROUP] = {"cgroup", HOLD_JOURNAL, cgroup_fields, describe_cgroup, undo_cgroup},
	[STEP_UNIT] = {"unit", HOLD_JOURNAL, unit_fields, describe_unit, undo_unit},
	[STEP_FREEZE] = {"freeze", HOLD_JOURNAL, freeze_fields, describe_freeze, undo_freeze},
	[STEP_CLOCK] = {"clock", HOLD_JOURNAL, clock_fields, describe_clock, undo_clock},
	[STEP_RLIMIT] = {"rlimit", HOLD_JOURNAL, rlimit_fields, describe_rlimit, undo_rlimit},
	[STEP_POWER] = {"power", HOLD_NONE, power_fields, describe_power, undo_kill},
	[STEP_CUT] = {"cut", HOLD_NONE, hook_fields, describe_cut, undo_cut},
	[STEP_KEEP] = {"keep", HOLD_JOURNAL, keep_fields, describe_keep, undo_keep},
	[STEP_LINK] = {"link", HOLD_JOURNAL, hook_fields, describe_down, undo_down},
};

const char *step_kind_name(enum step_kind kind)
{
	return kinds[kind].name;
}

enum hold step_hold(enum step_kind kind)
{
	return kinds[kind].hold;
}

const char *step_state_name(enum step_state state)
{
	static const char *const names[_STEP_STATE_MAX] = {"planned", "applying", "applied",
							   "undone", "failed"};
	return names[state];
}

const char *hold_name(enum hold hold)
{
	static const char *const names[_HOLD_MAX] = {"kernel", "child", "journal", "none"};

	return names[hold];
}

const struct step_hook *step_hook_of(const struct step *s)
{
	switch (s->kind) {
	case STEP_BPF_LINK:
	case STEP_QDISC:
	case STEP_FILTER:
	case STEP_SHAPER:
	case STEP_RULE:
	case STEP_CUT:
	case STEP_KEEP:
	case STEP_LINK:
		return &s->hook;
	default:
		return NULL;
	}
}

void step_describe(const struct step *s, struct text *t)
{
	const struct step_hook *h = step_hook_of(s);

	kinds[s->kind].describe(s, t);
	if (h && h->netns.inode)
		text_add(t, ", in %s", h->place[0] ? h->place : h->netns.path);
}

void step_describe_undo(const struct step *s, struct text *t)
{
	kinds[s->kind].describe_undo(s, t);
}

static void encode_text(const char *from, struct text *t)
{
	for (const unsigned char *p = (const unsigned char *)from; *p; p++)
		text_add(t, isgraph(*p) && *p != '%' ? "%c" : "%%%02x", *p);
}

void step_encode(const struct step *s, struct text *t)
{
	text_add(t, "kind=%s", kinds[s->kind].name);
	for (const struct step_field *f = kinds[s->kind].fields; f->name; f++) {
		const char *at = (const char *)s + f->offset;
		uint64_t v = 0;

		if (!f->size)
			memcpy(&v, at, sizeof(v));
		if (f->optional && (f->size ? !at[0] : !v))
			continue;
		text_add(t, " %s=", f->name);
		if (f->size)
			encode_text(at, t);
		else
			text_add(t, "%" PRIu64, v);
	}
}

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode_text(const char *from, size_t n, char *to, size_t size)
{
	size_t o = 0;

	for (size_t i = 0; i < n; i++) {
		char c = from[i];

		if (c == '%') {
			if (i + 2 >= n || hex(from[i + 1]) < 0 || hex(from[i + 2]) < 0)
				return -EBADMSG;
			c = (char)(hex(from[i + 1]) * 16 + hex(from[i + 2]));
			i += 2;
		}
		if (o + 1 >= size)
			return -EBADMSG;
		to[o++] = c;
	}
	to[o] = '\0';
	return 0;
}

/* Finds " name=" or a leading "name=", and the length of its value. */
static const char *find_value(const char *line, const char *name, size_t *ret_length)
{
	size_t n = strlen(name);

	for (const char *p = line; *p;) {
		size_t word = strcspn(p, " ");

		if (word > n && p[n] == '=' && memcmp(p, name, n) == 0) {
			*ret_length = word - n - 1;
			return p + n + 1;
		}
		p += word;
		p += strspn(p, " ");
	}
	return NULL;
}

static int decode_field(const char *line, const struct step_field *f, struct step *ret)
{
	char *at = (char *)ret + f->offset;
	size_t n;
	const char *value = find_value(line, f->name, &n);
	char digits[24];
	uint64_t v;

	if (!value)
		return f->optional ? 0 : -EBADMSG;
	if (f->size)
		return decode_text(value, n, at, f->size);
	if (n >= sizeof(digits))
		return -EBADMSG;
	memcpy(digits, value, n);
	digits[n] = '\0';
	if (str_to_u64(digits, &v) < 0)
		return -EBADMSG;
	memcpy(at, &v, sizeof(v));
	return 0;
}

int step_decode(const char *line, struct step *ret)
{
	char name[16];
	size_t n;
	const char *value = find_value(line, "kind", &n);
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->kind = _STEP_KIND_MAX;
	if (!value || decode_text(value, n, name, sizeof(name)) < 0)
		return -EBADMSG;
	for (unsigned k = 0; k < _STEP_KIND_MAX; k++) {
		if (str_eq(kinds[k].name, name))
			ret->kind = (enum step_kind)k;
	}
	if (ret->kind == _STEP_KIND_MAX)
		return -EBADMSG;
	for (const struct step_field *f = kinds[ret->kind].fields; f->name; f++) {
		r = decode_field(line, f, ret);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool same_hook(const struct step_hook *a, const struct step_hook *b)
{
	return netns_same(&a->netns, &b->netns) && a->ifindex == b->ifindex &&
	       a->direction == b->direction;
}

bool step_same(const struct step *a, const struct step *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case STEP_KILL: /* a signal may be sent again */
	case STEP_POWER:
	case _STEP_KIND_MAX:
		return false;
	case STEP_SIGNAL:
		return a->process.pid == b->process.pid && a->process.start == b->process.start;
	case STEP_CHILD:
		return str_eq(a->child.load, b->child.load);
	case STEP_ATTR:
		return str_eq(a->attr.path, b->attr.path) && str_eq(a->attr.key, b->attr.key);
	case STEP_CGROUP:
		return str_eq(a->cgroup.path, b->cgroup.path);
	case STEP_UNIT:
		return str_eq(a->unit.name, b->unit.name);
	case STEP_FREEZE:
		return a->freeze.device == b->freeze.device;
	case STEP_CLOCK:
		return true;
	case STEP_RLIMIT:
		return a->rlimit.pid == b->rlimit.pid && a->rlimit.start == b->rlimit.start &&
		       a->rlimit.resource == b->rlimit.resource;
	case STEP_KEEP:
		return same_hook(&a->hook, &b->hook) && str_eq(a->keep.message, b->keep.message);
	case STEP_LINK:
	case STEP_BPF_LINK:
	case STEP_QDISC:
	case STEP_FILTER:
	case STEP_SHAPER:
		break;
	case STEP_CUT:
	case STEP_RULE:
		return same_hook(&a->hook, &b->hook) &&
		       a->rule.rule.cgroup_id == b->rule.rule.cgroup_id;
	}
	return same_hook(&a->hook, &b->hook);
}

bool step_load_add(struct step *s, const char *argument)
{
	struct text t = {.data = s->child.load,
			 .size = sizeof(s->child.load),
			 .length = strlen(s->child.load)};

	if (t.length)
		text_add(&t, " ");
	encode_text(argument, &t);
	return !t.cut;
}

void step_load_decode(char *argument)
{
	if (decode_text(argument, strlen(argument), argument, strlen(argument) + 1) < 0) {
		/* not ours: as it stands */
	}
}
