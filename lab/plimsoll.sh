#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Plimsoll on the machines of the lab: configurations, daemons. Sourced, not run.

LAB_LISTEN=127.0.0.1:9570
LAB_AGENT_PORT=9571
LAB_READY_SECONDS=${LAB_READY_SECONDS:-10} # a daemon may take so long to start
PLIMSOLL_RUN=/run/plimsoll # where the daemons keep their files

# lab_config [KEY=VALUE...]: balancer.yaml and server.yaml for every machine.
lab_config() {
	local policy=power-of-choices feedback=in-band weights='' servers=''
	# shellcheck disable=SC2034 # read by name, in report_configuration()
	local min_interval='' max_interval='' max_share='' in_band=''
	# shellcheck disable=SC2034 # likewise, in service_options()
	local choices='' stale_after='' signal=in-flight pending='' poll_interval='' poll_protocol='' \
		poll_port='' health='' all_down='' dead_flows='' slow_start=0s
	# As on the NIC of a real machine; left to itself, Plimsoll takes generic XDP on a veth.
	local xdp_mode=native
	local balancers='' key=no agent=no argument machine

	require_lab 'lab config'
	servers=$(machines s | tr '\n' ' ')
	balancers=$(machines b | tr '\n' ' ')
	for argument in "$@"; do
		case $argument in
		policy=* | feedback=* | choices=* | stale_after=* | weights=* | min_interval=* | \
			max_interval=* | max_share=* | in_band=* | signal=* | pending=* | poll_interval=* | \
			poll_protocol=* | poll_port=* | agent=* | key=* | health=* | all_down=* | dead_flows=* | \
			slow_start=* | xdp_mode=*) declare "${argument?}" ;;
		servers=*) servers=${argument#*=} servers=${servers//,/ } ;;
		balancers=*) balancers=${argument#*=} balancers=${balancers//,/ } ;;
		*) die "config: \"$argument\" is unknown; policy=, feedback=, choices=, stale_after=, weights=1,2," \
			'servers=s1,s2, balancers=b1 (that agents report to; may be empty), min_interval=,' \
			'max_interval=, max_share=, in_band=no, signal=, pending=no, poll_interval=, poll_protocol=,' \
			'poll_port=, health={check: tcp}, all_down=, dead_flows=, slow_start=, xdp_mode=auto, agent=yes and' \
			'key=yes are known' ;;
		esac
	done
	if [ "$key" = yes ]; then
		make_key
	fi
	for machine in $(machines b); do
		mkdir -p "$STATE/$machine"
		balancer_configuration >"$STATE/$machine/balancer.yaml"
	done
	for machine in $(machines s); do
		mkdir -p "$STATE/$machine"
		server_configuration >"$STATE/$machine/server.yaml"
	done
}

make_key() {
	(umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' ' >"$STATE/report.key")
}

common_configuration() {
	echo 'interfaces: [eth0]'
	[ "$key" != yes ] || echo "report_key: $STATE/report.key"
}

balancer_configuration() {
	common_configuration
	cat <<-END
		xdp_mode: $xdp_mode
		listen: $LAB_LISTEN
		services:
		  - name: web
		    address: $LAB_VIP:80
		    protocol: tcp
		    policy: $policy
		    feedback: $feedback
	END
	service_options
	echo '    backends:'
	list_backends
}

service_options() {
	local name

	for name in choices stale_after signal pending poll_interval poll_protocol poll_port health all_down \
		dead_flows slow_start; do
		[ -z "${!name}" ] || echo "    $name: ${!name}"
	done
}

# The weights in the servers' order; 1 where none is given.
list_backends() {
	local machine weight rest=$weights,

	for machine in $servers; do
		weight=${rest%%,*}
		rest=${rest#*,}
		echo "      - {address: $(address "$machine"), weight: ${weight:-1}, forward: l2}"
	done
}

server_configuration() {
	local machine list=''

	for machine in $balancers; do
		list+=${list:+, }$(address "$machine")
	done
	common_configuration
	echo "balancers: [$list]"
	[ "$agent" != yes ] || echo "agent_listen: 0.0.0.0:$LAB_AGENT_PORT"
	report_configuration
	cat <<-END
		services:
		  - address: $LAB_VIP:80
		    protocol: tcp
	END
}

report_configuration() {
	local name list=''

	for name in min_interval max_interval max_share in_band; do
		[ -z "${!name}" ] || list+=${list:+, }"$name: ${!name}"
	done
	[ -z "$list" ] || echo "report: {$list}"
}

# lab_start balancer|server|all|MACHINES...: starts the daemons and waits until they are ready.
lab_start() {
	local machine machines

	require_lab 'lab start'
	[ -x "$PLIMSOLL" ] || die "there is no $PLIMSOLL; \`make\` builds it"
	machines=$(chosen_machines start "$@") || exit
	for machine in $machines; do
		[ -z "$(pid_of "$STATE/$machine/plimsoll.pid")" ] || die "Plimsoll runs on $machine already"
		launch "$machine"
	done
	for machine in $machines; do
		progress "waiting until $machine is ready"
		await_ready "$machine" || exit
	done
	progress
}

# chosen_machines VERB [balancer|server|all] [MACHINES...]: one name a line.
chosen_machines() {
	local verb=$1 kinds=bs machine

	shift
	case ${1:-} in
	balancer) kinds=b && shift ;;
	server) kinds=s && shift ;;
	all) shift ;;
	'') die "$verb: say what: balancer, server, all, or machines such as b1 s2" ;;
	esac
	[ $# -gt 0 ] || machines "$kinds"
	for machine in "$@"; do
		require_machine "$machine" "$kinds"
		echo "$machine"
	done
}

