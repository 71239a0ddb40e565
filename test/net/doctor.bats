#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# plimsoll doctor: of everything that can be broken here, one thing is broken at a time on a machine.
# Just that check fails there and names the command; the command is run as it stands, and all is well.

load helpers

setup_file() {
	open_lab clients=1 balancers=1 servers=6
	lab nginx
	lab config
	# Where others' filters matter to ours: ours are filters, too.
	PLIMSOLL_TC=clsact lab start b1 s6
	lab start s1 s2 s3 s4 s5
}

# ------------------------------------------------------------------- how it is asked

# doctor MACHINE [ARGUMENTS...]: from inside, without choosing an instance.
doctor() {
	local machine=$1

	shift
	inside "$machine" "$PLIMSOLL" doctor "$@" 3>&-
}

# look MACHINES...: all at the same time.
look() {
	local machine looking=()

	for machine in "$@"; do
		lab plimsoll "$machine" doctor --json >"$BATS_TEST_TMPDIR/$machine.json" &
		looking+=($!)
	done
	wait "${looking[@]}" || true
}

# names MACHINE RESULT: of the checks with that result, in their order.
names() {
	jq -r --arg result "$2" '[.checks[] | select(.result == $result).name] | join(" ")' \
		"$BATS_TEST_TMPDIR/$1.json"
}

# mending MACHINE CHECK: the command, without the remark for people behind it.
mending() {
	jq -r --arg name "$2" 'first(.checks[] | select(.name == $name).findings[].mend | values)' \
		"$BATS_TEST_TMPDIR/$1.json"
}

# finds MACHINE CHECKS: these are wrong there, and no others.
finds() {
	[ "$(names "$1" wrong)" = "$2" ] ||
		fail "$1: not just \"$2\": $(jq -c '.checks[] | select(.result == "wrong")' "$BATS_TEST_TMPDIR/$1.json")"
}

# mends MACHINE CHECK COMMAND: that is what it advises; and we do it.
mends() {
	[ "$(mending "$1" "$2")" = "$3" ] || fail "$2 advises: $(mending "$1" "$2")"
	inside "$1" bash -c "$3"
}

all_well() {
	local machine

	look "$@"
	for machine in "$@"; do
		finds "$machine" ''
		expect -z "$(names "$machine" unknown)"
	done
}

# restarts MACHINE COMMAND [--takeover]: the command that starts the daemon again, beside one that runs.
restarts() {
	local role

	role=$(role "$1")
	[ "$2" = "plimsoll $role --config $STATE/$1/$role.yaml --instance $(namespace "$1")${3:+ $3}" ] ||
		fail "advised: $2"
}

# As these commands do, but in the background.
restart() { # MACHINES...
	lab stop "$@"
	lab start "$@"
}

# ------------------------------------------------------------------- on the whole

@test "a lab that works is well on both sides, at more than twenty checks; looking changes nothing" {
	local before

	before=$(snapshot s1)
	run -0 lab plimsoll s1 doctor
	says 'ok      report-loop'
	[[ $output != *$'\033'* ]] || fail 'colours, and there is no terminal'
	all_well b1 s1
	diff <(snapshot s1) - <<<"$before"
	expect "$(show s1 .load.connections)" -eq 0
	expect "$(jq '.checks | length' "$BATS_TEST_TMPDIR/b1.json")" -gt 20
	expect "$(jq '.checks | length' "$BATS_TEST_TMPDIR/s1.json")" -gt 20
	[ "$(jq -r '.role + .instance' "$BATS_TEST_TMPDIR/b1.json")" = "balancer$(namespace b1)" ]
	jq -e '.checks[] | select(.name == "report-loop").findings[0].saw | test("came back")' \
		"$BATS_TEST_TMPDIR/s1.json" >/dev/null
}

@test "what it cannot look at: status 2, told in either manner" {
	run -2 doctor b1 --config "$BATS_TEST_TMPDIR/none.yaml"
	says 'none.yaml'
	run -2 doctor b1 --json --config "$BATS_TEST_TMPDIR/none.yaml"
	jq -e '.error' <<<"$output"
	run -2 "$PLIMSOLL" doctor --instance "$(namespace b1)"
	says "nsenter --net=/proc/$(cat "$STATE/b1/plimsoll.pid")/ns/net"
	# Who may not look is told to, in place of advice that would end what runs well.
	run -2 inside b1 setpriv --reuid=65534 --regid=65534 --clear-groups "$PLIMSOLL" doctor --instance "$(namespace b1)" 3>&-
	says "may not talk to instance $(namespace b1)"
	says 'use sudo'
	expect "$(wc -l <<<"$output")" -eq 1
	run -2 unshare --mount sh -c 'mount -t tmpfs tmpfs /run/plimsoll && exec "$@"' sh "$PLIMSOLL" doctor
	says 'plimsoll doctor --config FILE'
	run -2 doctor b1 --nonsense
	run -0 doctor b1 --explain
	says 'report-loop'
}

