/* SPDX-License-Identifier: Apache-2.0 */
#include "actions/power.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/features.h"
#include "util/duration.h"
#include "util/proc.h"

/* PROC_PID_INIT_INO of include/linux/proc_ns.h: the number of the host's own PID namespace. */
#define INITIAL_PID_NAMESPACE 0xEFFFFFFCU

static bool in_container(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) < 0 || st.st_ino != INITIAL_PID_NAMESPACE;
}

/* As sd_booted(3) tells it, and PID 1 answers to its name. */
static bool systemd_is_init(void)
{
	struct stat st;
	struct proc_stat init;

	return lstat("/run/systemd/system", &st) == 0 && S_ISDIR(st.st_mode) &&
	       proc_stat_read(1, &init) == 0 && str_eq(init.name, "systemd");
}

int power_look(enum power how, const struct power_params *p, struct error *e)
{
	if (in_container())
		return error_set(
			e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
			"faultd runs in a container: from there this is not the host's end");
	if (how == POWER_PANIC)
		return access("/proc/sysrq-trigger", W_OK) == 0
			       ? 0
			       : error_set(e, ERROR_UNSUPPORTED, -errno,
					   "cannot write /proc/sysrq-trigger: %s", strerror(errno));
	if (p->force)
		return feature_capability(CAP_SYS_BOOT)
			       ? 0
			       : error_set(e, ERROR_UNSUPPORTED, -EPERM,
					   "faultd lacks the privilege (CAP_SYS_BOOT)");
	if (!systemd_is_init())
		return error_set(e, ERROR_UNSUPPORTED, -EOPNOTSUPP,
				 "systemd is not the init system here, and how another is asked is "
				 "not known: only force works");
	return 0;
}

int power_plan(enum power how, const struct power_params *p, struct plan *plan, struct error *e)
{
	struct step *s = plan_add(plan, STEP_POWER);

	if (!s || plan_claim(plan, "power") < 0)
		return error_set(e, ERROR_FAILED, -ENOMEM, "cannot plan: out of memory");
	s->power.how = how;
	s->power.force = p->force;
	return 0;
}

void power_describe(enum power how, const struct power_params *p, struct text *t)
{
	const struct step s = {.kind = STEP_POWER, .power = {.how = how, .force = p->force}};

	step_describe(&s, t);
	if (!p->delay_ms)
		return;
	text_add(t, ", after ");
	duration_print(p->delay_ms, t);
}

uint64_t power_delay_ms(const void *params)
{
	return ((const struct power_params *)params)->delay_ms;
}
