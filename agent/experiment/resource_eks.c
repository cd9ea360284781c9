/* SPDX-License-Identifier: Apache-2.0 */
/* aws:eks:pod: the pods of Kubernetes that run on this host. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "experiment/container_files.h"
#include "experiment/resource_types.h"
#include "util/cleanup.h"

static const char *refuse_selector(const char *value)
{
	return str_eq(value, "podName") || str_eq(value, "deploymentName") ||
			       str_eq(value, "labelSelector")
		       ? NULL
		       : "allowed: podName, deploymentName, labelSelector";
}

static const struct resource_parameter rows[] = {
	{.name = "clusterIdentifier",
	 .description = "The cluster's name or ARN, for the record: a node is in one cluster only",
	 .required = true},
	{.name = "namespace", .description = "The pods' namespace", .required = true},
	{.name = "selectorType",
	 .description =
		 "podName, deploymentName, or, where the runtime keeps labels in files, labelSelector",
	 .required = true,
	 .refuse = refuse_selector},
	{.name = "selectorValue",
	 .description =
		 "The pod's name, the deployment's name, or labels such as app=web,tier!=test",
	 .required = true},
	{.name = "targetContainerName",
	 .description = "Which of a pod's containers; needed when it has several"},
	{.name = "availabilityZoneIdentifier",
	 .description = "Only if this host is in this availability zone (us-east-1a or use1-az1)"},
	{0},
};

#define LABELS_MAX 16
#define DEPLOYMENT_MAX                                                             \
	47 /* "-", a hash of at most 10, "-": pods' names are cut at 58 (names.go) \
	    */
#define CONTAINERS_NAME 160

/* A pod that runs here. */
struct pod {
	const struct owned_cgroup *cgroup;
	char name[256], namespace[64];
	char container[CONTAINERS_NAME]; /* the name of the one aimed at */
	char container_id[65];
};

struct search {
	const struct identity *id;
	const cJSON *parameters;
	struct owned_list cgroups;
	struct kubelet_files kubelet;
	struct resource_list *found;
	size_t seen, named; /* pods, and those whose names are known */
	struct error *e;
};

static void search_done(struct search *s)
{
	owned_list_done(&s->cgroups);
	kubelet_files_done(&s->kubelet);
}

/* Which cluster */

static const char *last_part(const char *s)
{
	const char *slash = strrchr(s, '/');

	return slash ? slash + 1 : s;
}

/* The kubelet's credentials are asked for by the cluster's name: "aws eks get-token --cluster-name
 * NAME" or "aws-iam-authenticator token -i NAME", one word per line. */
static void read_kubeconfig(const struct identity *id, char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = resource_open(id, "/var/lib/kubelet/kubeconfig");
	bool next = false;
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		char *word = line + strspn(line, " \t");

		if (str_starts(word, "- "))
			word += 2;
		word += strspn(word, " \"'");
		word[strcspn(word, "\"' \t\r\n")] = '\0';
		if (next) {
			(void)str_copy(ret, size, word);
			return;
		}
		next = str_eq(word, "--cluster-name") || str_eq(word, "-i");
	}
}

/* "kubernetes.io/cluster/NAME" is what EKS and kops tag their nodes with. */
static void find_cluster(const struct identity *id, char *ret, size_t size)
{
	static const char *const tags[] = {"eks:cluster-name", "aws:eks:cluster-name"};
	static const char owner[] = "kubernetes.io/cluster/";
	const cJSON *tag;

	ret[0] = '\0';
	cJSON_ArrayForEach(tag, id->tags)
	{
		for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
			if (str_eq(tag->string, tags[i]) && cJSON_IsString(tag))
				(void)str_copy(ret, size, tag->valuestring);
		}
		if (!ret[0] && str_starts(tag->string, owner))
			(void)str_copy(ret, size, tag->string + strlen(owner));
	}
	if (!ret[0])
		read_kubeconfig(id, ret, size);
}

/* Returns 1: it is this one, 0: it is another, or a negative errno and the error. */
static int is_cluster(const struct search *s)
{
	const char *wanted = resource_parameter(s->parameters, "clusterIdentifier");
	char cluster[256];

	find_cluster(s->id, cluster, sizeof(cluster));
	if (!cluster[0])
		return error_set(
			s->e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
			"parameters.clusterIdentifier: which cluster this node is in is not "
			"known: neither the kubelet's kubeconfig nor a tag says it; give this "
			"host the tag eks:cluster-name in the configuration");
	return str_eq(last_part(wanted), cluster);
}

/* Which pods */

/* The alphabet of generated names, without what could spell words (k8s.io/apimachinery
 * util/rand). */
static bool is_generated(const char *s, size_t n)
{
	return n > 0 && strspn(s, "bcdfghjklmnpqrstvwxz2456789") >= n;
}

/* "web" has made "web-7d9f8b6c5d-x2x4z": a ReplicaSet's hash, then five of the pod's own. */
static bool is_of_deployment(const char *pod, const char *deployment)
{
	size_t n = strlen(deployment), hash;

	if (!str_starts(pod, deployment) || pod[n] != '-')
		return false;
	pod += n + 1;
	hash = strcspn(pod, "-");
	return hash <= 10 && is_generated(pod, hash) && pod[hash] == '-' &&
	       strlen(pod + hash + 1) == 5 && is_generated(pod + hash + 1, 5);
}

