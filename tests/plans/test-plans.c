/* SPDX-License-Identifier: Apache-2.0 */
/* Golden plans. NAME.json holds an action (or alias), parameters and the facts of an imagined host;
 * NAME.plan what is expected of it: description, steps, what the journal says, or the refusal.
 * `--update` writes the .plan files anew, to be read before they are committed. */
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "actions/action.h"
#include "util/cleanup.h"

#define PLAN_TEXT_MAX 65536
#define PROCESSES_MAX 64

static bool update;

static char *read_whole(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char *text = calloc(1, PLAN_TEXT_MAX);

	assert_non_null(text);
	if (f)
		assert_true(fread(text, 1, PLAN_TEXT_MAX - 1, f) > 0);
	return text;
}

static const char *string_of(const cJSON *o, const char *name, const char *otherwise)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

	return cJSON_IsString(v) ? v->valuestring : otherwise;
}

static double number_of(const cJSON *o, const char *name, double otherwise)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

	return cJSON_IsNumber(v) ? v->valuedouble : otherwise;
}

static bool is_true(const cJSON *o, const char *name)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, name));
}

/* A typing error in a fact would make a test that tests nothing. */
static void check_known(const cJSON *o, const char *known)
{
	for (const cJSON *c = o ? o->child : NULL; c; c = c->next) {
		char word[64];

		(void)snprintf(word, sizeof(word), " %s ", c->string);
		if (!strstr(known, word))
			fail_msg("unknown: %s", c->string);
	}
}

static void read_cpus(const cJSON *facts, struct cpu_list *ret)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "cpus"))
		ret->cpu[ret->n++] = (uint16_t)item->valueint;
}

/* "places": network namespaces, or cgroups in one; none: faultd's own. */
static void read_places(const cJSON *facts, struct facts *ret)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "places"))
	{
		struct network_place *p = &ret->places[ret->n_places++];

		check_known(item, " netns cookie path shown cgroupId cgroupLevel ");
		p->netns.inode = (uint64_t)number_of(item, "netns", 0);
		p->netns.cookie = (uint64_t)number_of(item, "cookie", 0);
		p->cgroup_id = (uint64_t)number_of(item, "cgroupId", 0);
		p->cgroup_level = (uint32_t)number_of(item, "cgroupLevel", 0);
		assert_true(str_copy(p->netns.path, sizeof(p->netns.path),
				     string_of(item, "path", "")));
		assert_true(str_copy(p->shown, sizeof(p->shown), string_of(item, "shown", "")));
	}
}

static void read_interfaces(const cJSON *facts, struct facts *ret)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "interfaces"))
	{
		struct interface *i = &ret->interfaces[ret->n_interfaces];

		check_known(item, " name index place ");
		ret->place_of[ret->n_interfaces++] = (uint8_t)number_of(item, "place", 0);
		i->index = (uint32_t)number_of(item, "index", 0);
		i->up = true;
		assert_true(str_copy(i->name, sizeof(i->name), string_of(item, "name", "")));
	}
}

/* What goes with them: {"index", "type": "route" | "address" | "neighbour", "shown", "message"}, in
 * the order in which it is added again. */
static void read_kept(const cJSON *facts, struct facts *ret)
{
	static struct kept_list kept;
	const cJSON *item;

	kept = (struct kept_list){.read_boot_ns = 5000000000};
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "kept"))
	{
		struct kept *k = &kept.kept[kept.n++];
		const char *type = string_of(item, "type", "");

		check_known(item, " index place type shown message ");
		k->ifindex = (uint32_t)number_of(item, "index", 0);
		k->place = (uint8_t)number_of(item, "place", 0);
		k->type = str_eq(type, "route")     ? RTM_NEWROUTE
			  : str_eq(type, "address") ? RTM_NEWADDR
						    : RTM_NEWNEIGH;
		assert_true(str_copy(k->shown, sizeof(k->shown), string_of(item, "shown", "")));
		assert_true(
			str_copy(k->message, sizeof(k->message), string_of(item, "message", "")));
	}
	ret->kept = &kept;
}

