#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# In which mode XDP runs: left to itself, generic on a veth, where nothing has to be done for it.

load helpers

setup_file() {
	open_lab clients=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	lab nginx 20m
	# A veth as it comes: checksums are left to a NIC, large packets are not cut, nobody waits at the other end.
	for machine in $(machines cs); do
		inside "$machine" ethtool -K eth0 tx on >/dev/null
	done
	ip -n "$(namespace switch)" link set b1 xdp off
	inside s1 "$BATS_TEST_DIRNAME/upload.py" serve 81 >/dev/null 2>&1 3>&- &
	lab config xdp_mode=auto
	echo "  - {name: bulk, address: '$LAB_VIP:81', backends: [{address: $(address s1)}]}" >>"$STATE/b1/balancer.yaml"
	lab start all
	cp "$STATE/b1/balancer.yaml" "$STATE/b1/original.yaml"
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	file=$STATE/b1/balancer.yaml
}

mode() {
	show b1 '.interfaces[0].xdp_mode'
}

reload() {
	"$PLIMSOLL" reload --instance "$(namespace b1)" "$@" 3>&-
}

@test "generic on a veth, with reports, although checksums are unfinished and no program is at the other end" {
	expect "$(mode)" = generic
	# No warning: it is as it should be.
	run ! grep -q 'no native XDP' "$STATE/b1/plimsoll.log"
	run -0 inside c1 curl -sf --max-time 10 "http://$LAB_VIP/name" "http://$LAB_VIP/name" "http://$LAB_VIP/name"
	wait_until 10 reports_come
	expect "$(mode)" = generic
}

reports_come() {
	inside c1 curl -sf --max-time 5 -o /dev/null "http://$LAB_VIP/name"
	[ "$(counter b1 report-taken)" -gt 0 ]
}

@test "packets that have yet to be cut pass, both ways" {
	run -0 inside c1 curl -sf --max-time 20 -o /dev/null -w '%{size_download}' "http://$LAB_VIP/20m"
	expect "$output" -eq $((20 << 20))
	run -0 inside c1 "$BATS_TEST_DIRNAME/upload.py" "$LAB_VIP" 81 $((20 << 20))
	expect "$output" -eq $((20 << 20))
	wait_until 5 packets_are_large
}

packets_are_large() {
	[ "$(show b1 '.services[] | select(.name == "bulk").backends[0] | .bytes > 1500 * .packets')" = true ]
}

@test "native as soon as a backend is reached by a tunnel, and from then on" {
	sed -i '0,/forward: l2/s//forward: ipip/' "$file"
	run -0 reload
	expect "$(mode)" = native
	grep -q 'eth0: XDP is native from now on' "$STATE/b1/plimsoll.log"
	cp "$STATE/b1/original.yaml" "$file"
	run -0 reload
	expect "$(mode)" = native
}

@test "what xdp_mode says, at once" {
	sed -i 's/^xdp_mode: .*/xdp_mode: generic/' "$file"
	run -0 reload
	expect "$(mode)" = generic
	reports_come
	sed -i 's/^xdp_mode: .*/xdp_mode: native/' "$file"
	run -0 reload
	expect "$(mode)" = native
	# A second daemon takes over what is there, in the mode in which it is.
	sed -i 's/^xdp_mode: .*/xdp_mode: auto/' "$file"
	run -0 lab takeover b1
	expect "$(mode)" = native
	sed -i 's/^xdp_mode: .*/xdp_mode: generic/' "$file"
	run -0 lab takeover b1
	expect "$(mode)" = generic
	reports_come
}

@test "native XDP that the driver refuses is refused, with what would do" {
	# So large an MTU leaves no room in a page.
	ip -n "$(namespace switch)" link set b1 mtu 9000
	sed -i 's/^xdp_mode: .*/xdp_mode: native/' "$file"
	run ! reload
	expect "$(mode)" = generic
	reports_come
	lab stop b1
	run ! lab start b1
	[[ $output == *'eth0: native XDP is refused'*'xdp_mode: generic'* ]]
}
