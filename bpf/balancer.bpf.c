// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The balancer: the way of a packet from top to bottom.
 *
 *   to a service      -> its flow's backend, or one newly chosen -> out, by L2 or in a packet of ours
 *   from a service,
 *   with a report     -> believed or not -> report cut out -> out, to the client's next hop (report_way.h)
 *   a fragment or
 *   ICMP to a VIP     -> a program of its own, and then as above, or answered (fragment_way.h, icmp_way.h)
 *   anything else     -> the host's
 */
#include "shared.h"

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "context.h"
#include "encap.h"
#include "evidence.h"
#include "flow.h"
#include "fragment_way.h"
#include "host_side.h"
#include "icmp_way.h"
#include "ip_options.h"
#include "refuse.h"
#include "report_way.h"
#include "select.h"
#include "service.h"
#include "too_big.h"
#include "too_big_way.h"
#include "trace.h"
#include "unreachable_way.h"

/* May the packet be the first of its flow? A datagram of an unknown one always. */
static __always_inline int may_open(__u32 protocol, __u32 tcp_flags)
{
	return protocol != IPPROTO_TCP ||
	       (tcp_flags & (TCP_BIT_SYN | TCP_BIT_ACK | TCP_BIT_RST)) == TCP_BIT_SYN;
}

/* Whether a flow that is known is to leave its backend, by what this packet of it shows. */
static __always_inline int leaves(const struct flow *flow, __u32 protocol, int opens, __u32 index,
				  struct backend *backend, __u64 hash)
{
	if (protocol == IPPROTO_TCP && flow_state(flow->value) == FLOW_OPENING) {
		if (opens)
			return note_repeated(index, backend, hash);
		note_answer(index, backend, hash);
		return 0;
	}
	/* A datagram does, and the SYN of a client that uses its port once more. */
	return opens && backend->down;
}

/* The backend that the packet's flow has. NULL if it has none, or is to leave the avoided one. */
static __always_inline struct backend *flow_known(const struct context *context, __u64 hash,
						  __u32 *index, __u32 *avoided)
{
	const struct packet *packet = &context->packet;
	int opens = may_open(packet->to.protocol, packet->tcp_flags);
	struct backend *backend;
	struct flow flow;

	flow_find(hash, context->settings, &flow);
	if (!flow_goes_on(&flow, opens))
		return 0;
	*index = flow_backend(flow.value);
	backend = bpf_map_lookup_elem(&backends, index);
	/* Gone, or another flow with our fingerprint: as if unknown. */
	if (!backend || !backend->service || !serves(context->settings, backend, &packet->to))
		return 0;
	if (leaves(&flow, packet->to.protocol, opens, *index, backend, hash)) {
		*avoided = *index;
		return 0;
	}
	flow_touch(&flow, flow_hint(packet->to.protocol, packet->tcp_flags));
	return backend;
}

/* What of its header says how a flow begins: the protocol, and TCP's flags. */
static __always_inline __u32 transport_of(const struct packet *packet)
{
	return packet->to.protocol << 8 | packet->tcp_flags;
}

static __always_inline __u32 transport_protocol(__u32 transport)
{
	return transport >> 8;
}

static __always_inline int opens_connection(__u32 transport)
{
	return transport_protocol(transport) == IPPROTO_TCP &&
	       may_open(IPPROTO_TCP, transport & 0xFF);
}

/*
 * What a new flow finds in the table, and then what it leaves there. Of their own for the stack, of which
 * choosing in between needs the most.
 */
__noinline int flow_is_judged(__u64 hash, __u32 transport)
{
	int opens = may_open(transport_protocol(transport), transport & 0xFF);
	const struct settings *current;
	struct flow flow;
	__u32 zero = 0;

	current = bpf_map_lookup_elem(&settings, &zero);
	if (!current || !opens)
		return 0;
	flow_find(hash, current, &flow);
	/* What may be forgotten before its next packet goes where that will be sent without memory. */
	if (flow_find_room(&flow))
		return 1;
	flow_count(FLOW_CONTESTED);
	return 0;
}

