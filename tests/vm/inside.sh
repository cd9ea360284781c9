#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs as root in the machine that run.sh boots, and nowhere else, once in each boot. The first installs faultd as
# the README says, tries everything that needs systemd, runs the pytest tests, and ends with faults active. The second
# looks at what that left. Then come the tests that reboot the machine, each in two boots (see conftest.py).
# Results go to the second serial port: "ok", "not ok", and "#" for what was measured.
# shellcheck disable=SC2317 # functions are called by check
set -u

if [ ! -c /dev/ttyS1 ] || ! grep -q faultd.start= /proc/cmdline; then
	echo "inside.sh: made for the machine that run.sh boots" >&2
	exit 2
fi
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat

services="faultd.service faultd-guardian.service"
units="faultd.socket $services"
sock=/run/faultd/faultd.sock
host=fvm0
there=10.255.77.2
top=/opt/faultd-test
store=/var/lib/faultd-test # survives a boot: its number, results so far, tests to come
n=0

# The promises are 250 ms and 2 s. An emulated machine on a busy host gets a little more; what was measured
# is printed.
killed_ms=1500
hung_ms=4000

note() { printf '# %s\n' "$*"; }
notes() { sed 's/^/# /'; }
ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

check() { # NAME COMMAND...: one result; what the command says is shown if it fails
	local name=$1 said
	shift
	n=$((n + 1))
	if said=$("$@" 2>&1); then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		[ -z "$said" ] || notes <<<"$said"
		note "failed: $*"
	fi
}

equal() { [ "$1" = "$2" ] || { echo "is '$1', not '$2'"; return 1; }; }
between() { awk -v a="$1" -v x="$2" -v b="$3" 'BEGIN { exit !(x != "" && a <= x && x <= b) }' || { echo "is '$2', not $1 to $3"; return 1; }; }
fails() { ! "$@"; }

