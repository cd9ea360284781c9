/* SPDX-License-Identifier: Apache-2.0 */
#include "experiment/container_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "experiment/resource_types.h"
#include "util/cleanup.h"

#define CONTAINER_ID_LENGTH 64
#define RECORD_MAX          ((size_t)1 << 20) /* bytes of a file; they have 5 to 50 KiB */
#define KUBELET_ENTRIES_MAX 16384

/* Returns the file's JSON, or NULL (errno ENOMEM only when memory is short). Only a plain file is
 * read: opening anything else could wait, and a link lead to what is not the container's. */
static cJSON *read_json(const char *path)
{
	_cleanup_close_ int fd =
		open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_
	char *text = NULL;
	struct stat st;
	ssize_t n;

	errno = 0;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    (size_t)st.st_size > RECORD_MAX)
		return NULL;
	text = malloc((size_t)st.st_size);
	if (!text) {
		errno = ENOMEM;
		return NULL;
	}
	n = read(fd, text, (size_t)st.st_size);
	return n > 0 ? cJSON_ParseWithLength(text, (size_t)n) : NULL;
}

static const char *text_of(const cJSON *object, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

	return s ? s : "";
}

static void copy(char *to, size_t size, const cJSON *object, const char *name)
{
	(void)str_copy(to, size, text_of(object, name));
}

/* Takes over the members of `object` that are text. */
static int take_labels(const cJSON *object, struct container_record *ret)
{
	const cJSON *item;

	if (!cJSON_IsObject(object))
		return 0;
	ret->labels = cJSON_CreateObject();
	if (!ret->labels)
		return -ENOMEM;
	cJSON_ArrayForEach(item, object)
	{
		if (cJSON_IsString(item) && str_is_utf8(item->string, strlen(item->string)) &&
		    str_is_utf8(item->valuestring, strlen(item->valuestring)) &&
		    !cJSON_AddStringToObject(ret->labels, item->string, item->valuestring))
			return -ENOMEM;
	}
	return 0;
}

/* Docker; with cri-dockerd also of pods. */
static int take_docker(const cJSON *json, struct container_record *ret)
{
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(json, "Config");
	const cJSON *labels = cJSON_GetObjectItemCaseSensitive(config, "Labels");
	const char *name = text_of(json, "Name");

	(void)str_copy(ret->runtime, sizeof(ret->runtime), "docker");
	(void)str_copy(ret->name, sizeof(ret->name), name[0] == '/' ? name + 1 : name);
	copy(ret->image, sizeof(ret->image), config, "Image");
	copy(ret->pod_name, sizeof(ret->pod_name), labels, "io.kubernetes.pod.name");
	copy(ret->pod_namespace, sizeof(ret->pod_namespace), labels, "io.kubernetes.pod.namespace");
	ret->sandbox = str_eq(text_of(labels, "io.kubernetes.docker.type"), "podsandbox");
	ret->labels_of_pod = ret->sandbox;
	if (text_of(labels, "io.kubernetes.container.name")[0])
		copy(ret->name, sizeof(ret->name), labels, "io.kubernetes.container.name");
	return take_labels(labels, ret);
}

/* containerd's CRI plug-in keeps labels in its database only: its annotations are what there is. */
static int take_containerd(const cJSON *json, struct container_record *ret)
{
	const cJSON *a = cJSON_GetObjectItemCaseSensitive(json, "annotations");

	(void)str_copy(ret->runtime, sizeof(ret->runtime), "containerd");
	copy(ret->name, sizeof(ret->name), a, "io.kubernetes.cri.container-name");
	if (!ret->name[0])
		copy(ret->name, sizeof(ret->name), a, "nerdctl/name");
	copy(ret->image, sizeof(ret->image), a, "io.kubernetes.cri.image-name");
	copy(ret->pod_name, sizeof(ret->pod_name), a, "io.kubernetes.cri.sandbox-name");
	copy(ret->pod_namespace, sizeof(ret->pod_namespace), a,
	     "io.kubernetes.cri.sandbox-namespace");
	ret->sandbox = str_eq(text_of(a, "io.kubernetes.cri.container-type"), "sandbox");
	return take_labels(a, ret);
}

/* CRI-O has the labels as a text of JSON in an annotation; Podman has none in this file. */
static int take_crio(const cJSON *json, struct container_record *ret)
{
	const cJSON *a = cJSON_GetObjectItemCaseSensitive(json, "annotations");
	const char *text = text_of(a, "io.kubernetes.cri-o.Labels");
	cJSON *labels;
	int r;

	(void)str_copy(ret->runtime, sizeof(ret->runtime), text[0] ? "cri-o" : "podman");
	copy(ret->name, sizeof(ret->name), a, "io.kubernetes.container.name");
	copy(ret->image, sizeof(ret->image), a, "io.kubernetes.cri-o.ImageName");
	copy(ret->pod_name, sizeof(ret->pod_name), a, "io.kubernetes.pod.name");
	copy(ret->pod_namespace, sizeof(ret->pod_namespace), a, "io.kubernetes.pod.namespace");
	ret->sandbox = str_eq(text_of(a, "io.kubernetes.cri-o.ContainerType"), "sandbox");
	if (!text[0])
		return 0;
	labels = cJSON_Parse(text);
	ret->labels_of_pod = ret->sandbox && cJSON_IsObject(labels);
	r = take_labels(labels, ret);
	cJSON_Delete(labels);
	return r;
}

static bool is_container_id(const char *s)
{
	return strlen(s) == CONTAINER_ID_LENGTH &&
	       strspn(s, "0123456789abcdef") == CONTAINER_ID_LENGTH;
}