# ------------------------------------------------------------------- servers

@test "settings, addresses, offloads, filters, limits of a server" {
	inside s1 prlimit --pid "$(cat "$STATE/s1/plimsoll.pid")" --nofile=64:20000
	inside s2 sysctl -qw net.ipv4.conf.eth0.arp_announce=0
	inside s3 sysctl -qw net.ipv4.conf.eth0.rp_filter=1
	inside s4 ip address del "$LAB_VIP/32" dev lo
	inside s5 ethtool -K eth0 tx on >/dev/null
	inside s6 tc filter add dev eth0 egress pref 1 bpf direct-action obj "$LAB_BUILD/pass.bpf.o" sec tc

	look s1 s2 s3 s4 s5 s6
	finds s1 open-files
	[[ $(mending s1 open-files) == "prlimit --pid $(cat "$STATE/s1/plimsoll.pid") --nofile="[0-9]* ]]
	mends s1 open-files "$(mending s1 open-files)"
	finds s2 arp-announce
	mends s2 arp-announce 'sysctl -w net.ipv4.conf.eth0.arp_announce=2'
	finds s3 rp-filter
	mends s3 rp-filter 'sysctl -w net.ipv4.conf.eth0.rp_filter=2'
	finds s4 vip
	mends s4 vip "ip address add $LAB_VIP/32 dev lo"
	finds s5 checksums
	mends s5 checksums 'ethtool -K eth0 tx off'
	finds s6 tc-others
	mends s6 tc-others 'tc filter del dev eth0 egress pref 1'
	all_well s1 s2 s3 s4 s5 s6
}

@test "a server's daemon, programs, application, file, and the way of reports" {
	lab kill s1
	keep_off s2
	tc_detach s2 egress
	kill "$(cat "$STATE/s3/nginx.pid")"
	echo 'nonsense: 1' >>"$STATE/s4/server.yaml"
	sed -i 's/^balancers: .*/balancers: []/' "$STATE/s5/server.yaml"
	# What some networks do: whatever has IP options is dropped.
	inside switch nft -f - <<-'END'
		table netdev strict {
			chain options {
				type filter hook ingress device s6 priority 0;
				ip hdrlength > 5 drop
			}
		}
	END

	look s1 s2 s3 s4 s5 s6
	finds s1 daemon
	restarts s1 "$(mending s1 daemon)"
	finds s2 programs
	let_go
	restarts s2 "$(mending s2 programs)" --takeover
	finds s3 listener
	[[ $(mending s3 listener) == *'systemctl start'* ]]
	lab nginx
	finds s4 config
	[ "$(mending s4 config)" = "plimsoll check-config $STATE/s4/server.yaml" ]
	run -1 "$PLIMSOLL" check-config "$STATE/s4/server.yaml"
	sed -i /nonsense/d "$STATE/s4/server.yaml"
	finds s5 config-in-force
	[ "$(mending s5 config-in-force)" = "plimsoll reload --instance $(namespace s5)" ]
	lab plimsoll s5 reload
	finds s6 report-loop
	jq -e '.checks[] | select(.name == "report-loop").findings[0].saw | test("drops packets with IP options")' \
		"$BATS_TEST_TMPDIR/s6.json" >/dev/null
	[[ $(mending s6 report-loop) == "echo 'report: {in_band: no}' >>$STATE/s6/server.yaml"* ]]
	inside switch nft delete table netdev strict

	restart s1
	lab takeover s2
	all_well s1 s2 s3 s4 s5 s6

	# s5 reports to nobody now: what the balancer says of it.
	wait_until 5 backend_is s5 .known false
	(for _ in {1..8}; do
		fetch_names 10 >/dev/null || true
		sleep 0.1
	done) 3>&- &
	look b1
	wait
	finds b1 reports
	[[ $(mending b1 reports) == 'plimsoll doctor # on 10.1.0.15; if no agent runs: plimsoll server '* ]]
	lab config
}

# ------------------------------------------------------------------- who answers for the VIP