/* A backend for a flow that has none, or is to leave the avoided one. */
static __always_inline __u32 choose(const struct service *service, __u64 hash, int is_connection,
				    int judged, __u32 avoided, struct decision *decision)
{
	struct backend *backend;
	__u32 index, try;

	for (try = 0; try < 2; try++) {
		index = select_backend(service, hash, judged, avoided, decision);
		backend = bpf_map_lookup_elem(&backends, &index);
		if (index == BACKEND_NONE || !backend)
			return BACKEND_NONE;
		/* Whether datagrams are answered cannot be seen from those that follow. */
		if (!is_connection || !note_connection(index, hash) || !judged)
			break;
		avoided = index;
		if (decision)
			decision->looked_at = 0;
	}
	return index;
}

__noinline __u32 flow_remember(__u64 hash, __u32 index, __u32 transport)
{
	const struct settings *current;
	struct backend *backend;
	struct flow flow;
	__u32 zero = 0;

	backend = bpf_map_lookup_elem(&backends, &index);
	current = bpf_map_lookup_elem(&settings, &zero);
	if (index == BACKEND_NONE || !backend || !current)
		return BACKEND_NONE;
	if (opens_connection(transport))
		count_sent(backend);
	if (transport & TCP_BIT_RST)
		return index;
	flow_find(hash, current, &flow);
	flow_find_room(&flow);
	flow_insert(&flow, index, flow_hint(transport_protocol(transport), transport & 0xFF));
	return index;
}

/* Where a choice is to be noted, if somebody asks. */
static __noinline struct decision *decision_wanted(void)
{
	const struct settings *current;
	__u32 zero = 0;

	current = bpf_map_lookup_elem(&settings, &zero);
	return current && traced(current) ? trace_decision() : 0;
}

/*
 * Chooses a backend for a flow that is not known, or is to leave the avoided one, and remembers it. Of
 * its own for the verifier, and because the way of those that are known should be short.
 */
__noinline __u32 flow_begin(const struct service *service, __u64 hash, __u32 transport,
			    __u32 avoided)
{
	__u32 index;

	if (!service)
		return BACKEND_NONE;
	index = choose(service, hash, opens_connection(transport), flow_is_judged(hash, transport),
		       avoided, decision_wanted());
	return flow_remember(hash, index, transport);
}

/*
 * What becomes of a packet whose flow's backend is down, or whose service has none (BACKEND_NONE).
 * VERDICT_NONE: it is sent there all the same. Of its own for the stack.
 */
__noinline int refusal(const struct service *service, __u32 index, __u32 tcp_flags)
{
	if (!service)
		return VERDICT_NO_BACKEND;
	/* In the middle of its flow, the client had better know. */
	if (index != BACKEND_NONE)
		return service->dead_flows == DEAD_FLOWS_RESET && tcp_flags &&
				       !(tcp_flags & (TCP_BIT_SYN | TCP_BIT_RST)) ?
			       VERDICT_FLOW_RESET :
			       VERDICT_NONE;
	if (service->all_down == ALL_DOWN_TRY_ALL)
		return VERDICT_NO_BACKEND;
	return service->all_down == ALL_DOWN_RESET ? VERDICT_REFUSED : VERDICT_ALL_DOWN;
}

/* On to a backend, by its own way. */
static __always_inline enum verdict forward_to(struct context *context, __u32 index,
					       const struct backend *backend, __u64 hash,
					       int is_new)
{
	struct backend_stats *stats;
	struct ethhdr *eth;

	if (!backend->ifindex)
		return VERDICT_NO_NEIGHBOUR;
	if (backend->forward == FORWARD_IPIP && context->packet.length > SURELY_FITS &&
	    is_too_big(context->xdp, backend->ifindex, context->packet.length,
		       outer_header_length(backend))) {
		go_way(context, WAY_TOO_BIG);
		return VERDICT_TOO_BIG;
	}

	stats = bpf_map_lookup_elem(&backend_stats, &index);
	if (stats) {
		stats->packets++;
		stats->bytes += context->packet.length;
		stats->connections += is_new;
	}
	if (backend->forward == FORWARD_IPIP) {
		if (encapsulate(context->xdp, backend, hash, context->packet.link_header_length))
			return VERDICT_NO_HEADROOM;
	} else {
		eth = context->packet.eth;
		mac_copy(eth->h_dest, backend->mac);
		mac_copy(eth->h_source, backend->source_mac);
	}
	context->action = send_by(context->xdp, backend->ifindex);
	return VERDICT_FORWARDED;
}