wait_for() { # SECONDS COMMAND...
	local until=$(($(ms) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(ms)" -lt "$until" ] || { echo "waited in vain for: $*"; return 1; }
		sleep 0.02
	done
}

runs() { [ "$(main_pid)" != 0 ]; }
property() { systemctl show -P "$2" "$1"; }
main_pid() { property faultd.service MainPID; }
guardian_pid() { property faultd-guardian.service MainPID; }
ready() { faultctl doctor 2>/dev/null | grep -q '^ok *guardian'; }
status_has() { property faultd.service StatusText | grep -q "$1"; }

state_of() { # PID: one letter, without a process of its own
	local line
	read -r line 2>/dev/null <"/proc/$1/stat" || line=") gone"
	line=${line##*) }
	state=${line%% *}
}
stands() { state_of "$victim" && [ "$state" = T ]; }
goes() { state_of "$victim" && [ "$state" = S ]; }
hooked() { tc qdisc show dev $host | grep -q clsact; }
unhooked() { ! hooked; }
loaded() { pgrep -x faultd-load >/dev/null; }
unloaded() { ! loaded; }
no_journals() { [ -z "$(find /run/faultd/journal -name '*.journal' 2>/dev/null)" ]; }
back() { unhooked && goes && unloaded && no_journals; }
loss() { ping -n -q -c "$1" -i 0.01 -W 1 $there | sed -n 's/.* \([0-9.]*\)% packet loss.*/\1/p'; }
reaches() { between 0 "$(loss 20)" 5; }

explain() { # what is left, if anything
	local said
	said=$(back 2>&1) && return 0
	echo "$said"
	tc qdisc show dev $host
	tc filter show dev $host egress
	state_of "$victim"
	echo "victim: $state; journals: $(find /run/faultd/journal -name '*.journal' 2>/dev/null)"
	pgrep -a faultd
	return 1
}

busy() { # SECONDS: busy share of all CPUs in percent
	local before after
	before=$(head -n 1 /proc/stat)
	sleep "$1"
	after=$(head -n 1 /proc/stat)
	printf '%s\n%s\n' "$before" "$after" | awk '
		{ idle = $5 + $6; total = 0; for (i = 2; i <= 9; i++) total += $i }
		NR == 1 { i0 = idle; t0 = total }
		NR == 2 { printf "%.1f\n", 100 * (1 - (idle - i0) / (total - t0)) }'
}

start_faults() { # a filter with its qdisc, and a stopped process: what only a journal holds
	wait_for 15 ready
	faultctl run network-blackhole --interface $host --duration 10m --detach >/dev/null &&
		faultctl run process-pause --pid "$victim" --duration 10m --detach >/dev/null &&
		hooked && stands
}

undone_within() { # MILLISECONDS NAME COMMAND...: from before the command; prints what it took
	local bound=$1 name=$2 start took
	shift 2
	start=$(ms)
	"$@" 2>/dev/null
	wait_for 20 back >/dev/null
	took=$(($(ms) - start))
	check "$name: undone" explain
	check "$name: within $bound ms" between 0 $took "$bound"
	note "measured: $took ms from the command to the last look, emulated"
}

works_again() { # NAME
	check "$1: active again by itself" wait_for 15 systemctl is-active --quiet faultd.service
	check "$1: ready, guardian connected" wait_for 15 ready
	check "$1: a fault works" a_fault
}

a_fault() {
	start_faults && equal "$(loss 10)" 100 && faultctl stop --all >/dev/null && explain && reaches
}

journal_since() { journalctl -q --no-pager -o short-monotonic --no-hostname -b -u faultd.service -u faultd-guardian.service --since "@$1"; }

part() {
	part_start=${EPOCHREALTIME%.*}
	note
	note "== $1"
}

# ---- parts

make_world() {
	ip netns add peer
	ip link add $host type veth peer name peer0 netns peer
	ip addr add 10.255.77.1/30 dev $host
	ip link set $host up
	ip -n peer addr add $there/30 dev peer0
	ip -n peer link set peer0 up
	sleep 100000 &
	victim=$!
	echo "$victim" >/run/victim
	wait_for 10 ping -n -q -c 1 -W 1 $there
}

verify_silent() {
	local said
	# shellcheck disable=SC2086 # a list of words
	said=$(systemd-analyze verify --man=no $units 2>&1) && equal "$said" ""
}

test_install() {
	part "installed as the README says"
	check "systemd-sysusers" systemd-sysusers
	check "group faultd exists" getent group faultd
	check "units verify, silently" verify_silent
	check "daemon-reload" systemctl daemon-reload
	check "enable --now" systemctl enable --now faultd.socket faultd.service
	for u in $units; do
		check "$u is enabled" equal "$(systemctl is-enabled "$u")" enabled
		check "$u is active" equal "$(systemctl is-active "$u")" active
	done
	check "faultd says READY itself" equal "$(property faultd.service Type)" notify
	check "faultd's status is told" wait_for 5 status_has '^0 faults open$'
	note "StatusText: $(property faultd.service StatusText)"
	check "the guardian is connected" wait_for 5 ready
	check "socket is root's and the group's" equal "$(stat -c '%F %a %U:%G' $sock)" "socket 660 root:faultd"
	check "directory" equal "$(stat -c '%a %U:%G' /run/faultd)" "755 root:root"
	check "journal directory is root's only" equal "$(stat -c '%a %U:%G' /run/faultd/journal)" "700 root:root"
	check "guardian's socket is root's only" equal "$(stat -c '%a %U:%G' /run/faultd/guardian.sock)" "600 root:root"
	check "doctor" faultctl doctor
	faultctl doctor | notes
	check "doctor: classifier" doctor_says ok classifier
	check "doctor: no TCX here" doctor_says limited tcx
	check "doctor: the guardian's memory is locked" doctor_says ok memory-lock
	check "doctor: OOM score" doctor_says ok oom-score
}

doctor_says() { faultctl doctor | grep -q "^$1 *$2 " || { faultctl doctor | grep " $2 "; return 1; }; }

word_of() { awk -v k="$2:" '$1 == k { print $2 }' "/proc/$1/status"; }
field_of() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f "$2"; } # numbered from the state

test_directives() {
	local f g
	part "directives"
	f=$(main_pid)
	g=$(guardian_pid)
	check "faultd: nice -10" equal "$(field_of "$f" 17)" -10
	check "faultd: OOM score" equal "$(cat "/proc/$f/oom_score_adj")" -900
	check "faultd: no new privileges" equal "$(word_of "$f" NoNewPrivs)" 1
	check "faultd: a seccomp filter" equal "$(word_of "$f" Seccomp)" 2
	check "faultd: descriptors" equal "$(awk '/^Max open files/ { print $4 }' "/proc/$f/limits")" 65536
	check "faultd: the host's mount namespace" equal "$(readlink "/proc/$f/ns/mnt")" "$(readlink /proc/1/ns/mnt)"
	check "faultd: memory.min" equal "$(cat /sys/fs/cgroup/system.slice/faultd.service/memory.min)" 16777216
	check "guardian: memory.min" equal "$(cat /sys/fs/cgroup/system.slice/faultd-guardian.service/memory.min)" 4194304
	check "guardian: OOM score" equal "$(cat "/proc/$g/oom_score_adj")" -1000
	check "guardian: real-time" equal "$(chrt -p "$g" | sed -n 's/.*policy: \(SCHED_FIFO\).*/\1/p')" SCHED_FIFO
	check "guardian: memory is locked" between 1 "$(word_of "$g" VmLck)" 100000
	note "faultd: CapEff $(word_of "$f" CapEff), RSS $(word_of "$f" VmRSS) kB; guardian: CapEff $(word_of "$g" CapEff), locked $(word_of "$g" VmLck) kB"
	for u in $services; do
		systemd-analyze security --no-pager "$u" | tail -n 1 | notes
	done
}

test_activation() {
	local start
	part "socket activation"
	systemctl stop faultd.service 2>/dev/null
	check "faultd is stopped" equal "$(systemctl is-active faultd.service)" inactive
	check "the socket is not" equal "$(systemctl is-active faultd.socket)" active
	check "nor the guardian" equal "$(systemctl is-active faultd-guardian.service)" active
	start=$(ms)
	check "a connection starts it" faultctl list
	note "measured: $(($(ms) - start)) ms to the first answer"
	check "faultd is active" wait_for 10 systemctl is-active --quiet faultd.service
	check "ready" wait_for 10 ready
}

test_users() {
	local said status
	part "who may"
	useradd -m -G faultd member
	useradd -m other
	check "a member of the group can list" runuser -u member -- faultctl list
	check "a member of the group can inject" runuser -u member -- faultctl run cpu-stress --percent 10 --duration 1s
	said=$(runuser -u other -- faultctl list 2>&1)
	status=$?
	check "another user cannot" equal "$status $said" "4 faultctl: no permission to use $sock: are you in the group faultd?"
	check "nor read the journal" fails runuser -u other -- ls /run/faultd/journal
}

test_cpu() {
	local before during run worker
	part "cpu-stress"
	before=$(busy 2)
	faultctl run cpu-stress --percent 50 --duration 9s >/run/cpu.out 2>&1 &
	run=$!
	wait_for 5 loaded
	worker=$(pgrep -x -o faultd-load)
	check "workers: in the unit" equal "$(cat "/proc/$worker/cgroup")" 0::/system.slice/faultd.service
	note "worker: nice $(field_of "$worker" 17), OOM score $(cat "/proc/$worker/oom_score_adj")"
	check "workers: not better than others" between 0 "$(field_of "$worker" 17)" 19
	check "workers: no protection from the OOM killer" between 0 "$(cat "/proc/$worker/oom_score_adj")" 1000
	sleep 1.5
	during=$(busy 4)
	wait $run
	check "ends well" equal $? 0
	notes </run/cpu.out
	note "measured: busy $before % before, $during % during"
	check "the load is there" between 35 "$during" 75
	check "no worker is left" unloaded
}

test_network() {
	local lost
	part "network-loss by clsact"
	check "no loss before" reaches
	check "starts" faultctl run network-loss --interface $host --direction ingress --percent 30 --duration 10m --detach
	check "clsact is there" hooked
	tc filter show dev $host ingress | notes
	lost=$(loss 400)
	note "measured: $lost % lost"
	check "30 % are lost" between 20 "$lost" 40
	check "stop" faultctl stop --all
	check "clsact is gone" unhooked
	check "no loss after" reaches
	ip link add fvm1 type veth peer name fvm2
	ip link set fvm1 up
	tc qdisc add dev fvm1 clsact
	check "on an interface with a clsact of its own" faultctl run network-blackhole --interface fvm1 --duration 10m --detach
	check "stop" faultctl stop --all
	check "which stays" equal "$(tc qdisc show dev fvm1 clsact | cut -d ' ' -f 2)" clsact
	check "without a filter" equal "$(tc filter show dev fvm1 ingress)$(tc filter show dev fvm1 egress)" ""
	ip link del fvm1
}

test_pause() {
	part "process-pause"
	check "starts" faultctl run process-pause --pid "$victim" --duration 10m --detach
	check "the process stands" stands
	check "its line in the status" wait_for 5 status_has '^1 fault open$'
	check "stop" faultctl stop --all
	check "the process goes on" goes
}

test_stop() {
	part "systemctl stop"
	check "faults" start_faults
	faultctl run cpu-stress --percent 20 --duration 10m --detach >/dev/null
	check "a load" loaded
	undone_within 2000 "stop" systemctl stop faultd.service
	check "result" equal "$(property faultd.service Result)" success
	journal_since "$part_start" | notes
	systemctl start faultd.service
	works_again "started"
}

signal_main() { # SIGNAL UNIT...
	local signal=$1
	shift
	systemctl kill --signal="$signal" "$@"
}

test_kill() {
	local restarts
	part "SIGKILL to faultd"
	check "faults" start_faults
	restarts=$(property faultd.service NRestarts)
	undone_within $killed_ms "killed" signal_main KILL faultd.service
	works_again "killed"
	check "systemd restarted it" equal "$(property faultd.service NRestarts)" $((restarts + 1))
	check "the guardian did it" grep -q 'faultd-guardian.*undone' <<<"$(journal_since "$part_start")"
	journal_since "$part_start" | notes
}

test_kill_both() {
	part "SIGKILL to faultd and the guardian at once"
	check "faults" start_faults
	# The guardian first, and both before either can notice.
	undone_within 5000 "both killed" kill -KILL "$(guardian_pid)" "$(main_pid)"
	check "the guardian did not do it" fails grep -q 'faultd-guardian.* is lost' <<<"$(journal_since "$part_start")"
	works_again "both killed"
	journal_since "$part_start" | notes
}

test_hang() {
	part "SIGSTOP to faultd"
	check "faults" start_faults
	undone_within $hung_ms "stopped" signal_main STOP faultd.service
	works_again "stopped"
	journal_since "$part_start" | notes
}

guardian_is_new() {
	local now
	now=$(faultctl --json doctor >/dev/null && guardian_pid)
	[ "$now" != 0 ] && [ "$now" != "$1" ] && ready
}

kill_one_stop_other() {
	local pid
	pid=$(main_pid)
	kill -KILL "$(guardian_pid)"
	kill -STOP "$pid"
}

test_hang_alone() {
	part "SIGSTOP to faultd, SIGKILL to the guardian at once"
	check "faults" start_faults
	undone_within 8000 "stopped, no guardian" kill_one_stop_other
	works_again "stopped, no guardian"
	journal_since "$part_start" | notes
}

test_oom() {
	local pid
	part "the OOM killer takes a worker"
	check "faults" start_faults
	faultctl run cpu-stress --percent 20 --cpus 0-0 --duration 10m --detach >/dev/null
	check "a load" loaded
	pid=$(main_pid)
	echo f >/proc/sysrq-trigger
	check "it took the worker" wait_for 10 unloaded
	sleep 2
	check "faultd lives" equal "$(main_pid)" "$pid"
	check "the other faults are still there" eval 'hooked && stands'
	journal_since "$part_start" | notes
	wait_for 15 ready
	faultctl list | notes
	check "stop" faultctl stop --all
	check "undone" explain
}

test_second_guardian() {
	local pid
	part "a second guardian by hand"
	check "faults" start_faults
	pid=$(main_pid)
	timeout 4 faultd-guardian --watch 2>&1 | notes
	check "faultd lives" equal "$(main_pid)" "$pid"
	check "the faults are still there" eval 'hooked && stands'
	check "stop" faultctl stop --all
	check "undone" explain
}

test_guardian_restart() {
	local old
	part "restart of the guardian"
	check "faults" start_faults
	old=$(guardian_pid)
	check "restart" systemctl restart faultd-guardian.service
	check "a new one is connected" wait_for 10 guardian_is_new "$old"
	check "the faults are still there" eval 'hooked && stands'
	sleep 3
	check "also later" eval 'hooked && stands'
	undone_within $killed_ms "armed again" signal_main KILL faultd.service
	works_again "armed again"

	check "faults" start_faults
	systemctl stop faultd-guardian.service
	check "without a guardian the faults stay" eval 'hooked && stands'
	faultctl run process-pause --pid $$ --duration 1s --detach >/dev/null 2>&1
	check "and no new one is accepted" equal $? 7
	check "its status says so" wait_for 5 status_has 'no guardian'
	check "stop" faultctl stop --all
	check "undone" explain
	systemctl start faultd-guardian.service
	works_again "guardian again"
	old=$(guardian_pid)
	signal_main KILL faultd-guardian.service
	check "killed, the guardian comes back" wait_for 10 guardian_is_new "$old"
	journal_since "$part_start" | notes
}

test_reload() {
	local said status
	part "reload"
	mkdir -p /etc/faultd
	echo '{"protectedProcesses": ["sleep"]}' >/etc/faultd/faultd.json
	check "systemctl reload" systemctl reload faultd.service
	signal_main HUP --kill-who=main faultd.service
	sleep 1
	check "still active" equal "$(systemctl is-active faultd.service)" active
	said=$(faultctl run process-pause --pid "$victim" --duration 1s 2>&1)
	status=$?
	note "$said"
	check "the new policy holds" equal $status 3
	rm /etc/faultd/faultd.json
	signal_main HUP --kill-who=main faultd.service
	sleep 1
}

test_again_and_again() {
	local start pid
	part "killed eight times in a row, each time as soon as it is there"
	start=$(ms)
	for _ in 1 2 3 4 5 6 7 8; do
		wait_for 12 runs || break
		pid=$(main_pid)
		kill -KILL "$pid"
	done
	note "measured: killed within $(($(ms) - start)) ms"
	check "it is back" wait_for 15 ready
	check "its socket too" systemctl is-active --quiet faultd.socket
	systemctl reset-failed faultd.service faultd.socket
	systemctl start faultd.socket faultd.service
}

test_watchdog() {
	part "watchdog"
	check "set" equal "$(property faultd.service WatchdogUSec)" 30s
	check "pinged" wait_for 20 eval "[ \"\$(property faultd.service WatchdogTimestampMonotonic)\" != $(property faultd.service WatchdogTimestampMonotonic) ]"
}

test_journal() {
	local said
	part "journal"
	said=$(journalctl -q -b --no-pager -o verbose FAULTD_ACTION=cpu-stress)
	check "FAULTD_ACTION" grep -q 'FAULTD_ACTION=cpu-stress' <<<"$said"
	check "FAULTD_FAULT" grep -q 'FAULTD_FAULT=f-' <<<"$said"
	check "of the unit" grep -q '_SYSTEMD_UNIT=faultd.service' <<<"$said"
	journalctl -q -b --no-pager -o cat FAULTD_ACTION=cpu-stress | head -n 5 | notes
	said=$(journalctl -q -b --no-pager -o cat _COMM=faultd _COMM=faultd-guardian _COMM=faultd-load |
		grep -iE 'cannot|not permitted|denied|EPERM|seccomp|rlimit|going on without|without privileges|dumped')
	check "nothing is denied to them" equal "$said" ""
	said=$(journalctl -q -b --no-pager -o cat -k | grep -E 'audit: type=1326|faultd.*(segfault|trap)')
	check "nor by the kernel" equal "$said" ""
	said=$(journalctl -q -b --no-pager -o cat -p err -u faultd.service | sort | uniq -c)
	note "errors: ${said:-none}"
}

test_stop_all() {
	part "everything is stopped at once"
	check "faults" start_faults
	# shellcheck disable=SC2086 # a list of words
	undone_within 3000 "all stopped" systemctl stop $units
	for u in $units; do
		check "$u" equal "$(systemctl is-active "$u")" inactive
	done
	check "no process of faultd is left" fails pgrep -l '^faultd'
	check "nobody can connect" fails faultctl list
	journal_since "$part_start" | notes
	check "started again" systemctl start faultd.socket faultd.service
}

# ---- pytest

# The results of each test are given by vm_tap.py, which goes on counting from ours.
run_pytest() { # ARGUMENTS...
	local status
	echo "$n" >$store/count
	(cd $top && FAULTD_BUILD_DIR=$top/build FAULTD_TAP=/dev/ttyS1 FAULTD_TAP_COUNT=$store/count PYTHONPATH=$top/tests/vm \
		PYTHONDONTWRITEBYTECODE=1 exec python3 -m pytest -q -p vm_tap "$@") >/run/pytest.log 2>&1
	status=$?
	n=$(cat $store/count)
	# 1: some failed, which they have said; 5: none was chosen
	case $status in
	0 | 1 | 5) ;;
	*) check "pytest can run $*" eval "tail -n 40 /run/pytest.log; false" ;;
	esac
	sed -n '/^=* back after a crash/,/^=* [a-z]* *test summary\|^=* [0-9]/p' /run/pytest.log | grep -v '^=' | notes
	note "measured: $((EPOCHSECONDS - part_start)) s for this part so far"
}

