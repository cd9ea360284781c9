/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps around the classifier share. */
#include <errno.h>
#include <string.h>

#include "host/features.h"
#include "steps/kinds.h"

int hook_cannot(struct error *e, int r, const char *what, const struct step_hook *hook)
{
	enum error_code code = r == -EPERM || r == -EACCES || r == -EOPNOTSUPP || r == -EADDRINUSE
				       ? ERROR_UNSUPPORTED
				       : ERROR_FAILED;
	/* EACCES is also what the verifier says. */
	const char *why = r == -EACCES && feature_net_privilege()
				  ? "this kernel refuses the classifier (its verifier)"
			  : r == -EPERM || r == -EACCES
				  ? "faultd lacks the privilege (CAP_NET_ADMIN and CAP_BPF)"
			  : r == -EADDRINUSE
				  ? "it has an ingress qdisc, which takes the place of clsact"
			  : r == -ESTALE ? "somebody deleted it meanwhile"
			  : r == -ENODEV ? "the interface is gone"
					 : strerror(-r);

	return error_set(e, code, r, "cannot %s %s: %s", what, hook->ifname, why);
}
