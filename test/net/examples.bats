#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The README's three machines, the examples of the manual and the guide to deployment, as they stand there.

load helpers

setup_file() {
	open_lab clients=1 balancers=3 servers=0
	"$BATS_TEST_DIRNAME/../../doc/man/build" "$PLIMSOLL" "$BATS_FILE_TMPDIR/man"
	for machine in b2 b3; do
		finish_checksums "$machine"
	done
}

@test "three machines by the README, all examples of the manual, three machines by the guide" {
	local machine

	for machine in b2 b3; do
		mkdir -p "$STATE/$machine"
		start_nginx "$machine" 3>&-
	done
	run unshare --mount --propagation private "$BATS_TEST_DIRNAME/examples" "$BATS_FILE_TMPDIR/man" "$LAB" 3>&-
	echo "$output"
	expect "$status" -eq 0
	says '# plimsoll balancer --config balancer.yaml'
	says '# plimsoll balancer --config balancer.yaml --takeover'
	expect "$(grep -c '^# plimsoll' <<<"$output")" -ge 12
}