test_pytest() {
	part "pytest: what needs cgroup v2, systemd or a machine of its own"
	run_pytest -m "not reboots" tests/vm
}

# Of tests/netns, what needs netem, and the queues that are modules here; test=NAME finds the others too. An interface
# may vanish under a fault: that is not the same without TCX.
test_netns() {
	part "network faults by clsact and netem"
	run_pytest tests/netns/test_latency.py tests/netns/test_impair.py tests/netns/test_many.py \
		-k "not (tcx or partition or connectivity or aliases or refused)"
	run_pytest tests/netns/test_network.py -k "vanishes and not tcx"
}

# Held by the journal alone, so that a guardian is all there is; a few points of each.
test_crash() {
	part "the crash matrix on this kernel"
	run_pytest tests/vm/crash_v2.py
}

wanted() { # NAME: does it match faultd.only= ?
	[ -z "$only" ] || [[ $1 == *"$only"* ]]
}

# ---- the first boot

first_boot() {
	local name
	make_world
	test_install
	[[ $only != tests/* ]] || {
		part "pytest: $only"
		run_pytest "$only"
		return
	}
	for name in directives activation users cpu network pause stop kill kill_both hang hang_alone second_guardian oom \
		guardian_restart reload watchdog journal stop_all again_and_again crash; do
		! wanted $name || test_$name
	done
	if [ -z "$only" ]; then
		test_netns
		test_pytest
	else
		part "pytest: $only"
		run_pytest -m "not reboots" -k "$only" tests/vm tests/netns
	fi
	(cd $top && PYTHONDONTWRITEBYTECODE=1 python3 -m pytest -q --collect-only -m reboots ${only:+-k "$only"} tests/vm) |
		grep :: >$store/queue
	if wanted after; then
		part "reboot with faults active"
		check "faults" start_faults
		go_down
	fi
}

# By faultd itself where it can. Does not return.
go_down() {
	echo after >$store/expected
	save
	if faultctl actions | grep -q '^host-reboot '; then
		note "by host-reboot"
		mkdir -p /etc/faultd
		echo '{"hostActions": "allow"}' >/etc/faultd/faultd.json
		systemctl reload faultd.service
		faultctl run host-reboot --yes --detach 2>&1 | notes
	else
		note "by systemctl: this build has no host-reboot"
		systemctl reboot
	fi
	sleep 120
	rm -f $store/expected /etc/faultd/faultd.json
	check "it reboots" false
}

save() {
	echo "$n" >$store/count
	sync
}

# ---- the boots after

test_after() {
	local said
	part "the boot after"
	check "the machine is up" wait_for 60 systemctl is-system-running
	for u in $units; do
		check "$u is active" wait_for 30 systemctl is-active --quiet "$u"
	done
	check "ready" wait_for 15 ready
	check "no fault is open" no_journals
	said=$(journalctl -q -b -1 --no-pager -o short-monotonic --no-hostname -u faultd.service -u faultd-guardian.service | tail -n 15)
	notes <<<"$said"
	check "it was stopped orderly" grep -q 'stopping: SIGTERM' <<<"$said"
	check "and with success" grep -q 'faultd.service: Deactivated successfully' <<<"$said"
	check "and did not hold the machine up" fails grep -qi 'timed out' <<<"$said"
	systemd-analyze --no-pager 2>&1 | head -n 1 | notes
	systemctl --no-pager --failed --plain --no-legend | notes
}

# A test that reboots the machine is run once before and once after: what it left in `expected` tells it which.
reboot_tests() {
	local name
	while read -r name <$store/queue; do
		part "pytest: $name"
		run_pytest "$name"
		rm -f $store/expected
		sed -i 1d $store/queue
		save
	done
}

only=$(sed -n 's/.*faultd\.only=\([^ ]*\).*/\1/p' /proc/cmdline)
boot=$(($(cat $store/boot 2>/dev/null || echo 0) + 1))
echo $boot >$store/boot
n=$(cat $store/count 2>/dev/null || echo 0)
part_start=$EPOCHSECONDS
note "$(uname -sr), $(systemctl --version | head -n 1), $(stat -f -c %T /sys/fs/cgroup), boot $boot"
systemctl is-system-running --wait >/dev/null
if [ $boot = 1 ]; then
	: >$store/queue
	save
	first_boot
elif [ "$(cat $store/expected)" = after ]; then
	rm -f $store/expected /etc/faultd/faultd.json
	test_after
fi
reboot_tests
echo "1..$n"
sync
systemctl --no-block poweroff
sleep 60
