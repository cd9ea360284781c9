#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# faultd as it is installed: in a virtual machine with systemd as PID 1, cgroup v2 and Linux 6.1 (so no TCX).
# Makes a Debian image with the release build in it, boots it twice with qemu (emulated: no /dev/kvm needed)
# and prints what inside.sh found. Needs Debian 12 on x86_64, root, the network once, and about five minutes.
#   sudo tests/vm/run.sh
#   FAULTD_VM_CACHE=DIR    keeps the base system there, so that the next run needs no download
#   FAULTD_VM_KEEP=DIR     leaves the consoles, the results and the image there
#   FAULTD_VM_TIMEOUT=900  seconds one boot may take
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/vm
suite=bookworm
limit=${FAULTD_VM_TIMEOUT:-900}

fail() {
	echo "vm: $*" >&2
	exit 1
}

[ "$(id -u)" = 0 ] || fail "run it as root: the image has files of many owners"
[ "$(uname -m)" = x86_64 ] || fail "made for x86_64"
grep -q "^VERSION_CODENAME=$suite$" /etc/os-release ||
	fail "what is built here runs in a $suite machine, so build on $suite"

work=$(mktemp -d /tmp/faultd-vm.XXXXXX)
machine=
leave() {
	local status=$?
	trap - EXIT INT TERM
	if [ -n "$machine" ] && kill "$machine" 2>/dev/null; then
		wait "$machine" || true
	fi
	if [ -n "${FAULTD_VM_KEEP:-}" ]; then
		mkdir -p "$FAULTD_VM_KEEP"
		mv -f "$work"/console.* "$work"/results.* "$work"/disk "$FAULTD_VM_KEEP" 2>/dev/null || true
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
}

image() {
	local root=$work/root
	mkdir "$root"
	tar -xf "$base" -C "$root" --exclude='./dev/*'
	quietly install env DESTDIR="$root" meson install -C "$work/build" --no-rebuild
	install -m 0755 -D "$here/inside.sh" "$root/opt/faultd-test/inside.sh"
	install -m 0644 "$here/faultd-test.service" "$root/etc/systemd/system/"
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/var/log/journal"
	ln -s ../faultd-test.service "$root/etc/systemd/system/multi-user.target.wants/"
	echo faultd-vm >"$root/etc/hostname"
	cp "$root"/boot/vmlinuz-* "$work/kernel"
	cp "$root"/boot/initrd.img-* "$work/initrd"
	quietly mke2fs mke2fs -q -t ext4 -d "$root" "$work/disk" 1500M
	rm -rf "$root"
}

# The first serial port is the console, the second carries inside.sh's results.
boot() { # PHASE
	local results=$work/results.$1 start=$SECONDS status=0
	: >"$results"
	timeout --signal=KILL "$limit" qemu-system-x86_64 -machine q35,accel=tcg -cpu max -smp 2 -m 1024 \
		-nodefaults -display none -no-reboot -kernel "$work/kernel" -initrd "$work/initrd" \
		-append "root=/dev/vda rw console=ttyS0 quiet systemd.mask=serial-getty@ttyS0.service faultd.phase=$1" \
		-drive "file=$work/disk,if=virtio,format=raw,cache=unsafe" \
		-serial "file:$work/console.$1" -serial "file:$results" </dev/null &
	machine=$!
	tail -q -n +1 --pid="$machine" -s 0.5 -f "$results" &
	wait "$machine" || status=$?
	machine=
	wait
	echo "# boot $1 took $((SECONDS - start)) s"
	[ "$status" = 0 ] || echo "not ok - the machine did not power off within $limit s (qemu: $status)" | tee -a "$results"
	grep -q '^1\.\.[0-9]' "$results" || {
		echo "not ok - the results of boot $1 are complete" | tee -a "$results"
		tail -n 20 "$work/console.$1" | sed 's/^/# console: /'
	}
}

cd "$top"
packaging/install-packages.sh packaging/build-dependencies "$here/dependencies"
build
base_system
image
boot 1
boot 2

passed=$(cat "$work"/results.* | grep -c '^ok ') || true
failed=$(cat "$work"/results.* | grep -c '^not ok ') || true
grep -h '^not ok ' "$work"/results.* || true
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
