// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The balancer: the way of a packet from top to bottom.
 *
 *   to a service      -> its flow's backend, or one newly chosen -> out, by L2 or in a packet of ours
 *   from a service,
 *   with a report     -> believed or not -> report cut out -> out, to the client's next hop
 *   a fragment or
 *   ICMP to a VIP     -> a program of its own, and then as above, or answered
 *   anything else     -> the host's
 */
#include "shared.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "carrier.h"
#include "check.h"
#include "checksum.h"
#include "encap.h"
#include "flow.h"
#include "fragment.h"
#include "hash.h"
#include "health.h"
#include "icmp.h"
#include "ip_options.h"
#include "maps.h"
#include "packet.h"
#include "refuse.h"
#include "report.h"
#include "select.h"
#include "too_big.h"
#include "trace.h"

/*
 * Programs of their own for what seldom comes, to which a packet goes on by a tail call: the verifier
 * walks each for itself, and each has all of the stack.
 */
enum way { WAY_FRAGMENT, WAY_ICMP, WAY_TOO_BIG, WAY_COUNT };

int fragment_way(struct xdp_md *xdp);
int icmp_way(struct xdp_md *xdp);
int too_big_way(struct xdp_md *xdp);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, WAY_COUNT);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} ways SEC(".maps") = {
	.values =
		{
			[WAY_FRAGMENT] = (void *)&fragment_way,
			[WAY_ICMP] = (void *)&icmp_way,
			[WAY_TOO_BIG] = (void *)&too_big_way,
		},
};

/* What a packet's way has found out so far. */
struct context {
	struct xdp_md *xdp;
	const struct settings *settings;
	struct packet packet;
	int action; /* enum xdp_action, for verdicts that send */
};

static __always_inline enum parse_result parse(struct context *context)
{
	void *data = (void *)(long)context->xdp->data;
	void *end = (void *)(long)context->xdp->data_end;

	return packet_parse(context->xdp, data, end, end - data, &context->packet);
}

static const int verdict_actions[] = {
#define PASS XDP_PASS
#define DROP XDP_DROP
#define SEND (-1)
#define VERDICT_ACTION(symbol, name, action, sentence) action,
	VERDICTS(VERDICT_ACTION)
#undef VERDICT_ACTION
#undef PASS
#undef DROP
};

/* Counts what became of the packet, and tells the kernel what to do with it. */
static __always_inline int finish(const struct context *context, enum verdict verdict)
{
	__u32 index = verdict;
	struct verdict_count *count = bpf_map_lookup_elem(&verdicts, &index);

	if (count)
		count->packets++;
	if (index >= VERDICT_COUNT || verdict_actions[index] != SEND)
		return index < VERDICT_COUNT ? verdict_actions[index] : XDP_ABORTED;
	return context->action;
}

/* The end of a program: the packet is told of, and counted. */
static __always_inline int way_end(const struct context *context, enum verdict verdict)
{
	if (traced(context->settings))
		trace_end(context->xdp, verdict);
	return finish(context, verdict);
}

/* The beginning of one that goes on with a packet. Not 0: it cannot. */
static __always_inline int way_begin(struct context *context, struct xdp_md *xdp)
{
	__u32 zero = 0;

	context->xdp = xdp;
	context->action = XDP_ABORTED;
	context->settings = bpf_map_lookup_elem(&settings, &zero);
	return !context->settings;
}

/* Does not come back, unless there is no such program. */
static __always_inline enum verdict go_way(const struct context *context, enum way way)
{
	bpf_tail_call(context->xdp, &ways, way);
	return VERDICT_NOT_OURS;
}

/* That of the very port, or else that of every port. */
static __noinline struct service *service_find(const struct settings *settings,
					       struct service_key *key)
{
	struct service *service = bpf_map_lookup_elem(&services, key);
	__be16 port = key->port;

	if (service || !settings->any_port)
		return service;
	key->port = 0;
	service = bpf_map_lookup_elem(&services, key);
	key->port = port;
	return service;
}

/* The entry of a VIP: whatever the packet's transport, it is for one of our addresses. */
static __always_inline const struct service *vip_find(struct packet *packet)
{
	__u8 protocol = packet->to.protocol;
	const struct service *vip;

	packet->to.port = 0;
	packet->to.protocol = 0;
	vip = bpf_map_lookup_elem(&services, &packet->to);
	packet->to.protocol = protocol;
	return vip;
}

/*
 * What we cannot parse is ours to drop only if it is for a VIP of ours that has a service of that
 * transport, or if even that cannot be told.
 */
