#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demo's end: what was measured, in words, in build/demo.json, and as exit status.
# Sourced, not run.

# What the demo promises.
RATIO_MIN=1.3
DETOUR_PERCENT_MAX=10
SLOWED_SHARE_MAX=0.5 # of what it was, a second after

# With less of the machine idle than this it is the machine that limits, no longer the servers.
IDLE_PERCENT_MIN=8

DEMO_JSON=$ROOT/build/demo.json

summarise() {
	slowdown_shares >"$STATE/slowed.json"
	write_figures || die 'the figures could not be put together'
	tell_figures
	judge
}

# When each connection was sent on, and to which server: "SECONDS s4".
connection_times() {
	tcpdump -r "$STATE/connections.pcap" -e -n -tt 2>/dev/null |
		sed -nE 's/^([0-9.]+) [0-9a-f:]+ > 02:00:00:00:05:0*([0-9]+), .*/\1 s\2/p'
}

# The slowed server's share of new connections: in the 2 s before; half a second to a second after;
# the last 2 s; and after how many ms came the first tenth of a second below half.
slowdown_shares() {
	connection_times | awk -v server="$SLOWED" -v slowed="$(<"$STATE/slowed_at")" '
		function share(part, total) { return total ? sprintf("%.4f", part / total) : "null" }
		function count(name) { all[name]++; if ($2 == server) own[name]++ }
		{
			t = $1 - slowed
			last = t
			if (t >= -2 && t < 0) count("before")
			if (t >= 0.5 && t < 1) count("after")
			if (t >= 0) { tenth[int(t * 10)]++; if ($2 == server) own_tenth[int(t * 10)]++ }
		}
		END {
			half = own["before"] / (all["before"] ? all["before"] : 1) / 2
			below = "null"
			for (i = 0; i <= int(last * 10) && below == "null"; i++)
				if (tenth[i] && own_tenth[i] / tenth[i] < half) below = (i + 1) * 100
			for (i = int(last * 10) - 20; i < int(last * 10); i++) {
				all["end"] += tenth[i]
				own["end"] += own_tenth[i]
			}
			printf "{\"server\": \"%s\", \"before\": %s, \"after_1s\": %s, \"below_half_after_ms\": %s, " \
				"\"released\": %s}\n", server, share(own["before"], all["before"]),
				share(own["after"], all["after"]), below, share(own["end"], all["end"])
		}'
}

# idle_percent NAME: of the whole machine, while that load ran.
idle_percent() {
	awk 'NR == 1 { idle = $1; all = $2 } END { printf "%.1f", ($1 - idle) * 100 / ($2 - all) }' \
		"$STATE/$1.cpu"
}

options_seen_by_client() {
	tcpdump -r "$STATE/options.pcap" -n 2>/dev/null | wc -l
}