/*
 * A packet that may be for a service: on to its backend, *index. Of known flows the service itself is not
 * looked at: what chose for them did. VERDICT_NOT_OURS if it is for none.
 */
static __always_inline enum verdict serve(struct context *context, __u32 *index)
{
	struct packet *packet = &context->packet;
	__u64 hash = packet_hash(packet, context->settings->hash_seed);
	__u32 avoided = BACKEND_NONE;
	struct backend *backend;
	enum verdict verdict;
	int is_new = 0;

	if (options_check(context->xdp, packet))
		return service_find(context->settings, &packet->to) ? VERDICT_MALFORMED :
								      VERDICT_NOT_OURS;
	backend = flow_known(context, hash, index, &avoided);
	if (!backend) {
		struct service *service = service_find(context->settings, &packet->to);

		if (!service)
			return VERDICT_NOT_OURS;
		is_new = may_open(packet->to.protocol, packet->tcp_flags);
		*index = flow_begin(service, hash, transport_of(packet), avoided);
		backend = bpf_map_lookup_elem(&backends, index);
		if (traced(context->settings))
			trace_flow(service->id, *index, is_new);
	} else if (traced(context->settings)) {
		trace_flow(backend->service, *index, 0);
	}
	if (!backend || *index == BACKEND_NONE || backend->down) {
		verdict = refusal(service_find(context->settings, &packet->to), *index,
				  packet->tcp_flags);
		context->action = XDP_TX;
		/* Comes back only where there is no such program. */
		if (verdict == VERDICT_REFUSED && packet->to.protocol == IPPROTO_UDP) {
			go_way(context, WAY_UNREACHABLE);
			return VERDICT_ALL_DOWN;
		}
		if (verdict || *index == BACKEND_NONE || !backend)
			return refuse(context->xdp, verdict);
	}
	return forward_to(context, *index, backend, hash, is_new);
}

/* A switch floods what it does not know: frames for other machines are none of our business. */
static __always_inline int for_this_machine(const struct context *context)
{
	const struct interface *interface = context->settings->interfaces;
	int i;

#pragma unroll
	for (i = 0; i < INTERFACES_MAX; i++)
		if (interface[i].ifindex == context->xdp->ingress_ifindex)
			return mac_equal(interface[i].mac, context->packet.eth->h_dest);
	return 0;
}

static __always_inline enum verdict decide(struct context *context)
{
	struct packet *packet = &context->packet;
	enum parse_result parsed;
	__u32 index = BACKEND_NONE;
	enum verdict verdict;

	parsed = parse(context);
	if (parsed == PARSED_NOT_IP || !for_this_machine(context))
		return VERDICT_NOT_OURS;
	if (parsed == PARSED_OTHER)
		return is_icmp(packet)	       ? go_way(context, WAY_ICMP) :
		       may_bear_packet(packet) ? go_way(context, WAY_REPORT) :
						 VERDICT_NOT_OURS;
	if (parsed == PARSED_FRAGMENT)
		return go_way(context, WAY_FRAGMENT);
	if (parsed == PARSED_MALFORMED)
		return unparsable(packet, VERDICT_MALFORMED);

	if (is_near_vip(context->settings, &packet->to.address)) {
		verdict = serve(context, &index);
		if (verdict != VERDICT_NOT_OURS)
			return verdict;
	}
	return report_has_room(packet) ? go_way(context, WAY_REPORT) : VERDICT_NOT_OURS;
}

SEC("xdp")
int balancer(struct xdp_md *xdp)
{
	struct context context; /* what parsing writes must not be cleared before */

	if (way_begin(&context, xdp))
		return XDP_PASS;
	if (traced(context.settings))
		trace_begin(xdp);
	return way_end(&context, decide(&context));
}

char _license[] SEC("license") = "Dual BSD/GPL";