int container_record_read(const struct identity *id, const char *container,
			  struct container_record *ret)
{
	static const struct {
		const char *before, *after;
		int (*take)(const cJSON *json, struct container_record *ret);
	} places[] = {
		{"/var/lib/docker/containers/", "/config.v2.json", take_docker},
		{"/run/containerd/io.containerd.runtime.v2.task/k8s.io/", "/config.json",
		 take_containerd},
		{"/run/containerd/io.containerd.runtime.v2.task/default/", "/config.json",
		 take_containerd},
		{"/run/containers/storage/overlay-containers/", "/userdata/config.json", take_crio},
	};

	*ret = (struct container_record){0};
	for (size_t i = 0; is_container_id(container) && i < ARRAY_SIZE(places); i++) {
		char below[256], path[RESOURCE_PATH_MAX];
		cJSON *json;
		int r;

		(void)snprintf(below, sizeof(below), "%s%s%s", places[i].before, container,
			       places[i].after);
		json = read_json(resource_path(id, below, path));
		if (!json && errno == ENOMEM)
			return -ENOMEM;
		if (!json)
			continue;
		r = places[i].take(json, ret);
		cJSON_Delete(json);
		if (r < 0)
			container_record_done(ret);
		return r;
	}
	return -ENOENT;
}

void container_record_done(struct container_record *c)
{
	cJSON_Delete(c->labels);
	c->labels = NULL;
}

/* The kubelet */

/* Copies `n` bytes; false when they are none, or do not fit. */
static bool take(char *to, size_t size, const char *from, size_t n)
{
	if (n == 0 || n >= size || !str_is_utf8(from, n))
		return false;
	memcpy(to, from, n);
	to[n] = '\0';
	return true;
}

bool kubelet_pod_parse(const char *name, struct kubelet_pod *ret)
{
	const char *first = strchr(name, '_');
	const char *second = first ? strchr(first + 1, '_') : NULL;

	return second && !strchr(second + 1, '_') &&
	       take(ret->namespace, sizeof(ret->namespace), name, (size_t)(first - name)) &&
	       take(ret->name, sizeof(ret->name), first + 1, (size_t)(second - first - 1)) &&
	       take(ret->uid, sizeof(ret->uid), second + 1, strlen(second + 1));
}

/* The kubelet cuts the whole at 255, and with it the id: then it is not known from here. */
bool kubelet_container_parse(const char *name, struct kubelet_container *ret)
{
	const char *first = strchr(name, '_');
	const char *second = first ? strchr(first + 1, '_') : NULL;
	const char *dash = second ? strrchr(second + 1, '-') : NULL;
	size_t length = dash ? strlen(dash + 1) : 0;

	return length == CONTAINER_ID_LENGTH + strlen(".log") &&
	       str_eq(dash + 1 + CONTAINER_ID_LENGTH, ".log") &&
	       take(ret->name, sizeof(ret->name), second + 1, (size_t)(dash - second - 1)) &&
	       take(ret->id, sizeof(ret->id), dash + 1, CONTAINER_ID_LENGTH) &&
	       is_container_id(ret->id);
}

/* Room for one more of `size` bytes. Returns the list, or NULL. */
static void *make_room(void *list, size_t n, size_t *room, size_t size)
{
	void *more;

	if (n < *room)
		return list;
	more = reallocarray(list, *room ? *room * 2 : 64, size);
	if (more)
		*room = *room ? *room * 2 : 64;
	return more;
}

static int add_pod(const char *name, struct kubelet_files *k)
{
	struct kubelet_pod *more;

	if (k->n_pods == KUBELET_ENTRIES_MAX)
		return 0;
	more = make_room(k->pod, k->n_pods, &k->room_pods, sizeof(*more));
	if (!more)
		return -ENOMEM;
	k->pod = more;
	k->n_pods += kubelet_pod_parse(name, &k->pod[k->n_pods]);
	return 0;
}

static int add_container(const char *name, struct kubelet_files *k)
{
	struct kubelet_container *more;

	if (k->n_containers == KUBELET_ENTRIES_MAX)
		return 0;
	more = make_room(k->container, k->n_containers, &k->room_containers, sizeof(*more));
	if (!more)
		return -ENOMEM;
	k->container = more;
	k->n_containers += kubelet_container_parse(name, &k->container[k->n_containers]);
	return 0;
}

static int each_entry(const struct identity *id, const char *directory,
		      int (*each)(const char *name, struct kubelet_files *k),
		      struct kubelet_files *k)
{
	char path[RESOURCE_PATH_MAX];
	_cleanup_closedir_ DIR *dir = opendir(resource_path(id, directory, path));
	int r = 0;

	for (struct dirent *d = dir ? readdir(dir) : NULL; d && r == 0; d = readdir(dir))
		r = each(d->d_name, k);
	return r;
}

int kubelet_files_read(const struct identity *id, struct kubelet_files *ret)
{
	int r;

	*ret = (struct kubelet_files){0};
	r = each_entry(id, "/var/log/pods", add_pod, ret);
	if (r == 0)
		r = each_entry(id, "/var/log/containers", add_container, ret);
	if (r < 0)
		kubelet_files_done(ret);
	return r;
}

void kubelet_files_done(struct kubelet_files *k)
{
	free(k->pod);
	free(k->container);
	*k = (struct kubelet_files){0};
}

const struct kubelet_pod *kubelet_pod_find(const struct kubelet_files *k, const char *uid)
{
	for (size_t i = 0; i < k->n_pods; i++) {
		if (str_eq(k->pod[i].uid, uid))
			return &k->pod[i];
	}
	return NULL;
}

const struct kubelet_container *kubelet_container_find(const struct kubelet_files *k,
						       const char *id)
{
	for (size_t i = 0; i < k->n_containers; i++) {
		if (str_eq(k->container[i].id, id))
			return &k->container[i];
	}
	return NULL;
}