/* One of "app=web", "app==web", "tier!=test", "app", "!app". */
static bool label_fits(const cJSON *labels, const char *requirement)
{
	const char *sign = strpbrk(requirement, "!=");
	bool negative = sign && sign[0] == '!';
	char key[256];
	const char *value;

	if (sign == requirement) { /* "!app" */
		return !cJSON_GetObjectItemCaseSensitive(labels, requirement + 1);
	}
	(void)snprintf(key, sizeof(key), "%.*s",
		       (int)(sign ? (size_t)(sign - requirement) : strlen(requirement)),
		       requirement);
	value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(labels, key));
	if (!sign)
		return value;
	sign += strspn(sign, "!=");
	return negative ? !value || !str_eq(value, sign) : value && str_eq(value, sign);
}

/* Sets of values ("tier in (a, b)") are not understood. */
static int check_requirement(const char *requirement, void *arg)
{
	const char *sign = strpbrk(requirement, "!=");

	return requirement[0] == '=' || strpbrk(requirement, " ()") ||
			       (sign && sign != requirement && sign[0] == '!' && sign[1] != '=')
		       ? -EINVAL
		       : 0;
}

struct selector {
	const cJSON *labels;
	bool fits;
};

static int take_requirement(const char *requirement, void *arg)
{
	struct selector *s = arg;

	s->fits = s->fits && label_fits(s->labels, requirement);
	return 0;
}

/* Returns 1, 0, or a negative errno and the error: only a sandbox has its pod's labels. */
static int fits_labels(const struct search *s, const struct pod *p, const char *selector)
{
	const struct owned_cgroup *end = s->cgroups.cgroup + s->cgroups.n;

	for (const struct owned_cgroup *o = p->cgroup + 1; o < end; o++) {
		__attribute__((cleanup(container_record_done))) struct container_record c;
		struct selector its = {.fits = true};

		if (!resource_is_inside(o->path, p->cgroup->path))
			break;
		if (container_record_read(s->id, o->name, &c) == -ENOMEM)
			return resource_no_memory(s->e);
		its.labels = c.labels;
		if (!c.labels_of_pod)
			continue;
		(void)str_each_item(selector, take_requirement, &its);
		return its.fits;
	}
	return error_set(
		s->e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
		"parameters.selectorType: the labels of pods cannot be read here: their runtime "
		"(containerd has them in its database only) keeps none in files; use podName or "
		"deploymentName");
}

static int fits_selector(const struct search *s, const struct pod *p)
{
	const char *type = resource_parameter(s->parameters, "selectorType");
	const char *value = resource_parameter(s->parameters, "selectorValue");

	if (str_eq(type, "podName"))
		return str_eq(p->name, value);
	if (str_eq(type, "deploymentName"))
		return is_of_deployment(p->name, value);
	return fits_labels(s, p, value);
}

/* The kubelet's directory, else what the runtime says of any of its containers. */
static int name_pod(const struct search *s, struct pod *p)
{
	const struct kubelet_pod *known = kubelet_pod_find(&s->kubelet, p->cgroup->name);
	const struct owned_cgroup *end = s->cgroups.cgroup + s->cgroups.n;

	if (known) {
		(void)str_copy(p->name, sizeof(p->name), known->name);
		(void)str_copy(p->namespace, sizeof(p->namespace), known->namespace);
		return 0;
	}
	for (const struct owned_cgroup *o = p->cgroup + 1; o < end && !p->name[0]; o++) {
		__attribute__((cleanup(container_record_done))) struct container_record c;

		if (!resource_is_inside(o->path, p->cgroup->path))
			break;
		if (container_record_read(s->id, o->name, &c) == -ENOMEM)
			return resource_no_memory(s->e);
		(void)str_copy(p->name, sizeof(p->name), c.pod_name);
		(void)str_copy(p->namespace, sizeof(p->namespace), c.pod_namespace);
	}
	return 0;
}

/* Which of its containers */

/* "": a sandbox, or not known. Returns 0 or -ENOMEM. */
static int name_container(const struct search *s, const char *container, char *ret, size_t size)
{
	__attribute__((cleanup(container_record_done))) struct container_record c = {0};
	const struct kubelet_container *known = kubelet_container_find(&s->kubelet, container);

	ret[0] = '\0';
	if (known)
		(void)str_copy(ret, size, known->name);
	else if (container_record_read(s->id, container, &c) == -ENOMEM)
		return -ENOMEM;
	else if (!c.sandbox)
		(void)str_copy(ret, size, c.name);
	return 0;
}

static int refuse_choice(const struct search *s, const struct pod *p, const char *wanted,
			 const char *names)
{
	if (!names[0])
		return error_set(s->e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
				 "which containers pod %s/%.200s has cannot be read: neither "
				 "/var/log/containers nor its runtime's files say it",
				 p->namespace, p->name);
	return error_field(s->e, "parameters.targetContainerName", wanted, names,
			   wanted[0]
				   ? "pod %s/%.200s has no such container"
				   : "pod %s/%.200s has several containers, and which is the first "
				     "in its specification is not told to its node",
			   p->namespace, p->name);
}

