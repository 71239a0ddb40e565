#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The main job in short, for a kernel in a virtual machine: a balancer, two servers with nginx, a
# client. Nothing here is about time: emulation is slow.

load ../net/helpers

setup_file() {
	open_lab clients=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	make_file small 100
	start_nginx s1
	start_nginx s2
	lab config max_share=10%
	lab start all
}

@test "connections reach both servers, and answers the client" {
	run -0 fetch_names 30
	expect "$(wc -l <<<"$output")" -eq 30
	expect "$(sort -u <<<"$output" | xargs)" = 's1 s2'
}

@test "servers report on their answers, and the balancer takes the reports" {
	run -0 fetch_names 30
	expect "$(stamped s1 s2)" -gt 0
	expect "$(counter b1 report-taken)" -gt 0
	expect "$(backend s1 .report_age_ms)" != null
}

@test "a program that somebody takes off is put back" {
	tc_detach s1 egress
	wait_until 60 grep -q 'had taken a program of ours off; it is there again' "$STATE/s1/plimsoll.log"
	expect -n "$(tc_program s1 egress)"
	run -0 fetch_names 10
}

@test "the client never sees an option" {
	local file=$BATS_TEST_TMPDIR/client.pcap

	capture c1 eth0 "$file" 'ip and ip[0] != 0x45' 3>&-
	run -0 fetch_names 30
	capture_end "$file"
	expect "$(captured "$file")" -eq 0
}

@test "so it is in generic XDP, with checksums that are unfinished" {
	local machine

	for machine in $(machines cs); do
		inside "$machine" ethtool -K eth0 tx on >/dev/null
	done
	lab stop b1
	sed -i 's/^xdp_mode: .*/xdp_mode: generic/' "$STATE/b1/balancer.yaml"
	lab start b1
	run -0 fetch_names 30
	expect "$(sort -u <<<"$output" | xargs)" = 's1 s2'
	expect "$(counter b1 report-taken)" -gt 0
	expect "$(show b1 '.interfaces[0].xdp_mode')" = generic
}

@test "what the daemons have set is taken back at their end" {
	lab stop all
	run inside b1 bpftool net
	[[ $output != *balancer* ]] || fail "still attached: $output"
	expect ! -e "/run/plimsoll/$(namespace b1)"
	run -0 inside s1 ip address show dev lo
	[[ $output != *"$LAB_VIP"* ]] || fail "the VIP is still there: $output"
}
