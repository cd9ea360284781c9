#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# faultd in a minute: builds it, starts it privately in a temporary directory, and shows three things with
# the effect measured by other tools: a CPU fault, packet loss, and the host coming back when faultd is
# killed. Aims only at a veth pair, a namespace and CPU time of its own, and leaves nothing behind.
#   sudo packaging/quickstart.sh
set -eu

cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "quickstart: run it as root (it makes a network namespace)" >&2; exit 1; }

work=$(mktemp -d /tmp/faultd-quickstart.XXXXXX)
net=faultd-demo-$$
dev=fdemo$$
dev=$(printf '%.15s' "$dev")
daemon=
victim=

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

leave() {
	status=$?
	trap - EXIT INT TERM
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
	[ -z "$daemon" ] || wait "$daemon" 2>/dev/null || true
	[ -z "$victim" ] || kill "$victim" 2>/dev/null || true
	ip link del "$dev" 2>/dev/null || true
	ip netns del "$net" 2>/dev/null || true
	rm -rf "$work"
	exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM

fail() { echo "quickstart: $*" >&2; [ ! -s "$work/log" ] || tail -n 20 "$work/log" >&2; exit 1; }

start_faultd() {
	"$work/build/agent/faultd" --runtime-dir "$work/run" --state-dir "$work/state" 2>>"$work/log" &
	daemon=$!
	tries=0
	until "$ctl" list >/dev/null 2>&1 && "$ctl" doctor 2>/dev/null | grep -q '^ok *guardian'; do
		kill -0 "$daemon" 2>/dev/null || fail "faultd did not start"
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || fail "faultd did not become ready"
		sleep 0.05
	done
}

# Busy share of the whole host in percent, between two readings of /proc/stat taken $1 seconds apart.
host_load() {
	before=$(head -n 1 /proc/stat)
	sleep "$1"
	after=$(head -n 1 /proc/stat)
	printf '%s\n%s\n' "$before" "$after" | awk '
		{ idle = $5 + $6; total = 0; for (i = 2; i <= 9; i++) total += $i }
		NR == 1 { i0 = idle; t0 = total }
		NR == 2 { printf "%.1f %%\n", 100 * (1 - (idle - i0) / (total - t0)) }'
}

loss() { # of $1 pings through the veth pair
	ping -n -q -c "$1" -i 0.01 -W 1 10.255.77.2 | sed -n 's/.* \([0-9.]*%\) packet loss.*/\1/p'
}

say "1. Building"
packaging/install-packages.sh packaging/build-dependencies packaging/demo-dependencies
{ meson setup "$work/build" --buildtype=release -Dtests=false && ninja -C "$work/build"; } >"$work/build.log" 2>&1 ||
	{ tail -n 30 "$work/build.log" >&2; fail "the build failed"; }
ctl=$work/build/agent/ctl/faultctl
FAULTD_SOCKET=$work/run/faultd.sock
export FAULTD_SOCKET
echo "built; nothing is installed, all of it is in $work"

say "2. Starting faultd, privately"
start_faultd
"$ctl" doctor

say "3. A CPU fault: 50 % more load on every CPU for 6 seconds"
printf 'host load before, by /proc/stat:   '; host_load 2
"$ctl" run cpu-stress --percent 50 --duration 6s & run=$!
sleep 1.5
printf 'host load during, by /proc/stat:   '; host_load 3
wait "$run" || fail "the CPU fault did not end well"
printf 'host load after, by /proc/stat:    '; host_load 2

say "4. Packet loss: 30 % of what arrives over a veth pair made for this"
ip netns add "$net"
ip link add "$dev" type veth peer name eth0 netns "$net"
ip addr add 10.255.77.1/30 dev "$dev"
ip link set "$dev" up
ip -n "$net" addr add 10.255.77.2/30 dev eth0
ip -n "$net" link set eth0 up
printf 'packet loss before, by ping:       '; loss 100
"$ctl" run network-loss --interface "$dev" --direction ingress --percent 30 --duration 8s & run=$!
sleep 1
printf 'packet loss during, by ping:       '; loss 400
wait "$run" || fail "the network fault did not end well"
printf 'packet loss after, by ping:        '; loss 100

say "5. The promise: faultd is killed with SIGKILL in the middle of a blackhole and a pause"
sleep 600 & victim=$!
"$ctl" run network-blackhole --interface "$dev" --duration 10m --detach >/dev/null
"$ctl" run process-pause --pid "$victim" --duration 10m --detach >/dev/null
"$ctl" list | head -n 3
printf 'packet loss during, by ping:       '; loss 10
printf 'process %s is in state:       ' "$victim"; cut -d ' ' -f 3 "/proc/$victim/stat"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
daemon=
echo "faultd is dead (SIGKILL)"
tries=0
until [ -z "$(ls "$work"/run/journal/*.journal 2>/dev/null)" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 100 ] || fail "the guardian did not undo"
	sleep 0.02
done
printf 'packet loss after, by ping:        '; loss 100
printf 'process %s is in state:       ' "$victim"; cut -d ' ' -f 3 "/proc/$victim/stat"
sed -n 's/^<[0-9]>/guardian: /p' "$work/log" | grep -e 'was lost' -e 'undone from' || true
kill "$victim"
wait "$victim" 2>/dev/null || true
victim=

say "That is all. Nothing is left behind: the namespace, the veth pair and $work go now."