static __always_inline enum verdict unparsable(struct packet *packet, enum verdict verdict)
{
	const struct service *vip = vip_find(packet);

	if (!vip)
		return VERDICT_NOT_OURS;
	switch (packet->to.protocol) {
	case IPPROTO_TCP:
		return vip->protocols & VIP_TCP ? verdict : VERDICT_NOT_OURS;
	case IPPROTO_UDP:
		return vip->protocols & VIP_UDP ? verdict : VERDICT_NOT_OURS;
	default:
		return packet->version == 6 && is_extension(packet->to.protocol) ? verdict :
										   VERDICT_NOT_OURS;
	}
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

/* A flow has gone on, and so its backend has answered. */
static __always_inline void note_answer(__u32 index, struct backend *backend, __u64 hash)
{
	struct health *health = bpf_map_lookup_elem(&healths, &index);

	if (!health)
		return;
	health_answered(health, hash, coarse_now_ns());
	if (backend->suspect)
		backend->suspect = 0;
}

/*
 * A connection is sent there. Returns whether that is one too many, so that it had better go elsewhere.
 * Of its own for the stack.
 */
__noinline int note_connection(__u32 index, __u64 hash)
{
	struct health *health = bpf_map_lookup_elem(&healths, &index);
	struct backend *backend = bpf_map_lookup_elem(&backends, &index);
	__u64 now = coarse_now_ns();

	if (!health || !backend)
		return 0;
	if (backend->suspect) {
		health_try(health, now);
		health_sent(health, hash, now);
		return 0;
	}
	if (health_is_silent(health, now)) {
		health_suspect(health, now);
		backend->suspect = 1;
		return 1;
	}
	health_sent(health, hash, now);
	return 0;
}

/* A SYN comes again. Returns whether its backend is given up for it. */
static __always_inline int note_repeated(__u32 index, struct backend *backend, __u64 hash)
{
	struct health *health = bpf_map_lookup_elem(&healths, &index);

	if (!health)
		return 0;
	health_repeated(health, hash);
	if (!backend->suspect && !backend->down &&
	    health_silence_ns(health, coarse_now_ns()) < HEALTH_REPEATED_NS)
		return 0;
	health->moved++;
	return 1;
}

/* May the packet be the first of its flow? A datagram of an unknown one always. */
static __always_inline int may_open(__u32 protocol, __u32 tcp_flags)
{
	return protocol != IPPROTO_TCP ||
	       (tcp_flags & (TCP_BIT_SYN | TCP_BIT_ACK | TCP_BIT_RST)) == TCP_BIT_SYN;
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

/* Where a choice is to be noted, if somebody asks. */
static __noinline struct decision *decision_wanted(void)
{
	const struct settings *current;
	__u32 zero = 0;

	current = bpf_map_lookup_elem(&settings, &zero);
	return current && traced(current) ? trace_decision() : 0;
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

/* May the packet be for one of our VIPs? */
static __always_inline int is_near_vip(const struct settings *settings,
				       const struct ip_address *address)
{
	return (settings->vip_places & hash_vip_place(address)) != 0;
}

/* Is what the packet is for served by the backend? */
static __always_inline int serves(const struct settings *settings, const struct backend *backend,
				  const struct service_key *to)
{
	return backend->vip == hash_vip(&to->address, to->port, to->protocol) ||
	       (settings->any_port && backend->vip == hash_vip(&to->address, 0, to->protocol));
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
		if (verdict || *index == BACKEND_NONE || !backend)
			return refuse(context->xdp, verdict);
	}
	return forward_to(context, *index, backend, hash, is_new);
}

/* On with a later fragment, to where the first one went. */
static __always_inline enum verdict forward_later(struct context *context,
						  const struct fragment *fragment)
{
	__u32 index = fragment_find(fragment->hash);
	struct backend *backend;

	if (index == FRAGMENT_TO_HOST)
		return VERDICT_NOT_OURS;
	backend = bpf_map_lookup_elem(&backends, &index);
	if (index != BACKEND_NONE && backend && backend->service)
		return forward_to(context, index, backend, fragment->hash, 0);
	return unparsable(&context->packet, VERDICT_FRAGMENT_UNKNOWN);
}

/* A fragment that may be for a VIP. */
static __always_inline enum verdict steer_fragment(struct context *context)
{
	struct packet *packet = &context->packet;
	struct fragment fragment = {};
	__u32 index = BACKEND_NONE;
	enum verdict verdict;

	if (parse(context) != PARSED_FRAGMENT || !vip_find(packet))
		return VERDICT_NOT_OURS;
	verdict = fragment_read(context->xdp, packet, context->settings->hash_seed, &fragment);
	if (!verdict && !fragment.is_first)
		return forward_later(context, &fragment);
	if (!verdict)
		verdict = fragment_read_ports(context->xdp, packet, &fragment);
	if (verdict)
		return verdict == VERDICT_MALFORMED ? unparsable(packet, verdict) : verdict;
	verdict = serve(context, &index);
	if (verdict == VERDICT_NOT_OURS)
		fragment_remember(fragment.hash, FRAGMENT_TO_HOST);
	if (verdict == VERDICT_FORWARDED)
		fragment_remember(fragment.hash, index);
	return verdict;
}

SEC("xdp")
int fragment_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, steer_fragment(&context));
}

