#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# ICMP to a service's address: pings, and what a router on the way to the client has to say.

load helpers

# c1 is behind c2, a router, by a link whose MTU is 1000 only on the router's side: what the servers
# send c1 must pass there.
setup_file() {
	open_lab clients=2 servers=3
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	lab start all
	put_behind_router
}

put_behind_router() {
	local machine

	ip -n "$(namespace c2)" -batch - <<-END
		link add far mtu 1000 type veth peer name near netns $(namespace c1)
		address add 192.168.77.1/24 dev far
		link set far up
	END
	ip -n "$(namespace c1)" -batch - <<-END
		address add 192.168.77.2/24 dev near
		link set near up
		route add $LAB_VIP/32 via 192.168.77.1 src 192.168.77.2
	END
	inside c1 ethtool -K near tx off >/dev/null
	inside c2 sysctl -q -w net.ipv4.ip_forward=1
	for machine in $(machines bs); do
		ip -n "$(namespace "$machine")" route add 192.168.77.0/24 via "$(address c2)"
	done
}

@test "a ping of the VIP is answered by the balancer" {
	local before

	before=$(counter b1 echo-answered)
	run -0 inside c2 ping -c 3 -i 0.2 -W 5 -s 100 "$LAB_VIP"
	expect "$(counter b1 echo-answered)" -eq $((before + 3))
}

@test "also one through a router" {
	run -0 inside c1 ping -c 3 -i 0.2 -W 5 "$LAB_VIP"
}

@test "echo: pass leaves it to the host" {
	sed -i '1i echo: pass' "$STATE/b1/balancer.yaml"
	lab stop b1
	lab start b1
	run -0 inside c2 ping -c 2 -i 0.2 -W 5 "$LAB_VIP"
	expect "$(counter b1 echo-answered)" -eq 0
	inside b1 sysctl -q -w net.ipv4.icmp_echo_ignore_all=1
	run ! inside c2 ping -c 1 -W 1 "$LAB_VIP"
	inside b1 sysctl -q -w net.ipv4.icmp_echo_ignore_all=0
	sed -i 1d "$STATE/b1/balancer.yaml"
	lab stop b1
	lab start b1
}

# Without that each download would stop at its first full packet.
@test "a router's fragmentation needed reaches the server that has the connection" {
	local before number

	before=$(counter b1 icmp-steered)
	for number in {1..8}; do
		expect "$(fetch "10k?$number" | checksum)" = "$(checksum_of 10k)"
	done
	expect "$(counter b1 icmp-steered)" -gt "$before"
	run -0 inside c1 nstat -asz IpReasmReqds
	[[ $output =~ IpReasmReqds\ +0\  ]] || fail "there were fragments: $output"
}
