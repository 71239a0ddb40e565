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

@test "another daemon takes over, three times" {
	streams_begin
	for _ in 1 2 3; do
		lab takeover b1
		settle
	done
	streams_unharmed balancer-taken-over
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

reload() {
	"$PLIMSOLL" reload --instance "$(namespace b1)" 3>&-
}

backend_gone() { # SERVER
	[ -z "$(backend "$1" .address)" ]
}

@test "the file is read again: policies, rings, weights, backends and services come and go" {
	local file=$STATE/b1/balancer.yaml

	cp "$file" "$BATS_TEST_TMPDIR/original.yaml"
	streams_begin
	sed -i "s/policy: .*/policy: least-loaded\n    ring_size: 101/; /$(address s4),/d" "$file"
	reload
	settle
	sed -i 's/policy: .*/policy: maglev/; s/ring_size: .*/ring_size: 65537\n    choices: 2/; s/weight: 1/weight: 3/' "$file"
	printf '  - {name: more, address: %s:81, backends: [{address: %s}]}\n' "$LAB_VIP" "$(address s2)" >>"$file"
	reload
	settle
	echo 'mistake: 1' >>"$file"
	reload && fail 'a mistake is no reason to refuse'
	kill -HUP "$(pid_of "$STATE/b1/plimsoll.pid")"
	settle
	cp "$BATS_TEST_TMPDIR/original.yaml" "$file"
	reload
	settle
	streams_unharmed reload
}

@test "a backend is added, another removed: it keeps its connections, and is gone after the last" {
	change remove s3 --now
	streams_begin
	change add s3 --weight 2
	settle
	change remove s4
	settle
	expect "$(backend s4 .open_connections)" -gt 0
	streams_unharmed add-remove
	wait_until 60 backend_gone s4
	reload
}

old_key_reports() {
	show b1 '[.services[].backends[].reports_by_old_key] | add'
}

none_by_old_key() {
	local before

	before=$(old_key_reports)
	sleep 0.5
	[ "$(old_key_reports)" -eq "$before" ]
}

@test "the reports' key is exchanged: both are valid for a while" {
	local file=$STATE/b1/balancer.yaml machine wrong

	wrong=$(counter b1 report-wrong-tag)
	streams_begin
	cp -p "$STATE/report.key" "$STATE/old.key"
	make_key
	echo "old_report_key: $STATE/old.key" >>"$file"
	"$PLIMSOLL" reload --instance "$(namespace b1)" 3>&-
	settle
	expect "$(old_key_reports)" -gt 0
	lab takeover server
	wait_until 10 none_by_old_key
	sed -i '/^old_report_key/d' "$file"
	"$PLIMSOLL" reload --instance "$(namespace b1)" 3>&-
	settle
	for machine in s1 s2 s3 s4; do
		expect "$(backend $machine .known)" = true
	done
	expect "$(counter b1 report-wrong-tag)" -eq "$wrong"
	streams_unharmed report-key-exchanged
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