/* The backend of a flow, if it is known. */
__noinline __u32 flow_recall(__u64 hash)
{
	const struct settings *current;
	struct flow flow;
	__u32 zero = 0;

	current = bpf_map_lookup_elem(&settings, &zero);
	if (!current)
		return BACKEND_NONE;
	flow_find(hash, current, &flow);
	return flow.slot ? flow_backend(flow.value) : BACKEND_NONE;
}

/* An error about a packet of a service: to the backend that has sent that packet. */
static __always_inline enum verdict steer_error(struct context *context)
{
	struct packet *packet = &context->packet;
	enum verdict verdict = packet_become_quoted(context->xdp, packet);
	const struct service *service;
	struct backend *backend;
	__u32 index;
	__u64 hash;

	if (verdict)
		return verdict;
	service = service_find(context->settings, &packet->to);
	if (!service)
		return VERDICT_NOT_OURS;
	hash = packet_hash(packet, context->settings->hash_seed);
	index = flow_recall(hash);
	backend = bpf_map_lookup_elem(&backends, &index);
	if (!backend || backend->service != service->id) {
		index = select_backend(service, hash, 0, BACKEND_NONE, 0);
		backend = bpf_map_lookup_elem(&backends, &index);
	}
	if (traced(context->settings))
		trace_flow(service->id, index, 0);
	if (index == BACKEND_NONE || !backend)
		return VERDICT_NO_BACKEND;
	verdict = forward_to(context, index, backend, hash, 0);
	return verdict == VERDICT_FORWARDED ? VERDICT_ICMP_STEERED : verdict;
}

static __always_inline enum verdict answer_echo(struct context *context)
{
	/* Options and extension headers may want to be answered in their own way. */
	if (!context->settings->answers_echo || has_more_headers(&context->packet) ||
	    echo_turn(context->xdp))
		return VERDICT_NOT_OURS;
	context->action = XDP_TX;
	return VERDICT_ECHO_ANSWERED;
}

/* An ICMP message that may be for a VIP. */
static __always_inline enum verdict take_icmp(struct context *context)
{
	struct packet *packet = &context->packet;
	struct icmp_header icmp;

	if (parse(context) != PARSED_OTHER || !vip_find(packet))
		return VERDICT_NOT_OURS;
	if (!packet_is_whole(context->xdp, packet) ||
	    packet->length < packet->ip_header_length + sizeof(icmp) ||
	    packet_load(context->xdp, packet->link_header_length + packet->ip_header_length, &icmp,
			sizeof(icmp)))
		return VERDICT_MALFORMED;
	if (is_echo_request(packet, &icmp))
		return answer_echo(context);
	if (is_icmp_error(packet, &icmp))
		return steer_error(context);
	return VERDICT_NOT_OURS;
}

SEC("xdp")
int icmp_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, take_icmp(&context));
}

/* Its client is told of a packet that is too big. */
static __always_inline enum verdict tell_too_big(struct context *context)
{
	struct too_big *here = too_big_here();

	if (!here || !may_be_told_of(&context->packet, parse(context)) || !error_allowed(here) ||
	    error_make(context->xdp, &context->packet, here->mtu))
		return VERDICT_TOO_BIG;
	context->action = XDP_TX;
	return VERDICT_TOO_BIG_TOLD;
}

SEC("xdp")
int too_big_way(struct xdp_md *xdp)
{
	struct context context;

	return way_begin(&context, xdp) ? XDP_PASS : way_end(&context, tell_too_big(&context));
}

