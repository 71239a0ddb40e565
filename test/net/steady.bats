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

# answers_lost COUNT: so many of the servers' SYN-ACKs have been.
answers_lost() {
	[ "$(inside switch nft -j list counters table bridge lossy | jq '[.nftables[].counter?.packets // empty] | add')" -ge "$1" ]
}

# Both ends repeat themselves after a second: the client goes to another server by then, which must be
# the only one that answers.
@test "who has not been answered goes to another server, and the first one keeps silent" {
	inside switch nft -f - <<-END
		table bridge lossy {
			counter lost { }
			chain forward {
				type filter hook forward priority 0
				ip saddr $LAB_VIP tcp flags & (syn | ack) == (syn | ack) counter name lost drop
			}
		}
	END
	(wait_until 20 answers_lost 300 && inside switch nft delete table bridge lossy) 3>&- &
	STEADY_NEW=0 STEADY_LIVE=300 streams_begin
	streams_end
	echo "moved: $(lab show b1 --json | jq -c '[.services[0].backends[].moved]')"
	expect "$(figure '[.broken, .wrong_bytes]')" = '[0,0]'
	expect "$(lab show b1 --json | jq '[.services[0].backends[].moved] | add')" -gt 0
	expect "$(jq -s '[.[].carriers.withheld] | add' <(lab show s1 --json; lab show s2 --json; lab show s3 --json))" -gt 0
}