/* IPv4 is held mapped, as everywhere. */
static void read_address(const cJSON *o, const char *name, uint8_t to[16])
{
	const char *text = string_of(o, name, "");

	if (inet_pton(AF_INET, text, to + 12) == 1)
		to[10] = to[11] = 0xff;
	else
		assert_int_equal(inet_pton(AF_INET6, text, to), 1);
}

static void read_flows(const cJSON *facts, struct facts *ret)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "flows"))
	{
		struct classify_flow *f = &ret->flows[ret->n_flows++];

		check_known(item, " local remote localPort remotePort ");
		read_address(item, "local", f->local);
		read_address(item, "remote", f->remote);
		f->local_port = (uint16_t)number_of(item, "localPort", 0);
		f->remote_port = (uint16_t)number_of(item, "remotePort", 0);
	}
}

static void read_subnets(const cJSON *facts, struct facts *ret)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "subnets"))
		assert_int_equal(cidr_list_add(&ret->subnets, item->valuestring), 0);
}

static void read_processes(const cJSON *facts, struct facts *ret)
{
	static struct process people[PROCESSES_MAX];
	const cJSON *item;

	ret->processes = (struct process_list){people, 0};
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "processes"))
	{
		struct process *p = &people[ret->processes.n++];

		check_known(item, " pid ppid uid start state kernel aimed name command ");
		assert_true(ret->processes.n <= PROCESSES_MAX);
		*p = (struct process){.pid = (pid_t)number_of(item, "pid", 0),
				      .ppid = (pid_t)number_of(item, "ppid", 1),
				      .uid = (uid_t)number_of(item, "uid", 0),
				      .start = (uint64_t)number_of(item, "start", 0),
				      .state = string_of(item, "state", "S")[0],
				      .kernel_thread = is_true(item, "kernel"),
				      .aimed = is_true(item, "aimed")};
		assert_true(str_copy(p->name, sizeof(p->name), string_of(item, "name", "")));
		assert_true(
			str_copy(p->command, sizeof(p->command), string_of(item, "command", "")));
	}
}

static void read_memory(const cJSON *facts, struct facts *ret)
{
	const cJSON *memory = cJSON_GetObjectItemCaseSensitive(facts, "memory");

	if (!memory)
		return;
	check_known(memory, " total available ");
	ret->memory = (struct memory_facts){(uint64_t)number_of(memory, "total", 0),
					    (uint64_t)number_of(memory, "available", 0)};
}

/* "mount", of the host or of an aim. */
static void read_mount(const cJSON *of, struct mount_facts *m)
{
	const cJSON *o = cJSON_GetObjectItemCaseSensitive(of, "mount");

	if (!o)
		return;
	check_known(o, " point type filesystem size used available block major minor ");
	assert_true(str_copy(m->point, sizeof(m->point), string_of(o, "point", "/")));
	assert_true(str_copy(m->type, sizeof(m->type), string_of(o, "type", "ext4")));
	m->filesystem = m->device = (uint64_t)number_of(o, "filesystem", 2049);
	m->size = (uint64_t)number_of(o, "size", 0);
	m->used = (uint64_t)number_of(o, "used", 0);
	m->available = (uint64_t)number_of(o, "available", 0);
	m->block = (uint32_t)number_of(o, "block", 4096);
	m->major = (uint32_t)number_of(o, "major", 0);
	m->minor = (uint32_t)number_of(o, "minor", 0);
}

/* What there may be, and is; not given: no limit. */
static void read_limits(const cJSON *aim, struct cgroup_limits *ret)
{
	ret->cpus = number_of(aim, "quota", 0);
	ret->memory = (uint64_t)number_of(aim, "memory", 0);
	ret->memory_used = (uint64_t)number_of(aim, "memoryUsed", 0);
	ret->pids = (uint64_t)number_of(aim, "pids", 0);
	ret->pids_used = (uint64_t)number_of(aim, "pidsUsed", 0);
	if (ret->memory == 0)
		ret->memory = CGROUP_NO_LIMIT;
	if (ret->pids == 0)
		ret->pids = CGROUP_NO_LIMIT;
}