role() {
	case $1 in
	b*) echo balancer ;;
	s*) echo server ;;
	esac
}

# launch MACHINE [OPTIONS...]: in a session of its own, because a Ctrl-C at the terminal is for the lab,
# which then ends the daemons itself.
launch() {
	local machine=$1 directory=$STATE/$1 role

	role=$(role "$machine")
	[ -f "$directory/$role.yaml" ] || die "$machine has no $role.yaml yet; \`lab config\` writes it"
	# Here, not by the shell in the background: what the last daemon said is not to be read again.
	: >"$directory/plimsoll.log"
	shift
	setsid ip netns exec "$(namespace "$machine")" "$PLIMSOLL" "$role" \
		--config "$directory/$role.yaml" --instance "$(namespace "$machine")" "$@" \
		</dev/null >"$directory/plimsoll.log" 2>&1 &
	echo $! >"$directory/plimsoll.pid"
}

await_ready() {
	local log=$STATE/$1/plimsoll.log

	wait_until "$LAB_READY_SECONDS" ready_or_dead "$1"
	grep -qsw ready "$log" && return
	cat "$log" >&2
	die "Plimsoll on $1 did not become ready; above is what it said"
}

ready_or_dead() {
	grep -qsw ready "$STATE/$1/plimsoll.log" || [ -z "$(pid_of "$STATE/$1/plimsoll.pid")" ]
}

# lab_takeover MACHINES...: a second daemon beside the one that runs, which goes when it is ready.
lab_takeover() {
	local machine machines before

	require_lab 'lab takeover'
	machines=$(chosen_machines takeover "$@") || exit
	for machine in $machines; do
		before=$(pid_of "$STATE/$machine/plimsoll.pid") || die "Plimsoll does not run on $machine"
		launch "$machine" --takeover
		progress "waiting until $machine is taken over"
		await_ready "$machine" || exit
		wait_until 10 process_gone "$before" || die "the one before (process $before) does not end"
	done
	progress
}

# lab_stop balancer|server|all|MACHINES...: SIGTERM, and waits for the end.
lab_stop() {
	local machines

	require_lab 'lab stop'
	machines=$(chosen_machines stop "$@") || exit
	end_daemons TERM "$machines"
}

# lab_kill MACHINES...: SIGKILL: what the daemon would have taken back stays.
lab_kill() {
	local machines

	require_lab 'lab kill'
	machines=$(chosen_machines kill "$@") || exit
	end_daemons KILL "$machines"
}

end_daemons() {
	local machine pid

	for machine in $2; do
		pid=$(pid_of "$STATE/$machine/plimsoll.pid") && kill "-$1" "$pid"
	done
	for machine in $2; do
		pid=$(pid_of "$STATE/$machine/plimsoll.pid") || continue
		progress "waiting for the end of $machine"
		wait_until 10 process_gone "$pid" || die "Plimsoll on $machine (process $pid) does not end"
		rm -f "$STATE/$machine/plimsoll.pid"
	done
	progress
}

# lab_show MACHINE [OPTIONS...]: `plimsoll show` of that instance.
lab_show() {
	local machine=${1:-}

	require_lab 'lab show'
	require_machine "$machine" bs
	shift
	"$PLIMSOLL" show --instance "$(namespace "$machine")" "$@"
}

# lab_plimsoll MACHINE VERB [ARGUMENTS...]: for what has to be inside, such as trace, it is.
lab_plimsoll() {
	local machine=${1:-} verb=${2:-}

	require_lab 'lab plimsoll'
	require_machine "$machine" bs
	[ -n "$verb" ] || die 'plimsoll: say what: lab plimsoll b1 show'
	shift 2
	inside "$machine" "$PLIMSOLL" "$verb" --instance "$(namespace "$machine")" "$@"
}

# lab_page [MACHINE] [PORT]: what the balancer serves in its own network, to browsers of this one.
lab_page() {
	local machine=${1:-b1} port=${2:-${LAB_LISTEN#*:}}

	require_lab 'lab page'
	require_machine "$machine" b
	command -v socat >/dev/null || die 'page: socat is missing; apt-get install socat brings it'
	echo "http://127.0.0.1:$port/ is the page of $machine; Ctrl-C ends it"
	exec socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" \
		"EXEC:'ip netns exec $(namespace "$machine") socat - TCP:$LAB_LISTEN'"
}

# What killed daemons have left outside of their namespaces. The last one out removes the house, as
# the daemons do, and nobody enters meanwhile: they take the same lock.
# shellcheck disable=SC2094 # the lock is not read
remove_instances() {
	local directory door=$PLIMSOLL_RUN/.lock

	[ -d "$PLIMSOLL_RUN" ] || return 0
	for directory in "$PLIMSOLL_RUN/$LAB"-[bs]* "$PLIMSOLL_RUN/bpf/$LAB"-[bs]*; do
		[[ $directory =~ -[bs][0-9]+$ ]] && rm -rf "$directory"
	done
	(
		exec 9>>"$door"
		flock 9
		if no_instances; then
			umount "$PLIMSOLL_RUN/bpf"
			rmdir "$PLIMSOLL_RUN/bpf"
			rm -f "$door"
			rmdir "$PLIMSOLL_RUN"
		fi
	) 2>/dev/null
	return 0
}

# What has a '.' in its name is the lock or, in the bpffs, the kernel's; there is iproute2's, too.
no_instances() {
	[ -z "$(find "$PLIMSOLL_RUN" -mindepth 1 -not -path "$PLIMSOLL_RUN/bpf" -not -name '*.*' \
		-not \( -path "$PLIMSOLL_RUN/bpf/*" \( -type l -o -path "*/tc" -o -path "*/tc/globals" \) \))" ]
}