write_figures() {
	jq -n \
		--slurpfile none "$STATE/none.json" \
		--slurpfile none_before "$STATE/none.before" --slurpfile none_after "$STATE/none.after" \
		--slurpfile in_band "$STATE/in_band.json" \
		--slurpfile before "$STATE/in_band.before" --slurpfile after "$STATE/in_band.after" \
		--slurpfile show "$STATE/in_band.show" --slurpfile slowed "$STATE/slowed.json" \
		--argjson options "$(options_seen_by_client)" \
		--argjson none_idle "$(idle_percent none)" --argjson in_band_idle "$(idle_percent in_band)" \
		--argjson slowdown_idle "$(idle_percent slowdown)" \
		--argjson capacities "$(printf '%s\n' "${CAPACITIES[@]}" | jq -s .)" '
		def minus($b): if type == "object"
			then with_entries(.key as $k | .value |= minus($b[$k])) else . - $b end;
		def share: (add // 0) as $all | map_values(if $all > 0 then . / $all * 1000 | round / 1000 else 0 end);
		def percent($part; $all): if $all > 0 then $part / $all * 10000 | round / 100 else 0 end;
		($after[0] | minus($before[0])) as $wire |
		($none_after[0] | minus($none_before[0])) as $wire_none |
		{
			none: $none[0],
			in_band: ($in_band[0] + {
				reports: $wire.options_to_balancer.packets,
				reports_taken_since_start: $show[0].counters."report-taken",
				response_packets: $wire.responses.packets,
				response_packets_via_balancer_percent:
					percent($wire.responses_via_balancer.packets; $wire.responses.packets),
				response_bytes_via_balancer_percent:
					percent($wire.responses_via_balancer.bytes; $wire.responses.bytes),
				options_seen_by_client: $options
			}),
			ratio: ($in_band[0].requests_per_second / $none[0].requests_per_second * 100 | round / 100),
			shares: {none: ($wire_none.connections | share), in_band: ($wire.connections | share)},
			slowed: $slowed[0],
			idle_percent: {none: $none_idle, in_band: $in_band_idle, slowdown: $slowdown_idle},
			capacities_percent: $capacities
		}' >"$DEMO_JSON.$$" && mv "$DEMO_JSON.$$" "$DEMO_JSON"
}

# figure FILTER [FORMAT]: one figure of build/demo.json, for people.
figure() {
	# shellcheck disable=SC2059 # the format is the caller's
	printf "${2:-%s}" "$(jq -r "$1" "$DEMO_JSON")"
}

tell_figures() {
	cat <<-END

		  What was measured                     without feedback    in-band

		$(compare 'requests/s' requests_per_second '%.0f')
		$(compare 'latency, half below (ms)' p50_ms '%.1f')
		$(compare 'latency, 99 % below (ms)' p99_ms '%.1f')
		$(compare 'errors' errors '%d')
		$(tell_shares)

		  $(figure .ratio '%.2f') times the requests, from the same four servers.
		  $(figure .in_band.reports '%d') reports in $STEADY_SECONDS s, on packets that were sent anyway.
		  By way of the balancer went $(figure .in_band.response_packets_via_balancer_percent '%.1f') % of the response packets, $(figure .in_band.response_bytes_via_balancer_percent '%.2f') % of their bytes.
		  The client has seen $(figure .in_band.options_seen_by_client '%d') packets with an IP option.
		  $SLOWED slowed to a fifth: its share of the new connections went from $(figure '.slowed.before * 100' '%.0f') % to $(figure '.slowed.after_1s * 100' '%.0f') %
		  within a second (below half within $(figure .slowed.below_half_after_ms) ms), and was $(figure '.slowed.released * 100' '%.0f') % again after its release.

		  All counted on the wire, by the switch and by the client. The figures: $DEMO_JSON
	END
}

compare() {
	printf '    %-36s%12s %12s' "$1" "$(figure ".none.$2" "$3")" "$(figure ".in_band.$2" "$3")"
}

tell_shares() {
	local server

	for server in $(machines s); do
		printf '    %-36s%12s %12s\n' "share of $server ($(capacity_of "$server") of a CPU)" \
			"$(figure ".shares.none.$server * 100" '%.0f %%')" \
			"$(figure ".shares.in_band.$server * 100" '%.0f %%')"
	done
}

# The exit status. Without one option on the balancer's wire, none on the client's means nothing.
judge() {
	local failed=0

	echo
	promise "at least $RATIO_MIN times the requests/s" ".ratio >= $RATIO_MIN" || failed=1
	promise 'reports on the wire to the balancer' '.in_band.reports > 0' || failed=1
	promise 'no IP option at the client' '.in_band.options_seen_by_client == 0' || failed=1
	promise "less than $DETOUR_PERCENT_MAX % of the response packets by way of the balancer" \
		".in_band.response_packets_via_balancer_percent < $DETOUR_PERCENT_MAX" || failed=1
	promise "the slowed server's share below half within a second" \
		"(.slowed | .after_1s < .before * $SLOWED_SHARE_MAX)" || failed=1
	[ $failed -eq 0 ] || tell_if_busy
	echo
	return $failed
}

tell_if_busy() {
	jq -e "[.idle_percent[]] | min < $IDLE_PERCENT_MIN" "$DEMO_JSON" >/dev/null &&
		printf '\n  This machine was busy to the last (%s %% idle): it is not the servers that limited.\n' \
			"$(figure '[.idle_percent[]] | min')"
}

promise() {
	if jq -e "$2" "$DEMO_JSON" >/dev/null; then
		printf '  yes  %s\n' "$1"
	else
		printf '  NO   %s\n' "$1"
		return 1
	fi
}
