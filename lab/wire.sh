#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What passes over the lab's wires, counted by the switch and by nobody who is concerned.
# Sourced, not run.

# lab_wire [start]: starts counting, or prints what has been counted as JSON.
lab_wire() {
	require_lab 'lab wire'
	case ${1:-} in
	start)
		wire_rules | inside switch nft -f - || die 'wire: nft cannot count on the switch'
		;;
	'') wire_counters ;;
	*) die "wire: \"$1\" is unknown; start is known, or nothing" ;;
	esac
}

# A carrier crosses the switch twice: to the balancer with its option, from there to the client.
wire_rules() {
	local server

	cat <<-END
		add table bridge wire
		delete table bridge wire
		table bridge wire {
			counter responses { }
			counter responses_via_balancer { }
			counter options_to_balancer { }
			counter options_to_client { }
			$(for server in $(machines s); do echo "counter $server { }"; done)
			chain response {
				oifname "c*" counter name responses
				iifname "b*" counter name responses_via_balancer
				ip hdrlength 5 return
				oifname "c*" counter name options_to_client
				oifname "b*" counter name options_to_balancer
			}
			chain connection {
				$(for server in $(machines s); do echo "oifname $server counter name $server"; done)
			}
			chain forward {
				type filter hook forward priority 0
				ip saddr $LAB_VIP jump response
				ip daddr $LAB_VIP tcp flags & (syn | ack) == syn jump connection
			}
		}
	END
}

# NAME PACKETS BYTES, a line per counter. Not by nft -j and jq, which take 50 ms of a CPU each time.
wire_counts() {
	inside switch nft list counters table bridge wire |
		awk '$1 == "counter" { name = $2 } $1 == "packets" { print name, $2, $4 }'
}

# {"responses": {"packets":, "bytes":}, ..., "connections": {"s1":, ...}}
wire_counters() {
	wire_counts | awk '
		$1 ~ /^s[0-9]+$/ { connections = connections (connections ? ", " : "") "\"" $1 "\": " $2; next }
		{ printf "%s\"%s\": {\"packets\": %s, \"bytes\": %s}", (NR > 1 ? ", " : "{"), $1, $2, $3 }
		END { printf ", \"connections\": {%s}}\n", connections }'
}

# SERVER COUNT: the connections that have been opened to each server.
wire_connections() {
	wire_counts | awk '$1 ~ /^s[0-9]+$/ { print $1, $2 }'
}

# capture MACHINE INTERFACE FILE FILTER...: tcpdump in the background, from now on.
capture() {
	local machine=$1 interface=$2 file=$3

	shift 3
	inside "$machine" tcpdump -Z root -U -n -s 64 -i "$interface" -w "$file" "$@" \
		2>"$file.log" >/dev/null &
	echo $! >"$file.pid"
	wait_until 5 grep -qs 'listening on' "$file.log" || die "no capture on $machine: $(cat "$file.log")"
}

capture_end() {
	local pid

	pid=$(pid_of "$1.pid") || die "the capture $1 has ended early: $(cat "$1.log")"
	# The kernel hands packets to tcpdump in blocks, up to a second after they came.
	sleep 1.1
	kill -TERM "$pid"
	wait_until 5 process_gone "$pid" || die "the capture $1 does not end"
}