static __always_inline void count_old_key(__u32 server)
{
	__u64 *count = bpf_map_lookup_elem(&old_key_reports, &server);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* A response that bears a report. */
static __always_inline enum verdict
receive_report(struct context *context, struct received_report *received, __u32 outer_length)
{
	__be32 id = received->report.server_id;
	struct server *server;
	enum verdict verdict;
	struct load *load;
	__u32 index;

	if (traced(context->settings))
		trace_report(received);
	if (received->error || (context->packet.version == 4 &&
				option_checksum(context->packet.ip, &received->option) != 0xFFFF))
		return VERDICT_REPORT_MALFORMED;
	server = bpf_map_lookup_elem(&servers, &id);
	if (!server)
		return VERDICT_REPORT_UNKNOWN_SERVER;
	if (!(outer_length ?
		      outer_source_is(context->xdp,
				      context->packet.link_header_length - outer_length, server) :
		      server->mac_known && mac_equal(context->packet.eth->h_source, server->mac)))
		return VERDICT_REPORT_WRONG_SOURCE;
	verdict = report_verify(&context->packet, received, context->settings);
	if (verdict)
		return verdict;
	index = server->index;
	load = bpf_map_lookup_elem(&loads, &index);
	if (!load)
		return VERDICT_REPORT_UNKNOWN_SERVER;

	if (!load_update(load, &received->report, bpf_ktime_get_ns()))
		return VERDICT_REPORT_OLD;
	if (received->by_old_key)
		count_old_key(index);
	return VERDICT_REPORT_TAKEN;
}

/*
 * The packet inside another one, as if it began behind an Ethernet header that reaches as far as that.
 * Neither the inner packet's ends nor its report say whom it comes from, but the outer source.
 */
static __always_inline enum parse_result parse_inner(struct context *context, __u32 offset)
{
	void *data = (void *)(long)context->xdp->data;
	void *end = (void *)(long)context->xdp->data_end;
	struct packet *packet = &context->packet;
	__u32 length = end - data;

	/* A number, not a difference of pointers that clang may take apart again. */
	asm volatile("" : "+r"(length));
	asm volatile("" : : "r"(packet) : "memory");
	if (data + sizeof(struct ethhdr) > end || !parse_link(packet, data, end, offset))
		return PARSED_NOT_IP;
	return packet->ip->version == 4 ? parse_ipv4(packet, end, length) :
					  parse_ipv6(context->xdp, packet, end, length);
}

/* It comes from a service, as a request would go there. */
static __always_inline void turn_round(struct packet *packet)
{
	struct ip_address client = packet->to.address;

	packet->to.address = packet->source;
	packet->to.port = packet->source_port;
	packet->source = client;
}

/*
 * What becomes of a packet that may bear a report: its verdict, and if it is to go on to its client,
 * what the option takes << VERDICT_BITS. Of its own for the verifier, and so that the stack is used
 * only where it is needed. outer_length: of the IP header that the packet is behind, if it is.
 */
__noinline int report_way(struct xdp_md *xdp, __u32 link_header_length, __u32 outer_length)
{
	struct received_report received;
	enum parse_result parsed;
	struct context context;
	enum verdict verdict;
	__u32 zero = 0;

	context.xdp = xdp;
	context.settings = bpf_map_lookup_elem(&settings, &zero);
	if (!context.settings)
		return VERDICT_NOT_OURS;
	parsed = outer_length ?
			 parse_inner(&context, (link_header_length + outer_length) & OUTER_MASK) :
			 parse(&context);
	if (!is_parsed(parsed))
		return VERDICT_NOT_OURS;
	turn_round(&context.packet);
	if (!report_present(&context.packet, (void *)(long)xdp->data_end, &received) ||
	    !service_find(context.settings, &context.packet.to))
		return VERDICT_NOT_OURS;
	verdict = receive_report(&context, &received, outer_length);
	if (verdict != VERDICT_REPORT_TAKEN && verdict != VERDICT_REPORT_OLD)
		return verdict;
	return verdict | report_room(&context.packet, &received) << VERDICT_BITS;
}

static __always_inline enum verdict report(struct context *context, __u32 outer_length)
{
	__u32 link_header_length = context->packet.link_header_length;
	int way = report_way(context->xdp, link_header_length, outer_length);
	int sent;

	if (!(way >> VERDICT_BITS))
		return way;
	sent = carrier_go_on(context->xdp, link_header_length, outer_length, way >> VERDICT_BITS);
	if (!(sent >> VERDICT_BITS))
		return sent;
	context->action = sent >> VERDICT_BITS;
	return way & ((1 << VERDICT_BITS) - 1);
}

/* Servers behind routers send their reports inside packets to us. */
static __always_inline int may_bear_packet(const struct packet *packet)
{
	return (packet->to.protocol == IPPROTO_IPIP || packet->to.protocol == IPPROTO_IPV6) &&
	       packet->ip_header_length <= OUTER_LENGTH_MAX;
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
		       may_bear_packet(packet) ? report(context, packet->ip_header_length) :
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
	return report_has_room(packet) ? report(context, 0) : VERDICT_NOT_OURS;
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

/* Behind XDP: sends on what leave_to_resolve() has left to the host; or the answer to a check has come. */
SEC("tc")
int resolve(struct __sk_buff *skb)
{
	struct resolve_note *note = (void *)(long)skb->data_meta;

	if ((void *)(note + 1) > (void *)(long)skb->data || note->magic != RESOLVE_MAGIC)
		return check_return(skb);
	return bpf_redirect_neigh(note->ifindex, 0, 0, 0);
}

/* What the host itself sends: a check may be among it. */
SEC("tc")
int check(struct __sk_buff *skb)
{
	return check_leave(skb);
}

char _license[] SEC("license") = "Dual BSD/GPL";
