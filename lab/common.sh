#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What every part of the lab knows: names, addresses, where things are. Sourced, not run.
# shellcheck disable=SC2034 # what is set here is read by those who source it

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# In the repository what was built there; installed, what is installed with it.
if [ -e "$ROOT/Makefile" ]; then
	PLIMSOLL=${PLIMSOLL:-$ROOT/build/plimsoll}
	LAB_BUILD=$ROOT/build/lab
else
	PLIMSOLL=${PLIMSOLL:-$ROOT/../../sbin/plimsoll}
	LAB_BUILD=/var/cache/plimsoll-lab
fi
LAB_STATES=/run/plimsoll-lab
LAB_VIP=10.1.0.100
# Load and servers go before whatever else the machine is doing, a build perhaps: what limits is to
# be what the lab says limits.
LAB_NICE=-10
LAB_CPU_WEIGHT=1000 # per cent of an ordinary process's

die() {
	printf 'lab: %s\n' "$*" >&2
	exit 1
}

# lab_select NAME: the lab that all functions work on from here.
lab_select() {
	[[ $1 =~ ^[A-Za-z0-9_]+$ ]] || die "\"$1\" is no name for a lab; letters, digits and _ are"
	LAB=$1
	STATE=$LAB_STATES/$LAB
}

require_root() {
	[ "$(id -u)" -eq 0 ] || die "$1 needs root: network namespaces are made and entered; sudo, perhaps"
}

# require_program PROGRAM PACKAGE: that it is installed.
require_program() {
	command -v "$1" >/dev/null || die "$1 is not installed; as root: apt-get install $2"
}

# progress TEXT...: what is being done, for who waits at a terminal; without a text: no more.
progress() {
	[ -t 2 ] || return 0
	printf '\r\033[K%s' "$*" >&2
}

require_lab() {
	require_root "$1"
	[ -d "$STATE" ] || die "there is no lab \"$LAB\"; \`lab up name=$LAB\` makes it"
}

namespace() {
	printf '%s-%s' "$LAB" "$1"
}

# machines [KINDS]: the machines that exist, "c1 b1 s1 ..." one a line; KINDS among c, b, s.
machines() {
	[ -f "$STATE/machines" ] && grep "^[${1:-cbs}]" "$STATE/machines"
}

require_machine() {
	local kinds=${2:-cbs}

	machines "$kinds" | grep -qxF -- "$1" ||
		die "no machine \"$1\" here; there are: $(machines "$kinds" | tr '\n' ' ')"
}

# address MACHINE: 10.1.0.2.. for balancers, .11.. for servers, .201.. for clients.
address() {
	local number=${1:1}

	case $1 in
	b*) printf '10.1.0.%d' $((1 + number)) ;;
	s*) printf '10.1.0.%d' $((10 + number)) ;;
	c*) printf '10.1.0.%d' $((200 + number)) ;;
	esac
}

# mac MACHINE: 02:00:00:00:KIND:NUMBER, the number in its decimal digits: s12 is ...:05:12.
mac() {
	local kind

	case $1 in
	b*) kind=0b ;;
	s*) kind=05 ;;
	c*) kind=0c ;;
	esac
	printf '02:00:00:00:%s:%02d' "$kind" "${1:1}"
}

# inside MACHINE COMMAND...: runs it there.
inside() {
	local machine=$1

	shift
	ip netns exec "$(namespace "$machine")" "$@"
}

# wait_until SECONDS COMMAND...: asks again and again; fails if it has not succeeded by then.
wait_until() {
	local end=$((SECONDS + 1 + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

process_gone() {
	! kill -0 "$1" 2>/dev/null
}

# pid_of FILE: the process that a pid file names, if it lives.
pid_of() {
	local pid

	[ -s "$1" ] && pid=$(<"$1") && kill -0 "$pid" 2>/dev/null && printf '%s' "$pid"
}
