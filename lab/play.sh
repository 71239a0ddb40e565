#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# For who wants to see it: a lab ready to play with. Sourced, not run.

lab_play() {
	local self=lab/lab machine

	[ -e "$ROOT/Makefile" ] || self=plimsoll-lab
	[ "$LAB" = lab ] || self="LAB=$LAB $self"
	require_root 'lab play'
	lab_up "$@"
	lab_nginx
	for machine in $(machines s); do
		lab_capacity "$machine" 20
	done
	lab_config
	lab_start all
	cat <<-END
		The lab "$LAB" is up: $(machines | xargs), and the service at $LAB_VIP. What to try:

		  $self wrk duration=60 &        load: a new connection for every request
		  $self show b1                  how loaded the balancer thinks each server is
		  $self page                     the status page, for the browser on this machine, until Ctrl-C
		  $self capacity s1 5            slow a server down to 5 % of a CPU; its share moves away
		  $self capacity s1 20           and let it go again
		  $self kill b1                  kill the balancer's daemon: traffic goes on
		  $self start b1                 a new one takes over, with its connections
		  $self help                     all that there is
		  $self down                     end it; nothing stays
	END
}
