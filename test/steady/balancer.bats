#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What happens to the balancer and to its configuration, and breaks no connection.

load ../net/helpers
load ../net/streams

setup_file() {
	open_lab clients=1 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab config key=yes
	streams_serve
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	start_missing b1 s1 s2 s3 s4
}

# change VERB SERVER [ARGUMENTS...]: by the command line.
change() {
	local verb=$1 server=$2

	shift 2
	"$PLIMSOLL" "$verb" web "$(address "$server")" "$@" --instance "$(namespace b1)" 3>&-
}

flap() { # MACHINE, as its own administrator would
	ip -n "$(namespace "$1")" link set eth0 down
	sleep 0.5
	ip -n "$(namespace "$1")" link set eth0 up
}

@test "the daemon is killed, and started again" {
	streams_begin
	lab kill b1
	settle
	lab start b1
	settle
	streams_unharmed balancer-killed-and-restarted
}

@test "a backend drains and comes back, others get other weights" {
	streams_begin
	change drain s4
	settle
	change weight s3 7
	change weight s2 2
	settle
	change undrain s4
	change weight s3 1
	settle
	streams_unharmed drain-undrain-weight
}

@test "a backend's MAC address changes, and it has connections" {
	streams_begin
	ip -n "$(namespace s2)" link set eth0 address 02:00:00:00:05:aa
	settle
	ip -n "$(namespace s2)" link set eth0 address "$(mac s2)"
	settle
	streams_unharmed backend-mac-changed
}

@test "the balancer's interface is down for half a second" {
	streams_begin
	flap b1
	settle
	streams_unharmed balancer-interface-down-and-up
}
