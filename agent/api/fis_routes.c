/* SPDX-License-Identifier: Apache-2.0 */
/* Where FIS's 26 operations are. */
#include "api/fis.h"
#include "util/str.h"

const struct route fis_routes[] = {
	{"POST", "/experimentTemplates", create_experiment_template},
	{"GET", "/experimentTemplates", list_experiment_templates},
	{"GET", "/experimentTemplates/{}", get_experiment_template},
	{"PATCH", "/experimentTemplates/{}", update_experiment_template},
	{"DELETE", "/experimentTemplates/{}", delete_experiment_template},
	{"GET", "/experimentTemplates/{}/targetAccountConfigurations", list_accounts},
	{"POST", "/experimentTemplates/{}/targetAccountConfigurations/{}", create_account},
	{"GET", "/experimentTemplates/{}/targetAccountConfigurations/{}", get_account},
	{"PATCH", "/experimentTemplates/{}/targetAccountConfigurations/{}", update_account},
	{"DELETE", "/experimentTemplates/{}/targetAccountConfigurations/{}", delete_account},
	{"POST", "/experiments", start_experiment},
	{"GET", "/experiments", list_experiments},
	{"GET", "/experiments/{}", get_experiment},
	{"DELETE", "/experiments/{}", stop_experiment},
	{"GET", "/experiments/{}/resolvedTargets", list_resolved_targets},
	{"GET", "/experiments/{}/targetAccountConfigurations", list_experiment_accounts},
	{"GET", "/experiments/{}/targetAccountConfigurations/{}", get_experiment_account},
	{"GET", "/actions", list_fis_actions},
	{"GET", "/actions/{}", get_fis_action},
	{"GET", "/targetResourceTypes", list_resource_types},
	{"GET", "/targetResourceTypes/{}", get_resource_type},
	{"GET", "/safetyLevers/{}", get_safety_lever},
	{"PATCH", "/safetyLevers/{}/state", update_safety_lever},
	{"GET", "/tags/{+}", list_tags},
	{"POST", "/tags/{+}", tag_resource},
	{"DELETE", "/tags/{+}", untag_resource},
};
const size_t n_fis_routes = ARRAY_SIZE(fis_routes);