/* "aims": the cgroups that a target was resolved to; none of them: to nothing, which is skipped. */
static void read_aims(const cJSON *facts, struct facts *ret)
{
	static struct aim aims[AIMS_MAX];
	const cJSON *array = cJSON_GetObjectItemCaseSensitive(facts, "aims"), *item;

	memset(aims, 0, sizeof(aims));
	ret->aims = aims;
	ret->aimed = array != NULL;
	ret->skipped = array && cJSON_GetArraySize(array) == 0;
	cJSON_ArrayForEach(item, array)
	{
		struct aim *a = &aims[ret->n_aims++];

		check_known(item, " path shown inner pid start cpus freezer quota memory memoryUsed"
				  " pids pidsUsed mount ");
		a->inner = is_true(item, "inner");
		a->first_pid = (pid_t)number_of(item, "pid", 0);
		a->first_start = (uint64_t)number_of(item, "start", 0);
		assert_true(str_copy(a->path, sizeof(a->path), string_of(item, "path", "")));
		assert_true(str_copy(a->shown, sizeof(a->shown), string_of(item, "shown", "")));
		assert_true(
			str_copy(a->freezer, sizeof(a->freezer), string_of(item, "freezer", "")));
		read_cpus(item, &a->cpus);
		read_limits(item, &a->limits);
		read_mount(item, &a->mount);
	}
}

/* "cgroups": the hierarchies, each {"mount", "v2", "controllers": ["cpu", …]}. */
static void read_cgroups(const cJSON *facts, struct cgroup_layout *ret)
{
	static const char *const names[] = {"cpu", "cpuset", "memory", "io", "pids", "freezer"};
	const cJSON *item, *controller;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "cgroups"))
	{
		struct cgroup_hierarchy *h = &ret->hierarchy[ret->n++];

		check_known(item, " mount v2 controllers ");
		h->v2 = is_true(item, "v2");
		assert_true(str_copy(h->mount, sizeof(h->mount), string_of(item, "mount", "")));
		cJSON_ArrayForEach(controller,
				   cJSON_GetObjectItemCaseSensitive(item, "controllers"))
		{
			for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
				if (str_eq(names[i], controller->valuestring))
					h->controllers |= 1U << i;
			}
		}
	}
}

static void read_units(const cJSON *facts, struct unit_facts *ret)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(facts, "units"))
	{
		check_known(item, " name trigger ");
		assert_true(ret->n < UNITS_MAX);
		assert_true(str_copy(ret->unit[ret->n].name, sizeof(ret->unit[0].name),
				     string_of(item, "name", "")));
		assert_true(str_copy(ret->unit[ret->n].trigger, sizeof(ret->unit[0].trigger),
				     string_of(item, "trigger", "")));
		ret->n++;
	}
}

/* Of a process: `open` are the numbers of its descriptors, and the limit is that of one process. */
static void read_exhaust(const cJSON *facts, struct facts *ret)
{
	const cJSON *o = cJSON_GetObjectItemCaseSensitive(facts, "exhaust"), *item;
	struct exhaust_facts *x = &ret->exhaust;

	check_known(o, " limit used inCgroup pid start name open ");
	if (!o)
		return;
	x->limit = (uint64_t)number_of(o, "limit", 0);
	x->in_cgroup = is_true(o, "inCgroup");
	x->pid = (pid_t)number_of(o, "pid", 0);
	x->start = (uint64_t)number_of(o, "start", 0);
	assert_true(str_copy(x->name, sizeof(x->name), string_of(o, "name", "")));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(o, "open"))
	{
		x->descriptors.open[item->valueint / 64] |= 1ULL << (item->valueint % 64);
		x->descriptors.used++;
	}
	x->descriptors.limit = x->descriptors.hard = x->limit;
	x->used = (uint64_t)number_of(o, "used", (double)x->descriptors.used);
}

