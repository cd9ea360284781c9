#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# faultd as it is installed: in a virtual machine with systemd as PID 1, cgroup v2 and Linux 6.1 (so no TCX), where
# the clock may be set, units stopped and the host rebooted. Makes a Debian image with the release build in it and a
# second build, with crash points, beside it; boots it with qemu (emulated: no /dev/kvm needed) and prints what
# inside.sh and the pytest tests found. Needs Debian 12 on x86_64, root, and the network once.
#   sudo tests/vm/run.sh             everything
#   sudo tests/vm/run.sh shell       a root shell in the machine; `exit` or `poweroff` leaves it, Ctrl-A X ends it hard
#   sudo tests/vm/run.sh test=NAME   the parts of inside.sh and the tests of tests/vm and tests/netns with NAME in their
#                                    names, or, when NAME begins with tests/, what pytest calls so: tests/crash/test_x.py::…
#   FAULTD_VM_CACHE=DIR     keeps the base system there, so that the next run needs no download
#   FAULTD_VM_KEEP=DIR      leaves the console, the results and the image there
#   FAULTD_VM_TIMEOUT=3600  seconds that the machine may run
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/vm
suite=bookworm
limit=${FAULTD_VM_TIMEOUT:-3600}
shell=
only=

fail() {
	echo "vm: $*" >&2
	exit 1
}

case ${1:-} in
"") ;;
shell) shell=yes ;;
test=?*)
	only=${1#test=}
	[[ $only != *[[:space:]]* ]] || fail "a name without blanks: it goes on the kernel's command line"
	;;
*)
	sed -n '7,10s/^# *//p' "$0" >&2
	exit 2
	;;
esac
[ "$(id -u)" = 0 ] || fail "run it as root: the image has files of many owners"
[ "$(uname -m)" = x86_64 ] || fail "made for x86_64"
grep -q "^VERSION_CODENAME=$suite$" /etc/os-release ||
	fail "what is built here runs in a $suite machine, so build on $suite"