@test "a server that answers ARP: there its setting, at the balancer and at the others who it is" {
	inside s1 sysctl -qw net.ipv4.conf.eth0.arp_ignore=0
	look b1 s1 s2
	finds s1 arp-ignore
	finds b1 vip-arp
	jq -e '.checks[] | select(.name == "vip-arp").findings[0].saw | test("backend 10.1.0.11 ")' \
		"$BATS_TEST_TMPDIR/b1.json" >/dev/null
	finds s2 vip-arp
	[[ $(mending b1 vip-arp) == 'sysctl -w net.ipv4.conf.all.arp_ignore=1 # on 10.1.0.11' ]]
	mends s1 arp-ignore 'sysctl -w net.ipv4.conf.eth0.arp_ignore=1'

	# The same by an address on the wrong device.
	inside s1 ip address del "$LAB_VIP/32" dev lo
	inside s1 ip address add "$LAB_VIP/32" dev eth0
	look b1 s1
	finds s1 vip
	finds b1 vip-arp
	mends s1 vip "ip address del $LAB_VIP/32 dev eth0; ip address add $LAB_VIP/32 dev lo"
	all_well b1 s1 s2
}

# ------------------------------------------------------------------- the balancer

@test "the balancer's settings, filters and limits, one after another" {
	inside b1 sysctl -qw net.ipv4.conf.eth0.forwarding=0
	look b1
	finds b1 forwarding
	mends b1 forwarding 'sysctl -w net.ipv4.conf.eth0.forwarding=1'

	# The next look shows that the last is well again, too.
	inside b1 tc filter add dev eth0 ingress pref 1 bpf direct-action obj "$LAB_BUILD/pass.bpf.o" sec tc
	look b1
	finds b1 tc-others
	mends b1 tc-others 'tc filter del dev eth0 ingress pref 1'

	inside s4 ip link set dev eth0 mtu 1400
	look b1
	finds b1 way-mtu
	[[ $(mending b1 way-mtu) == 'ip link set dev INTERFACE mtu 1500 # on 10.1.0.14 '* ]]
	inside s4 ip link set dev eth0 mtu 1500

	sed -i '/10.1.0.16/d' "$STATE/b1/balancer.yaml"
	look b1
	finds b1 config-in-force
	[ "$(mending b1 config-in-force)" = "plimsoll reload --instance $(namespace b1)" ]
	lab plimsoll b1 reload
	all_well b1
}

@test "a backend behind an interface that is none of ours" {
	ip -n "$(namespace b1)" link add other type veth peer name other-peer
	ip -n "$(namespace b1)" link set other up
	ip -n "$(namespace b1)" route add "$(address s2)/32" dev other
	look b1
	[[ " $(names b1 wrong) " == *' next-hops '* ]] || fail "$(cat "$BATS_TEST_TMPDIR/b1.json")"
	mends b1 next-hops "ip route replace $(address s2)/32 dev eth0 # or name other among the interfaces"
	ip -n "$(namespace b1)" link del other
	wait_until 5 takes_connections s2
	look b1
	finds b1 ''
	ip -n "$(namespace b1)" route del "$(address s2)/32"
}

@test "reports refused: a key that differs, a server that is no backend; both sides tell" {
	local i

	# b1 does not know s6 since the last test.
	make_key
	sed -i "1i report_key: $STATE/report.key" "$STATE/b1/balancer.yaml"
	restart b1
	# Each look of a server's sends a report, in the middle of the balancer's own look.
	for i in 1 2 3 4 5 6; do
		lab plimsoll s4 doctor --json >"$BATS_TEST_TMPDIR/s4.json" &
		lab plimsoll s6 doctor --json >"$BATS_TEST_TMPDIR/s6.json" &
		sleep 0.15
	done
	look b1
	finds b1 'keys unknown-servers'
	[[ $(mending b1 keys) == "plimsoll trace --verdict report-unkeyed --instance $(namespace b1) # copy "* ]]
	[[ $(mending b1 unknown-servers) == "plimsoll trace --verdict report-unknown-server "* ]]
	for i in s4 s6; do
		finds $i report-loop
		jq -e '.checks[] | select(.name == "report-loop").findings[0].saw | test("refuses our report")' \
			"$BATS_TEST_TMPDIR/$i.json" >/dev/null
	done

	lab config
	restart b1
	all_well b1 s4 s6
}