static void read_so_far(const cJSON *facts, struct facts *ret, struct plan *so_far)
{
	const cJSON *array = cJSON_GetObjectItemCaseSensitive(facts, "soFar"), *item;

	cJSON_ArrayForEach(item, array)
	{
		struct step s;

		assert_int_equal(step_decode(item->valuestring, &s), 0);
		*plan_add(so_far, s.kind) = s;
	}
	ret->so_far = array ? so_far : NULL;
}

static int add_peer(const char *item, void *arg)
{
	return peer_list_add(arg, item);
}

static void read_name(const cJSON *item, struct resolved *r)
{
	struct named_peer *p = (struct named_peer *)resolved_find(r, item->string);
	const cJSON *prefix;

	if (cJSON_IsString(item))
		named_peer_no_answer(p, item->valuestring);
	if (!cJSON_IsArray(item))
		return;
	p->kind = is_set_name(item->string) ? NAMED_SET : NAMED_HOST;
	cJSON_ArrayForEach(prefix, item)
		assert_int_equal(cidr_list_add(&p->list, prefix->valuestring), 0);
}

/* "names": what each means, or why it means nothing; null: a set that is nowhere defined.
 * "spared": as in the policy. */
static void read_names(const cJSON *facts, struct facts *ret)
{
	const cJSON *names = cJSON_GetObjectItemCaseSensitive(facts, "names"), *item;
	struct peer_list list = {0}, spared = {0};
	struct resolved *r;

	if (!names)
		return;
	assert_int_equal(str_each_item(string_of(facts, "spared", ""), add_peer, &spared), 0);
	cJSON_ArrayForEach(item, names)
		assert_int_equal(name_list_add(&list.names, item->string), 0);
	r = resolved_new((const struct peer_list *[]){&list}, 1, &spared);
	assert_non_null(r);
	(void)str_copy(r->sets_path, sizeof(r->sets_path), "/etc/faultd/networks.json");
	cJSON_ArrayForEach(item, names) read_name(item, r);
	ret->resolved = r;
}

static void read_facts(const cJSON *facts, const struct policy *policy, struct plan *so_far,
		       struct facts *ret)
{
	const cJSON *own = cJSON_GetObjectItemCaseSensitive(facts, "ownPids");

	check_known(
		facts,
		" cpus interfaces flows processes soFar ownPids callerPid seed user tcx grade "
		" aims cgroups leaf memory mount units exhaust places kept names spared subnets ");
	*ret = (struct facts){.policy = policy,
			      .caller_pid = (pid_t)number_of(facts, "callerPid", 0),
			      .seed = (uint64_t)number_of(facts, "seed", 0),
			      .user = (uid_t)number_of(facts, "user", 0),
			      .grade = number_of(facts, "grade", 0),
			      .shaper_id = 0xabcd0010,
			      .tcx = is_true(facts, "tcx")};
	for (int i = 0; i < 2 && i < cJSON_GetArraySize(own); i++)
		ret->own_pids[i] = cJSON_GetArrayItem(own, i)->valueint;
	read_cpus(facts, &ret->cpus);
	read_places(facts, ret);
	read_interfaces(facts, ret);
	read_kept(facts, ret);
	read_flows(facts, ret);
	read_subnets(facts, ret);
	read_processes(facts, ret);
	read_aims(facts, ret);
	read_cgroups(facts, &ret->cgroups);
	ret->leaf = (uint32_t)number_of(facts, "leaf", 0);
	read_mount(facts, &ret->mount);
	read_memory(facts, ret);
	if (cJSON_GetObjectItemCaseSensitive(facts, "units"))
		read_units(facts, &ret->unit);
	read_exhaust(facts, ret); /* shares its place with the mount's */
	read_so_far(facts, ret, so_far);
	read_names(facts, ret);
}

