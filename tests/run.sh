#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that is tested: installs what it needs, builds with gcc and clang, warnings as errors, runs
# all with sanitizers. As root, for it makes namespaces; it aims at nothing it did not make itself.
#   sudo tests/run.sh            all
#   sudo tests/run.sh --quick    one build, without the long crash matrix and the linters
#   sudo tests/run.sh --only NAME   a part (lint gcc unit behaviour crash) or a pytest expression (-k)
set -u

cd "$(dirname "$0")/.." || exit 1
top=$PWD
quick=
only=
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=yes ;;
	--only)
		only=${2:?"--only needs a name"}
		shift
		;;
	-h | --help)
		sed -n '4,8s/^# //p' "$0"
		exit 0
		;;
	*)
		echo "run.sh: unknown option $1 (see --help)" >&2
		exit 2
		;;
	esac
	shift
done
[ "$(id -u)" = 0 ] || {
	echo "run.sh: run it as root: namespaces, BPF and signals are tested for real" >&2
	exit 1
}

export PYTHONDONTWRITEBYTECODE=1
export FAULTD_RANDOM_SEED=${FAULTD_RANDOM_SEED:-$RANDOM} # in the names of tests: the same when they are tried again
build=${FAULTD_TEST_BUILD:-$top/build}
workers=${FAULTD_TEST_WORKERS:-$(($(nproc) < 5 ? $(nproc) + 1 : 6))} # tests side by side
failed=()
passed=()
unsteady=()

is_part() { [[ " lint gcc unit behaviour crash " == *" $1 "* ]]; }

part() { # NAME COMMAND...: runs it if chosen, remembers how it ended
	local name=$1 start=$SECONDS
	shift
	if is_part "$only"; then
		[ "$only" = "$name" ] || return 0
	elif [ -n "$only" ]; then
		[ "$name" = behaviour ] || return 0
	fi
	printf '\n== %s\n' "$name"
	if "$@"; then
		passed+=("$name ($((SECONDS - start)) s)")
	else
		failed+=("$name")
	fi
}

setup() { # DIRECTORY OPTIONS...: configures once, again when options changed, and builds
	local dir=$1
	shift
	if [ -d "$dir/meson-info" ]; then
		meson configure "$dir" "$@" >/dev/null
	else
		meson setup "$dir" "$@" >"$dir.log" 2>&1 || { cat "$dir.log"; return 1; }
	fi
	ninja -C "$dir" >"$dir.log" 2>&1 || { grep -E 'error|warning|FAILED' "$dir.log" | head -n 40; return 1; }
}

# Debian's Python with Debian's pytest, and beside it what tests/requirements.txt wants newer. A Python of its own
# (pyenv, conda) may come first in PATH, and pip's index may be out of reach: neither stops the tests.
virtual_environment() {
	local venv=$build.venv
	[ -x "$venv/bin/pip" ] || /usr/bin/python3 -m venv --clear --system-site-packages "$venv" || return 1
	PATH=$venv/bin:$PATH
	pip install -q --disable-pip-version-check --retries 2 -r tests/requirements.txt >"$venv/pip.log" 2>&1 ||
		echo "tests/requirements.txt: pip could not install it (see $venv/pip.log): Debian's boto3, and no tests with moto"
}

c_files() { git ls-files 'agent/*.[ch]' 'bpf/*.[ch]' 'include/*.h' 'tests/*.[ch]'; }