static int choose_container(const struct search *s, struct pod *p)
{
	const char *wanted = resource_parameter(s->parameters, "targetContainerName");
	const struct owned_cgroup *end = s->cgroups.cgroup + s->cgroups.n;
	char names[CONTAINERS_NAME] = "", name[CONTAINERS_NAME];
	struct text text = TEXT(names);
	size_t n = 0;

	for (const struct owned_cgroup *o = p->cgroup + 1; o < end; o++) {
		if (!resource_is_inside(o->path, p->cgroup->path))
			break;
		if (o->owner != CGROUP_OF_CONTAINER)
			continue;
		if (name_container(s, o->name, name, sizeof(name)) < 0)
			return resource_no_memory(s->e);
		if (!name[0])
			continue;
		text_add(&text, "%s%s", names[0] ? ", " : "", name);
		if (wanted[0] && !str_eq(name, wanted))
			continue;
		(void)str_copy(p->container, sizeof(p->container), name);
		(void)str_copy(p->container_id, sizeof(p->container_id), o->name);
		n++;
	}
	return n == 1 ? 0 : refuse_choice(s, p, wanted, names);
}

/* All together */

static bool describe(struct resource *r, const struct pod *p, const struct search *s)
{
	const char *cluster = resource_parameter(s->parameters, "clusterIdentifier");
	char arn[ARN_MAX];
	cJSON *i = r->information, *o = r->properties;

	if (!str_starts(cluster, "arn:"))
		cluster = identity_aws_arn(s->id, "eks", "cluster", cluster, arn);
	return resource_set(i, "pod_name", p->name) && resource_set(i, "namespace", p->namespace) &&
	       resource_set(i, "cluster_arn", cluster) &&
	       resource_set(i, "target_container_name", p->container) &&
	       resource_set(o, "PodName", p->name) && resource_set(o, "Namespace", p->namespace) &&
	       resource_set(o, "Uid", p->cgroup->name) &&
	       resource_set(o, "ContainerId", p->container_id);
}

static int add_pod(struct search *s, const struct owned_cgroup *cgroup)
{
	struct pod p = {.cgroup = cgroup};
	struct resource *found = NULL;
	int r = name_pod(s, &p);

	s->seen++;
	if (r < 0 || !p.name[0])
		return r;
	s->named++;
	if (!str_eq(p.namespace, resource_parameter(s->parameters, "namespace")))
		return 0;
	r = fits_selector(s, &p);
	if (r <= 0)
		return r;
	r = choose_container(s, &p);
	if (r == 0)
		r = resource_add(s->found, "", p.container_id, &found, s->e);
	return r == 0 && found && !describe(found, &p, s) ? resource_no_memory(s->e) : r;
}

static int find_pods(struct search *s)
{
	int r = resource_owned_cgroups(s->id, &s->cgroups, s->e);

	if (r == 0 && kubelet_files_read(s->id, &s->kubelet) < 0)
		r = resource_no_memory(s->e);
	for (size_t i = 0; i < s->cgroups.n && r == 0; i++) {
		if (s->cgroups.cgroup[i].owner == CGROUP_OF_POD)
			r = add_pod(s, &s->cgroups.cgroup[i]);
	}
	if (r == 0 && s->seen > 0 && s->named == 0)
		return error_set(s->e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
				 "the names of the pods on this host cannot be read: neither "
				 "/var/log/pods nor their runtime's files say them");
	return r;
}

static int check_selector(const struct search *s)
{
	const char *type = resource_parameter(s->parameters, "selectorType");
	const char *value = resource_parameter(s->parameters, "selectorValue");

	if (str_eq(type, "deploymentName") && strlen(value) > DEPLOYMENT_MAX)
		return error_field(s->e, "parameters.selectorValue", value,
				   "a name of at most 47 characters, or selectorType podName",
				   "the names of its pods are cut, and do not tell its name");
	if (str_eq(type, "labelSelector") &&
	    (!value[0] || str_each_item(value, check_requirement, NULL) < 0))
		return error_field(s->e, "parameters.selectorValue", value,
				   "labels such as app=web,tier!=test,canary,!old",
				   "%s is no such list", value);
	return 0;
}

static int find(const cJSON *parameters, const struct identity *id, struct resource_list *ret,
		struct error *e)
{
	__attribute__((cleanup(search_done))) struct search s = {
		.id = id, .parameters = parameters, .found = ret, .e = e};
	int r;

	r = check_selector(&s);
	if (r < 0)
		return r;
	if (!resource_is_in_zone(id, resource_parameter(parameters, "availabilityZoneIdentifier")))
		return 0;
	r = is_cluster(&s);
	return r <= 0 ? r : find_pods(&s);
}

const struct resource_type resource_eks_pod = {
	.name = "aws:eks:pod",
	.description = "The pods of Kubernetes that run on this host, as the kubelet's files tell",
	.parameters = rows,
	.fault_parameter = "container",
	.find = find,
};
