#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The ways that packets of real programs take: datagrams, whole and in fragments; VLAN tags; in on one
# interface and out on another; routers in front of clients and of servers. Each time the answer is right,
# reports come back where there are any, and no client ever sees an option.
#
#   c1 (client) --+                          +-- s1
#                 +-- switch -- b1           +-- s2 --- c2, which is a router:
#   c2 ----------+       10.1.0.0/24         |    10.3.0.0/24 to s2, 192.168.77.0/24 to c1
#   c2 --- eth1 of b1, 10.2.0.0/24           |

load helpers

VIP6=2001:db8::64

setup_file() {
	open_lab clients=2 balancers=1 servers=2
	[ -n "${LAB:-}" ] || return 0
	lab nginx
	lab config
	speak_ipv6
	add_links
	start_programs
}

speak_ipv6() {
	local machine

	for machine in $(machines); do
		inside "$machine" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0 \
			net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0
		ip -n "$(namespace "$machine")" address add "$(address6 "$machine")/64" dev eth0 nodad
	done
	inside c2 sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

address6() {
	local last
	last=$(address "$1")
	echo "2001:db8::${last##*.}"
}

# link MACHINE INTERFACE MACHINE INTERFACE NETWORK: .1 is the first machine's, .2 the second's.
link() {
	ip -n "$(namespace "$1")" link add "$2" type veth peer name "$4" netns "$(namespace "$3")"
	ip -n "$(namespace "$1")" address add "10.$5.0.1/24" dev "$2"
	ip -n "$(namespace "$3")" address add "10.$5.0.2/24" dev "$4"
	ip -n "$(namespace "$1")" address add "2001:db8:$5::1/64" dev "$2" nodad
	ip -n "$(namespace "$3")" address add "2001:db8:$5::2/64" dev "$4" nodad
	ip -n "$(namespace "$1")" link set "$2" up
	ip -n "$(namespace "$3")" link set "$4" up
	inside "$1" ethtool -K "$2" tx off >/dev/null
	inside "$3" ethtool -K "$4" tx off >/dev/null
}

add_links() {
	local machine

	link c2 second b1 eth1 2
	link c2 servers s2 eth1 3
	link c2 far c1 near 77
	inside c2 ip link set second xdpdrv obj "$LAB_BUILD/pass.bpf.o" sec xdp
	for machine in b1 s1 s2; do
		ip -n "$(namespace "$machine")" route add 10.77.0.0/24 via "$(address c2)"
		ip -n "$(namespace "$machine")" route add 2001:db8:77::/64 via "$(address6 c2)"
	done
	for machine in s1 s2; do
		ip -n "$(namespace "$machine")" route add 10.2.0.0/24 via "$(address c2)"
	done
	for machine in b1 c1; do
		ip -n "$(namespace "$machine")" route add 10.3.0.0/24 via "$(address c2)"
		ip -n "$(namespace "$machine")" route add 2001:db8:3::/64 via "$(address6 c2)"
	done
}

start_programs() {
	local machine

	for machine in s1 s2; do
		inside "$machine" dnsmasq --keep-in-foreground --no-resolv --no-hosts --conf-file=/dev/null \
			--user=root --pid-file= --txt-record=name.test,"$machine" </dev/null >/dev/null 2>&1 3>&- &
		inside "$machine" python3 "$BATS_TEST_DIRNAME/echo.py" serve "$machine" </dev/null >/dev/null 2>&1 3>&- &
		inside "$machine" python3 "$BATS_TEST_DIRNAME/name6.py" :: "$machine" </dev/null >/dev/null 2>&1 3>&- &
		wait_until 10 inside "$machine" bash -c \
			"ss -Hlun | grep -q ':7000 ' && ss -Hlun | grep -q ':53 ' && ss -Hltn6 | grep -q ':80 '"
	done
}

setup() {
	[ "$(id -u)" -eq 0 ] || skip 'network namespaces are root'\''s to make'
	s1=$(address s1) s2=$(address s2) balancer=$(address b1)
	keys='' interfaces=eth0 on_s2=eth0 client=c1
}

teardown() {
	[ -n "${LAB:-}" ] || return 0
	end_captures
	lab stop all
	inside switch tc qdisc del dev b1 clsact 2>/dev/null || true
	ip -n "$(namespace c2)" route del "$LAB_VIP/32" 2>/dev/null || true
	before_gateway
	[ ! -e "$BATS_TEST_TMPDIR/behind_router" ] || before_router
	inside c1 ip route flush cache
	inside c1 ip -6 route flush cache
}

end_captures() {
	local file

	for file in "$BATS_TEST_TMPDIR"/*.pcap.pid; do
		[ ! -e "$file" ] || kill "$(cat "$file")" 2>/dev/null || true
	done
}

# begin VIP FORWARD: three services there, by s1 and s2.
begin() {
	local vip=$1 machine interface service services=''

	[[ $vip != *:* ]] || vip="[$vip]"
	for service in web:80:tcp dns:53:udp echo:7000:udp; do
		IFS=: read -r name port protocol <<<"$service"
		services+="{name: $name, address: \"$vip:$port\", protocol: $protocol"
		[ "$protocol" = tcp ] || services+=', policy: maglev'
		[ "$port" = 7000 ] && services+='}' || services+='}, '
	done
	{
		echo "interfaces: [$interfaces]"
		echo 'xdp_mode: native'
		echo 'listen: none'
		[ -z "$keys" ] || echo "$keys"
		echo "services: [$services]" | sed "s/}/, weights: configured, backends: [{address: \"$s1\", forward: $2}, \
{address: \"$s2\", forward: $2}]}/g"
	} >"$STATE/b1/balancer.yaml"
	for machine in s1 s2; do
		interface=eth0
		[ "$machine" = s1 ] || interface=$on_s2
		cat >"$STATE/$machine/server.yaml" <<-END
			interfaces: [$interface]
			balancers: ["$balancer"]
			services: [${services//, policy: maglev/}]
		END
	done
	lab start all
	watch_client
}

# What bears options or extension headers of ours, at the client, on whatever interface.
watch_client() {
	capture "$client" any "$BATS_TEST_TMPDIR/client.pcap" \
		'(ip and ip[0] != 0x45) or (ip6 and ip6[6] = 60)' 3>&-
}

no_option_at_client() {
	capture_end "$BATS_TEST_TMPDIR/client.pcap"
	expect "$(captured "$BATS_TEST_TMPDIR/client.pcap")" -eq 0
}

# Both are asked, and have told their load: by TCP, and by DNS.
works() { # VIP
	local vip=$1

	[[ $vip != *:* ]] || vip="[$vip]"
	run -0 inside "$client" curl -sS --fail --max-time 60 -H 'Connection: close' "http://$vip/name?[1-30]"
	expect "$(wc -l <<<"$output")" -eq 30
	expect "$(sort -u <<<"$output" | xargs)" = 's1 s2'
	expect "$(show b1 '[.services[0].backends[].reports > 0] | all')" = true
	[ "$client" != c1 ] || datagrams "$1"
	no_option_at_client
}

# A socket for each.
datagrams() {
	local questions=() _

	for _ in {1..16}; do
		questions+=("@$1" name.test TXT)
	done
	run -0 inside c1 dig +short +tries=1 +time=5 "${questions[@]}"
	expect "$(wc -l <<<"$output")" -eq 16
	expect "$(tr -d '"' <<<"$output" | sort -u | xargs)" = 's1 s2'
}

echo_py() {
	inside c1 python3 "$BATS_TEST_DIRNAME/echo.py" "$@" 3>&-
}

# Each costs some seconds: `make test` takes a few that show the most.
one_of_all() {
	[ -n "${EVERY_COMBINATION:-}" ] || skip 'make test-families takes every way'
}

# A datagram of several fragments, eight times: each reaches one server whole. Where there is an outer
# header the first one is lost, and tells the client what fits.
large_datagrams() { # VIP [ipip]
	[ $# -eq 1 ] || run ! echo_py send "$1" 4000 1
	run -0 echo_py send "$1" 4000 8
	expect "$(grep -c '^s[12] whole$' <<<"$output")" -eq 8
}

@test "datagrams: DNS, and what is larger than the MTU" {
	begin "$LAB_VIP" l2
	works "$LAB_VIP"
	large_datagrams "$LAB_VIP"
}

@test "fragments behind their first one in any order; one that overtakes it is dropped by name" {
	local before

	one_of_all
	begin "$LAB_VIP" ipip
	run -0 echo_py pieces "$LAB_VIP" 0 2 1
	[[ $output =~ ^s[12]\ whole$ ]] || fail "$output"
	before=$(counter b1 fragment-unknown)
	run -1 echo_py pieces "$LAB_VIP" 1 0 2
	expect "$(counter b1 fragment-unknown)" -eq $((before + 1))
}

@test "datagrams in IPv6, in packets to the servers, and larger ones" {
	one_of_all
	s1=$(address6 s1) s2=$(address6 s2) balancer=$(address6 b1)
	begin "$VIP6" ipip
	works "$VIP6"
	large_datagrams "$VIP6" ipip
}

@test "IPv6 with hop-by-hop and destination options from the client" {
	one_of_all
	s1=$(address6 s1) s2=$(address6 s2) balancer=$(address6 b1)
	begin "$VIP6" l2
	for _ in {1..20}; do
		echo_py http "$VIP6"
	done >"$BATS_TEST_TMPDIR/names"
	expect "$(wc -l <"$BATS_TEST_TMPDIR/names")" -eq 20
	expect "$(sort -u "$BATS_TEST_TMPDIR/names" | xargs)" = 's1 s2'
	expect "$(show b1 '[.services[0].backends[].reports > 0] | all')" = true
}

# ------------------------------------------------------------------- VLAN tags

# trunk PUSH POP: between switch and balancer.
trunk() {
	local object=$BATS_TEST_TMPDIR/tag.bpf.o

	"${CLANG:-clang}" -O2 -g -target bpf -isystem "/usr/include/$(uname -m)-linux-gnu" -c -o "$object" \
		"$BATS_TEST_DIRNAME/tag.bpf.c"
	inside switch ethtool -K b1 txvlan off tx-vlan-stag-hw-insert off >/dev/null
	inside switch tc qdisc replace dev b1 clsact
	inside switch tc filter replace dev b1 egress pref 1 handle 1 bpf da obj "$object" sec "tc/$1"
	inside switch tc filter replace dev b1 ingress pref 1 handle 1 bpf da obj "$object" sec "tc/$2"
}

@test "802.1Q between switch and balancer" {
	one_of_all
	trunk push pop
	begin "$LAB_VIP" l2
	works "$LAB_VIP"
	large_datagrams "$LAB_VIP"
}

@test "802.1ad around 802.1Q, and in packets to the servers" {
	one_of_all
	trunk push2 pop2
	begin "$LAB_VIP" ipip
	works "$LAB_VIP"
}

# ------------------------------------------------------------------- interfaces and routers

# The request comes in by eth1; the servers answer by the other network, and their reports go out by eth1.
@test "in on one interface, out on another" {
	interfaces='eth0, eth1' client=c2
	ip -n "$(namespace c2)" route replace "$LAB_VIP/32" via 10.2.0.2 src 10.2.0.1
	begin "$LAB_VIP" l2
	works "$LAB_VIP"
}

@test "in on one, out on another in packets, from our own address" {
	one_of_all
	interfaces='eth0, eth1' client=c2 keys='outer_source: fixed'
	ip -n "$(namespace c2)" route replace "$LAB_VIP/32" via 10.2.0.2 src 10.2.0.1
	begin "$LAB_VIP" ipip
	capture s1 eth0 "$BATS_TEST_TMPDIR/s1.pcap" 'ip proto 4 and dst host 10.1.0.11 and not src host 10.1.0.2' 3>&-
	works "$LAB_VIP"
	capture_end "$BATS_TEST_TMPDIR/s1.pcap"
	expect "$(captured "$BATS_TEST_TMPDIR/s1.pcap")" -eq 0
}

# The router knows nothing of balancers: packets to s2 go through it, and s2's reports back.
behind_router() {
	touch "$BATS_TEST_TMPDIR/behind_router"
	ip -n "$(namespace s2)" link set eth0 down
	ip -n "$(namespace s2)" route replace default via 10.3.0.1
	ip -n "$(namespace s2)" route replace default via 2001:db8:3::1
}

before_router() {
	ip -n "$(namespace s2)" route del default
	ip -n "$(namespace s2)" -6 route del default
	ip -n "$(namespace s2)" link set eth0 up
	inside s2 sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0
	ip -n "$(namespace s2)" address replace "$(address6 s2)/64" dev eth0 nodad
	ip -n "$(namespace s2)" route replace 10.77.0.0/24 via "$(address c2)"
	ip -n "$(namespace s2)" route replace 10.2.0.0/24 via "$(address c2)"
	ip -n "$(namespace s2)" route replace 2001:db8:77::/64 via "$(address6 c2)"
}

@test "a server behind a router, in packets whose source varies" {
	s2=10.3.0.2 on_s2=eth1
	behind_router
	begin "$LAB_VIP" ipip
	capture s2 eth1 "$BATS_TEST_TMPDIR/s2.pcap" 'ip proto 4 and src net 198.18.0.0/15 and dst host 10.3.0.2' 3>&-
	works "$LAB_VIP"
	large_datagrams "$LAB_VIP" ipip
	capture_end "$BATS_TEST_TMPDIR/s2.pcap"
	expect "$(captured "$BATS_TEST_TMPDIR/s2.pcap")" -gt 0
}

@test "a server behind a router in IPv6" {
	one_of_all
	s1=$(address6 s1) s2=2001:db8:3::2 balancer=$(address6 b1) on_s2=eth1
	behind_router
	begin "$VIP6" ipip
	works "$VIP6"
}

# The router tells the servers by ICMP what fits; what they send it passes.
behind_gateway() {
	ip -n "$(namespace c2)" link set far mtu "$1"
	ip -n "$(namespace c1)" route add "$LAB_VIP/32" via 10.77.0.1 src 10.77.0.2
	ip -n "$(namespace c1)" route add "$VIP6/128" via 2001:db8:77::1 src 2001:db8:77::2
}

before_gateway() {
	ip -n "$(namespace c2)" link set far mtu 1500
	ip -n "$(namespace c1)" route del "$LAB_VIP/32" 2>/dev/null || true
	ip -n "$(namespace c1)" route del "$VIP6/128" 2>/dev/null || true
}

@test "a client behind a router whose link takes 1300 bytes, and servers in packets" {
	local number

	one_of_all
	behind_gateway 1300
	begin "$LAB_VIP" ipip
	for number in {1..8}; do
		expect "$(inside c1 curl -sS --max-time 10 "http://$LAB_VIP/10k?$number" | checksum)" = "$(checksum_of 10k)"
	done
	expect "$(counter b1 icmp-steered)" -gt 0
	works "$LAB_VIP"
}

@test "likewise in IPv6" {
	local number

	one_of_all
	s1=$(address6 s1) s2=$(address6 s2) balancer=$(address6 b1)
	behind_gateway 1300
	begin "$VIP6" l2
	for number in {1..8}; do
		expect "$(inside c1 curl -sS --max-time 10 "http://[$VIP6]/10000" | wc -c)" -eq 10000
	done
	expect "$(counter b1 icmp-steered)" -gt 0
	works "$VIP6"
}

@test "a datagram that does not fit with its outer header: the client is told, and then knows" {
	one_of_all
	begin "$LAB_VIP" ipip
	run ! echo_py send "$LAB_VIP" 1472 1 df
	expect "$(counter b1 too-big-told)" -eq 1
	run -0 inside c1 ip route get "$LAB_VIP"
	says 'mtu 1480'
	run -0 echo_py send "$LAB_VIP" 1452 1 df
	[[ $output =~ ^s[12]\ whole$ ]] || fail "$output"
}