lint() {
	local r=0
	c_files | xargs clang-format --dry-run -Werror || r=1
	shellcheck -x tests/*.sh tests/vm/*.sh packaging/*.sh .ci/run || r=1
	git ls-files '*.md' '*.c' '*.h' '*.py' '*.sh' | xargs codespell -q 3 -L nd,te || r=1
	setup "$build-clang" --werror -Dcrash_points=true || return 1
	git ls-files 'agent/*.c' | xargs -P "$(nproc)" -n 4 clang-tidy -quiet -warnings-as-errors='*' -p "$build-clang" 2>/dev/null || r=1
	return "$r"
}

# The build that is shipped: unit tests, and what sanitizers cannot see (memory kept, valgrind).
gcc_release() {
	CC=gcc setup "$build-gcc" --werror --buildtype=release || return 1
	meson test -C "$build-gcc" --print-errorlogs --no-rebuild || return 1
	FAULTD_BUILD_DIR=$build-gcc python3 -m pytest -q tests/api/test_leaks.py
}

unit() {
	meson test -C "$build" --print-errorlogs --no-rebuild && python3 -m pytest -q tests/unit
}

# Most tests wait most of the time, for the kernel or for a deadline: those run side by side, each worker in namespaces
# of its own (tests/lib/shards.py). Those marked `alone`, which measure CPUs, memory or rates, or count all that the
# kernel holds, run one after another, in the machine's own namespaces.
# Hundreds of processes are started, stopped and killed on a machine that may be busy with others. A few
# failures are tried once more, alone; what passes then is named at the end, for it may be a race of ours.
tests_in() { # DIRECTORIES...: with pytest, against the sanitizer build
	local k=() failures r=0 some='' hard=''
	local cache=$build/pytest-cache
	[ -z "$only" ] || is_part "$only" || k=(-k "$only")
	rm -rf "$cache"
	phase "$cache" "${k[@]}" -n "$workers" -m "not alone" "$@" || r=1
	phase "$cache" "${k[@]}" -m alone "$@" || r=1
	[ -n "$some" ] || { echo "no test is called so: $only" >&2; return 1; }
	[ "$r" = 1 ] || return 0
	failures=$(grep -c '^ *"' "$cache/v/cache/lastfailed" 2>/dev/null)
	[ -z "$hard" ] && [ "${failures:-0}" -ge 1 ] && [ "$failures" -le 8 ] || return 1
	sed -n 's/^ *"\(.*\)": true,*$/\1/p' "$cache/v/cache/lastfailed" >"$cache/unsteady"
	printf '\n== once more: what failed\n'
	phase "$cache" --last-failed "${k[@]}" "$@" || return 1
	mapfile -t -O "${#unsteady[@]}" unsteady <"$cache/unsteady"
}

# Each has up to twelve lives at once, and the kernel one lock for all their interfaces.
crash() {
	local workers=$((workers > 2 ? 2 : workers))
	tests_in tests/crash
}

# Sets `some` when there were tests (5: none), and `hard` when more than tests failed: 2 to 4 are pytest's own, 9 says
# that the machine was not as before (tests/lib/machine.py).
phase() { # CACHE OPTIONS...: pytest, which remembers what failed
	local cache=$1 r
	shift
	FAULTD_BUILD_DIR=$build FAULTD_MUST_CRASH=1 python3 -m pytest -q -o "addopts=-ra --strict-markers" -o "cache_dir=$cache" "$@"
	r=$?
	[ "$r" = 5 ] && return 0
	some=yes
	[ "$r" -le 1 ] || hard=yes
	return "$r"
}

packaging/install-packages.sh packaging/build-dependencies tests/dependencies || exit 1
virtual_environment || exit 1

echo "== build (clang, address and undefined-behaviour sanitizers, crash points)"
CC=clang setup "$build" --werror -Db_sanitize=address,undefined -Db_lundef=false -Dcrash_points=true || exit 1
export ASAN_OPTIONS=abort_on_error=1:detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

if [ -z "$quick" ]; then
	CC=clang part lint lint
	part gcc gcc_release
fi
part unit unit
if [ -n "$only" ] && ! is_part "$only"; then
	part behaviour tests_in tests/api tests/netns tests/crash
else
	part behaviour tests_in tests/api tests/netns
	[ -n "$quick" ] || part crash crash
fi

echo
for name in "${passed[@]}"; do echo "ok      $name"; done
for name in "${unsteady[@]}"; do echo "unsteady: passed the second time only: $name"; done
for name in "${failed[@]}"; do echo "FAILED  $name"; done
echo "${#passed[@]} passed, ${#failed[@]} failed"
[ ${#failed[@]} -eq 0 ]
