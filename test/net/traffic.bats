#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Real clients, real servers: what is asked for arrives, from all of them, and by the way that
# direct server return promises.

load helpers

setup_file() {
	open_lab clients=1 servers=4
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	lab start all
}

@test "a page arrives" {
	run -0 fetch name
	[[ $output =~ ^s[1-4]$ ]]
}

@test "connections spread over all servers" {
	run -0 fetch_names 80
	expect "$(wc -l <<<"$output")" -eq 80
	expect "$(sort -u <<<"$output" | xargs)" = 's1 s2 s3 s4'
}

@test "100 MB arrive unchanged" {
	expect "$(fetch 100m | checksum)" = "$(checksum_of 100m)"
}

@test "20 downloads at the same time arrive unchanged" {
	local directory=$BATS_TEST_TMPDIR

	run -0 inside c1 curl -sS --fail --max-time 60 --parallel --parallel-immediate --parallel-max 20 \
		-o "$directory/#1.file" "http://$LAB_VIP/10k?[1-20]"
	expect "$(find "$directory" -name '*.file' | wc -l)" -eq 20
	expect "$(sha256sum "$directory"/*.file | cut -d ' ' -f 1 | sort -u)" = "$(checksum_of 10k)"
}

@test "a connection stays on its server, while the load changes where new ones go" {
	load_start duration=3 connections=32
	for _ in {1..10}; do
		run -0 inside c1 curl -sS --fail --max-time 60 -w '%{num_connects} connections\n' \
			"http://$LAB_VIP/name?[1-20]"
		expect "$(grep -c '^s' <<<"$output")" -eq 20
		expect "$(grep '^s' <<<"$output" | sort -u | wc -l)" -eq 1
		expect "$(awk '/connections/ { sum += $1 } END { print sum }' <<<"$output")" -eq 1
	done
	expect "$(load_result .errors)" -eq 0
}

@test "the client never sees an option, while thousands pass on the balancer's wire" {
	local at_client=$BATS_TEST_TMPDIR/client.pcap at_balancer=$BATS_TEST_TMPDIR/balancer.pcap

	capture c1 eth0 "$at_client" 'ip and ip[0] != 0x45' 3>&-
	capture switch b1 "$at_balancer" 'ip and ip[0] != 0x45' 3>&-
	lab wrk duration=3 connections=32
	capture_end "$at_client"
	capture_end "$at_balancer"
	expect "$(captured "$at_balancer")" -gt 100
	expect "$(captured "$at_client")" -eq 0
}

@test "responses go straight to the client, except the carriers" {
	local stamped taken old carriers

	wait_until 5 wire_is_quiet
	stamped=$(stamped s1 s2 s3 s4)
	taken=$(counter b1 report-taken)
	old=$(counter b1 report-old)
	lab wire start
	lab wrk duration=3 connections=32
	wait_until 5 wire_is_quiet
	stamped=$(($(stamped s1 s2 s3 s4) - stamped))
	taken=$(($(counter b1 report-taken) - taken))
	old=$(($(counter b1 report-old) - old))
	carriers=$(wire .responses_via_balancer.packets)
	wire .
	expect "$stamped" -gt 100
	expect "$(wire .options_to_balancer.packets)" -eq "$stamped"
	# Two CPUs may stamp at once, and one report overtake the other: it is taken out all the same.
	expect $((taken + old)) -eq "$stamped"
	expect $((old * 100)) -lt "$stamped"
	expect "$carriers" -eq "$stamped"
	expect "$((carriers * 10))" -lt "$(wire .responses.packets)"
	expect "$(wire .options_to_client.packets)" -eq 0
}

# Were carriers lost or overtaken, each would cost a retransmission: there are more than 500.
@test "reports cost no retransmissions: as few as plain DSR has" {
	local with without stamped

	stamped=$(stamped s1 s2 s3 s4)
	with=$(retransmissions_of_load)
	stamped=$(($(stamped s1 s2 s3 s4) - stamped))
	lab stop server
	lab direct s1 s2 s3 s4
	without=$(retransmissions_of_load)
	echo "retransmissions with $stamped reports: $with, without reports: $without"
	expect "$stamped" -gt 500
	expect "$with" -le "$((without + 10 + stamped / 50))"
}

retransmissions_of_load() {
	local before

	before=$(retransmitted c1 s1 s2 s3 s4)
	lab wrk duration=3 connections=32 >&2
	echo $(($(retransmitted c1 s1 s2 s3 s4) - before))
}
