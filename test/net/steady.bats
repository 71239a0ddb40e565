#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The short form of `make test-steady`: one story in which much happens, and no connection notices.

load helpers
load streams

# shellcheck disable=SC2034 # for streams
STEADY_LIVE=1000 STEADY_NEW=200

setup_file() {
	open_lab clients=1 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab config key=yes
	streams_serve
	lab start all
}

@test "daemons die and come back, others take over, a backend drains, another moves: nothing broken" {
	streams_begin
	lab kill b1 s1
	"$PLIMSOLL" drain web "$(address s3)" --instance "$(namespace b1)" 3>&- && fail 'who does not live obeys'
	lab start b1 s1
	"$PLIMSOLL" drain web "$(address s3)" --instance "$(namespace b1)" 3>&-
	ip -n "$(namespace s2)" link set eth0 address 02:00:00:00:05:aa
	lab takeover b1 s1
	"$PLIMSOLL" undrain web "$(address s3)" --instance "$(namespace b1)" 3>&-
	settle
	streams_unharmed short
	expect "$(figure '[.servers[].new | select(. > 0)] | length')" -eq 3
}
