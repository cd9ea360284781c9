#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian or Ubuntu packages that the given lists name, if any is missing. Quiet unless it fails.
#   install-packages.sh LIST...
set -eu

wanted=$(sed -e '/^#/d' -e '/^$/d' "$@")
missing=
for package in $wanted; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
	[ "$status" = installed ] || missing="$missing $package"
done
# Ubuntu's bpftool comes with linux-tools-common and a kernel's tools instead.
if [ -z "${missing# bpftool}" ] && command -v bpftool >/dev/null 2>&1; then
	missing=
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "install-packages: not root, and these packages are missing:$missing" >&2
	exit 1
fi
echo "installing packages:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	exit 1
fi