static void print_flow(const struct classify_flow *f, struct text *t)
{
	char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];

	assert_non_null(inet_ntop(AF_INET6, f->local, local, sizeof(local)));
	assert_non_null(inet_ntop(AF_INET6, f->remote, remote, sizeof(remote)));
	text_add(t, " spares=[%s]:%u-[%s]:%u", local, f->local_port, remote, f->remote_port);
}

/* What the sentence rounds off or leaves out. */
static void print_rule(const struct step_rule *r, struct text *t)
{
	text_add(t, "  rule: threshold=%#x flags=%#x", r->rule.threshold, r->rule.flags);
	if (r->rule.flow_threshold != UINT32_MAX)
		text_add(t, " flowThreshold=%#x flowSeed=%#x", r->rule.flow_threshold,
			 r->rule.flow_seed);
	if (r->rule.flags & RULE_HAS_CGROUP)
		text_add(t, " cgroup=%llu level=%u", r->rule.cgroup_id, r->rule.cgroup_level);
	for (unsigned i = 0; i < r->rule.n_flows; i++)
		print_flow(&r->rule.flows[i], t);
	text_add(t, "\n");
}

static void print_step(size_t i, const struct step *s, struct text *t)
{
	char line[1024];
	struct text journal = TEXT(line);
	struct step back;

	text_add(t, "%zu %s, held by: %s\n  do: ", i, step_kind_name(s->kind),
		 hold_name(step_hold(s->kind)));
	step_describe(s, t);
	text_add(t, "\n  undo: ");
	step_describe_undo(s, t);
	step_encode(s, &journal);
	text_add(t, "\n  journal: %s\n", line);
	if (s->kind == STEP_RULE)
		print_rule(&s->rule, t);
	assert_int_equal(step_decode(line, &back), 0);
	assert_int_equal(back.kind, s->kind);
}

/* The same parameters and facts give the same plan. */
static void check_pure(const struct action *a, const void *params, const struct facts *facts,
		       const struct plan *first)
{
	struct plan second = {0};
	struct error e = {0};

	assert_int_equal(a->plan(params, facts, &second, &e), 0);
	assert_int_equal(second.n, first->n);
	if (first->n)
		assert_memory_equal(second.steps, first->steps, first->n * sizeof(*first->steps));
	plan_done(&second);
}

static void print_plan(const struct action *a, const void *params, const struct facts *facts,
		       struct text *t)
{
	struct plan plan = {0};
	struct error e = {0};

	text_add(t, "description: ");
	a->describe(params, t);
	text_add(t, "\n");
	if (a->plan(params, facts, &plan, &e) == 0)
		check_pure(a, params, facts, &plan);
	else
		text_add(t, "refused: %s: %s\n", error_code_name(e.code), e.message);
	for (size_t i = 0; i < plan.n; i++)
		print_step(i, &plan.steps[i], t);
	if (plan.n == 0)
		text_add(t, "no steps\n");
	for (size_t i = 0; i < plan.n_claims; i++)
		text_add(t, "claims: %s\n", plan.claims[i]);
	plan_done(&plan);
}

static void check_round_trip(const struct action *a, const void *params)
{
	cJSON *json = schema_print(a->rows, a->n_rows, params);
	void *again = malloc(a->params_size);
	struct error e;

	assert_non_null(again);
	assert_int_equal(
		schema_parse(a->rows, a->n_rows, json, "parameters", again, a->params_size, &e), 0);
	assert_memory_equal(params, again, a->params_size);
	cJSON_Delete(json);
	free(again);
}