@test "all backends drained: what is dropped" {
	local machine

	for machine in 1 2 3 4 5 6; do
		lab plimsoll b1 drain web "10.1.0.1$machine" >/dev/null
	done
	(for machine in 1 2 3 4; do
		inside c1 curl -s --max-time 0.2 "http://$LAB_VIP/name" || true
	done) 3>&- &
	look b1
	wait
	finds b1 drops
	[[ $(mending b1 drops) == 'plimsoll show '* ]]
	for machine in 1 2 3 4 5 6; do
		lab plimsoll b1 undrain web "10.1.0.1$machine" >/dev/null
	done
	all_well b1
}

@test "a backend that does not answer ARP" {
	lab cut s6
	wait_until 10 backend_is s6 .state down
	look b1
	finds b1 next-hops
	[ "$(mending b1 next-hops)" = "ip link set dev INTERFACE up; ip address show # on $(address s6) itself" ]
	lab plug s6
	wait_until 10 takes_connections s6
	all_well b1
}

# ------------------------------------------------------------------- before the first start

# examine MACHINE FILE [ARGUMENTS...]: with another file than the one that is in force.
examine() {
	doctor "$1" --json --config "$2" "${@:3}" >"$BATS_TEST_TMPDIR/$1.json" || true
}

@test "the key's file, where it listens, an interface that is not there" {
	local file=$BATS_TEST_TMPDIR/balancer.yaml key=$BATS_TEST_TMPDIR/key ours=(--instance "$(namespace b1)")

	cp "$STATE/b1/balancer.yaml" "$file"
	examine b1 "$file" "${ours[@]}"
	finds b1 ''

	echo 00112233445566778899aabbccddeeff >"$key"
	chmod 644 "$key"
	echo "report_key: $key" >>"$file"
	examine b1 "$file" "${ours[@]}"
	finds b1 key-file
	mends b1 key-file "chmod 600 $key"
	examine b1 "$file" "${ours[@]}"
	finds b1 ''

	sed -i 's/^listen: .*/listen: 0.0.0.0:9570/' "$file"
	examine b1 "$file" "${ours[@]}"
	finds b1 listen
	mends b1 listen "sed -i 's/^listen:.*/listen: 127.0.0.1:9570/' $file"

	sed -i 's/eth0/eth7/' "$file"
	examine b1 "$file" "${ours[@]}"
	finds b1 'config-in-force interfaces next-hops'
	mends b1 interfaces 'ip link show'
}

@test "XDP: another program in the way, generic mode and why, a single queue" {
	local file=$BATS_TEST_TMPDIR/balancer.yaml instance=$LAB-b9

	# The client's machine would be a second balancer: its VIP is taken, too.
	inside c1 ip link set dev eth0 xdp obj "$LAB_BUILD/pass.bpf.o" sec xdp
	cp "$STATE/b1/balancer.yaml" "$file"
	examine c1 "$file"
	finds c1 'xdp-others vip-arp'
	mends c1 xdp-others 'ip link set dev eth0 xdp off'

	# A bridge has no native XDP.
	inside c1 ip link add br9 type bridge
	inside c1 ip link set br9 up
	sed -i "s/eth0/br9/; s/^xdp_mode: .*/xdp_mode: auto/; s/$LAB_VIP/10.1.9.100/" "$file"
	inside c1 "$PLIMSOLL" balancer --config "$file" --instance "$instance" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	wait_until 10 grep -qw ready "$BATS_TEST_TMPDIR/log"
	doctor c1 --json --instance "$instance" >"$BATS_TEST_TMPDIR/c1.json" || true
	kill $!
	wait
	[[ $(names c1 advice) == *xdp-mode* ]]
	[ "$(mending c1 xdp-mode)" = 'ethtool -i br9' ]
	jq -e '.checks[] | select(.name == "xdp-mode").findings[0].saw | test("driver \"bridge\" has no native XDP")' \
		"$BATS_TEST_TMPDIR/c1.json" >/dev/null

	look b1
	[ "$(names b1 advice)" = queues ]
	mends b1 queues 'ethtool -L eth0 rx 2'
	look b1
	expect -z "$(names b1 advice)"
}

@test "without the right to load programs it says so" {
	cp "$STATE/b1/balancer.yaml" "$BATS_TEST_TMPDIR"
	run -1 inside s1 setpriv --bounding-set=-perfmon,-bpf,-sys_admin --inh-caps=-perfmon,-bpf,-sys_admin \
		"$PLIMSOLL" doctor --json --config "$BATS_TEST_TMPDIR/balancer.yaml" 3>&-
	jq -e '.checks[] | select(.name == "capabilities" and .result == "wrong").findings[0].mend | test("ambient-caps")' \
		<<<"$output" >/dev/null
}
