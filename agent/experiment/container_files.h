/* SPDX-License-Identifier: Apache-2.0 */
/* What container runtimes and the kubelet keep in files about the containers that run here: names,
 * labels, whose pod. Their sockets are not asked: an answer could take its time. Read only.
 * Sources: Docker's container store (config.v2.json), the OCI runtime specification (config.json,
 * with the annotations that containerd's CRI plug-in and CRI-O set), the kubelet's log directories.
 */
#ifndef FAULTD_EXPERIMENT_CONTAINER_FILES_H
#define FAULTD_EXPERIMENT_CONTAINER_FILES_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "experiment/identity.h"

struct container_record {
	char runtime[16]; /* "docker", "containerd", "cri-o" or "podman" */
	char name[256];   /* people's name for it, or its name in its pod; "": not known */
	char image[256];
	/* In Kubernetes, else "" */
	char pod_name[256], pod_namespace[64];
	bool sandbox;       /* the pod's own, in which nothing of the user runs */
	bool labels_of_pod; /* `labels` of a sandbox are the pod's */
	cJSON *labels;      /* an object of strings; owned, NULL: none are known */
};

/* Of a container's id (64 hexadecimal digits). Returns 0, or -ENOENT when no file says anything of
 * it (or one that is damaged or too large), or -ENOMEM. */
int container_record_read(const struct identity *id, const char *container,
			  struct container_record *ret);
void container_record_done(struct container_record *c);

/* The kubelet's directories: each pod's of /var/log/pods, each container's of /var/log/containers.
 * Names of pods and namespaces have no "_" in Kubernetes. */
struct kubelet_pod {
	char uid[64], name[256], namespace[64];
};
struct kubelet_container {
	char id[65], name[256];
};
struct kubelet_files {
	struct kubelet_pod *pod; /* owned */
	size_t n_pods, room_pods;
	struct kubelet_container
		*container; /* owned; dead ones too, until the kubelet drops them */
	size_t n_containers, room_containers;
};
/* Returns 0 (also without a kubelet) or -ENOMEM. */
int kubelet_files_read(const struct identity *id, struct kubelet_files *ret);
void kubelet_files_done(struct kubelet_files *k);
const struct kubelet_pod *kubelet_pod_find(const struct kubelet_files *k, const char *uid);
const struct kubelet_container *kubelet_container_find(const struct kubelet_files *k,
						       const char *id);

/* "default_web-7d9f_0c4f…" (NAMESPACE_NAME_UID) and "web-7d9f_default_app-3f1c….log"
 * (POD_NAMESPACE_CONTAINER-ID.log). Return false when it is no such name. Pure. */
bool kubelet_pod_parse(const char *name, struct kubelet_pod *ret);
bool kubelet_container_parse(const char *name, struct kubelet_container *ret);

#endif