static void run(const cJSON *json, struct text *t)
{
	const struct alias *alias;
	const struct action *a = action_find(string_of(json, "action", ""), &alias);
	struct policy policy;
	struct facts facts;
	struct plan so_far = {0};
	struct error e = {0};
	struct grade grade;
	uint64_t ms = 0;
	void *params;

	check_known(json, " action parameters facts ");
	assert_non_null(a);
	params = malloc(a->params_size);
	assert_non_null(params);
	assert_int_equal(policy_parse(NULL, 0, NULL, &policy, &e), 0);
	read_facts(cJSON_GetObjectItemCaseSensitive(json, "facts"), &policy, &so_far, &facts);
	if (action_parse(a, alias, cJSON_GetObjectItemCaseSensitive(json, "parameters"), params,
			 &ms, &e) < 0) {
		text_add(t, "refused: %s: %s\n", error_code_name(e.code), e.message);
	} else {
		if (ms)
			text_add(t, "duration: %llu ms\n", (unsigned long long)ms);
		check_round_trip(a, params);
		if (a->graded && facts.grade == 0)
			(void)a->graded(params, &grade, &facts.grade);
		print_plan(a, params, &facts, t);
	}
	plan_done(&so_far);
	policy_done(&policy);
	free((struct resolved *)facts.resolved);
	free(params);
}

static void compare(const char *path, const char *got)
{
	_cleanup_free_
	char *expected = NULL;

	if (update) {
		_cleanup_fclose_ FILE *f = fopen(path, "we");

		assert_non_null(f);
		assert_true(fputs(got, f) >= 0);
		return;
	}
	expected = read_whole(path);
	if (strcmp(expected, got) != 0)
		fail_msg("%s\n--- expected\n%s--- got\n%s---", path, expected, got);
}

static void test_plan(void **state)
{
	static char got[PLAN_TEXT_MAX];
	const char *name = *state;
	_cleanup_free_
	char *text = NULL;
	struct text t = TEXT(got);
	struct error e;
	char path[512];
	cJSON *json;

	(void)snprintf(path, sizeof(path), "%s/%s.json", PLANS_DIR, name);
	text = read_whole(path);
	json = json_read(text, strlen(text), &e);
	if (!json)
		fail_msg("%s: %s", path, e.message);
	run(json, &t);
	cJSON_Delete(json);
	assert_false(t.cut);
	(void)snprintf(path, sizeof(path), "%s/%s.plan", PLANS_DIR, name);
	compare(path, got);
}

static int is_case(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot && strcmp(dot, ".json") == 0;
}

/* Every action has its cases. */
static void test_all_actions(void **state)
{
	struct dirent **found = *state;

	for (size_t i = 0; i < n_actions; i++) {
		size_t length = strlen(actions[i]->name), cases = 0;

		for (struct dirent **d = found; *d; d++)
			cases += strncmp((*d)->d_name, actions[i]->name, length) == 0 &&
				 (*d)->d_name[length] == '-';
		if (cases < 3)
			fail_msg("%s has %zu golden plans", actions[i]->name, cases);
	}
}

int main(int argc, char **argv)
{
	struct dirent **found;
	int n = scandir(PLANS_DIR, &found, is_case, alphasort), failed;
	struct CMUnitTest *tests = calloc((size_t)(n < 0 ? 0 : n) + 1, sizeof(*tests));

	update = argc > 1 && strcmp(argv[1], "--update") == 0;
	if (n <= 0 || !tests)
		return 1;
	found = reallocarray(found, (size_t)n + 1, sizeof(found[0]));
	if (!found)
		return 1;
	found[n] = NULL;
	for (int i = 0; i < n; i++) {
		*strrchr(found[i]->d_name, '.') = '\0';
		tests[i] = (struct CMUnitTest){.name = found[i]->d_name,
					       .test_func = test_plan,
					       .initial_state = found[i]->d_name};
	}
	tests[n] = (struct CMUnitTest){
		.name = "all actions", .test_func = test_all_actions, .initial_state = found};
	failed = _cmocka_run_group_tests("plans", tests, (size_t)n + 1, NULL, NULL);
	for (int i = 0; i < n; i++)
		free(found[i]);
	free(found);
	free(tests);
	return failed;
}