work=$(mktemp -d /tmp/faultd-vm.XXXXXX)
machine=
reader=
leave() {
	local status=$?
	trap - EXIT INT TERM
	[ -z "$reader" ] || kill "$reader" 2>/dev/null || true
	if [ -n "$machine" ] && kill "$machine" 2>/dev/null; then
		wait "$machine" || true
	fi
	if [ -n "${FAULTD_VM_KEEP:-}" ]; then
		mkdir -p "$FAULTD_VM_KEEP"
		mv -f "$work"/console "$work"/results "$work"/disk "$FAULTD_VM_KEEP" 2>/dev/null || true
	fi
	rm -rf "$work"
	exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM

quietly() { # LOG COMMAND...
	local log=$work/$1.log
	shift
	"$@" >"$log" 2>&1 </dev/null || {
		tail -n 30 "$log" >&2
		fail "failed: $1"
	}
}

packages() { sed -e '/^#/d' -e '/^$/d' "$1" | paste -sd, -; }

base_system() { # a tarball, named after what is in it
	local name
	name=faultd-vm-$suite-$(packages "$here/image-packages" | sha256sum | cut -c 1-12).tar
	base=${FAULTD_VM_CACHE:-$work}/$name
	[ ! -s "$base" ] || return 0
	mkdir -p "${base%/*}"
	echo "vm: making the base system (a minute)"
	quietly mmdebstrap timeout 900 mmdebstrap --variant=apt --aptopt='APT::Install-Recommends "false"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --include="$(packages "$here/image-packages")" \
		"$suite" "$work/base.tar"
	mv "$work/base.tar" "$base"
}

build() {
	quietly setup meson setup "$work/build" "$top" --buildtype=release --prefix=/usr -Dtests=false
	quietly ninja ninja -C "$work/build"
	quietly setup-crash env CC=gcc meson setup "$work/build-crash" "$top" -Dcrash_points=true -Dtests=false
	quietly ninja-crash ninja -C "$work/build-crash"
}

image() {
	local root=$work/root opt=$work/root/opt/faultd-test f
	mkdir "$root"
	tar -xf "$base" -C "$root" --exclude='./dev/*'
	quietly install env DESTDIR="$root" meson install -C "$work/build" --no-rebuild
	mkdir -p "$opt" "$root/var/lib/faultd-test" "$root/var/log/journal"
	tar -cf - -C "$top" --exclude=__pycache__ tests pytest.ini | tar -xf - -C "$opt" --no-same-owner
	for f in faultd ctl/faultctl guardian/faultd-guardian load/faultd-load; do
		install -m 0755 -D "$work/build-crash/agent/$f" "$opt/build/agent/$f"
	done
	install -m 0644 -t "$root/etc/systemd/system" "$here/faultd-test.service" "$here/faultd-shell.service"
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
	ln -s ../faultd-test.service ../faultd-shell.service "$root/etc/systemd/system/multi-user.target.wants/"
	echo faultd-vm >"$root/etc/hostname"
	cp "$root"/boot/vmlinuz-* "$work/kernel"
	cp "$root"/boot/initrd.img-* "$work/initrd"
	quietly mke2fs mke2fs -q -t ext4 -d "$root" "$work/disk" 2500M
	truncate -s 256M "$work/scratch"
	rm -rf "$root"
}

# The root disk, one to be written to, two CPUs, 1 GiB. A panic reboots after a second; PSI is built in, but off.
# Replaces the (sub)shell that calls it.
qemu() { # KERNEL-ARGUMENTS OPTIONS...
	local append=$1
	shift
	exec timeout --foreground --signal=KILL "$limit" qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 2 -m 1024 \
		-nodefaults -display none -kernel "$work/kernel" -initrd "$work/initrd" \
		-append "root=/dev/vda rw console=ttyS0 panic=1 psi=1 systemd.mask=serial-getty@ttyS0.service $append" \
		-drive "file=$work/disk,if=virtio,format=raw,cache=unsafe" \
		-drive "file=$work/scratch,if=virtio,format=raw,cache=unsafe" "$@"
}

complete() { grep -q '^1\.\.[0-9]' "$work/results"; }

# The first serial port is the console, the second carries the results. The machine reboots by itself; when
# it was switched off by a test, it is started once more.
tests() {
	local start=$SECONDS status n args=
	: >"$work/results"
	: >"$work/console"
	[ -z "$only" ] || args="faultd.only=$only"
	tail -q -n +1 --pid=$$ -s 0.5 -f "$work/results" &
	reader=$!
	for n in 1 2 3; do
		status=0
		qemu "quiet faultd.start=$n $args" -chardev "file,id=console,path=$work/console,append=on" \
			-chardev "file,id=results,path=$work/results,append=on" -serial chardev:console \
			-serial chardev:results </dev/null &
		machine=$!
		wait "$machine" || status=$?
		machine=
		if [ "$status" != 0 ] || complete || ! grep -q "^# to be switched off: start $n$" "$work/results"; then
			break
		fi
	done
	[ "$status" = 0 ] || echo "not ok - the machine did not power off within $limit s (qemu: $status)" >>"$work/results"
	complete || {
		echo "not ok - the results are complete"
		tail -n 20 "$work/console" | sed 's/^/# console: /'
	} >>"$work/results"
	sleep 1
	kill "$reader" 2>/dev/null
	wait "$reader" 2>/dev/null || true
	reader=
	echo "# the machine ran for $((SECONDS - start)) s"
}

cd "$top"
packaging/install-packages.sh packaging/build-dependencies "$here/dependencies"
build
base_system
image
if [ -n "$shell" ]; then
	(qemu "quiet faultd.shell" -serial mon:stdio)
	exit
fi
tests

count() { grep -c "$@" "$work/results" || true; }
skipped=$(count '^ok .* # SKIP ')
passed=$(($(count '^ok ') - skipped))
failed=$(count '^not ok ')
grep -h '^not ok ' "$work/results" || true
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
