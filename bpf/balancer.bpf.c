// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The balancer: the way of a packet from top to bottom.
 *
 *   to a service      -> its flow's backend, or one newly chosen -> out, by L2
 *   from a service,
 *   with a report     -> believed or not -> report cut out -> out, to the client's next hop
 *   anything else     -> the host's
 */
#include "shared.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "checksum.h"
#include "flow.h"
#include "hash.h"
#include "health.h"
#include "maps.h"
#include "packet.h"
#include "report.h"
#include "select.h"
#include "trace.h"

#define AF_INET 2

/* What a packet's way has found out so far. */
struct context {
	struct xdp_md *xdp;
	void *end;
	const struct settings *settings;
	struct packet packet;
	int action; /* enum xdp_action, for verdicts that send */
};

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
	__u64 *count = bpf_map_lookup_elem(&verdicts, &index);

	if (count)
		(*count)++;
	if (index >= VERDICT_COUNT || verdict_actions[index] != SEND)
		return index < VERDICT_COUNT ? verdict_actions[index] : XDP_ABORTED;
	return context->action;
}

/* port 0: the entry of the VIP itself. */
static __always_inline struct service *entry_find(__be32 address, __be16 port)
{
	struct service_key key = {
		.address = address,
		.port = port,
		.protocol = IPPROTO_TCP,
	};

	return bpf_map_lookup_elem(&services, &key);
}

static __always_inline struct service *service_find(__be32 address, __be16 port)
{
	struct service *service = entry_find(address, port);

	/* A packet may really have port 0. */
	return service && service->id ? service : 0;
}

/* What we cannot parse is ours to drop only if it is for one of our addresses. */
static __always_inline enum verdict unparsable(const struct packet *packet, enum verdict verdict)
{
	return entry_find(packet->ip->daddr, 0) ? verdict : VERDICT_NOT_OURS;
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

static __always_inline int send_by(const struct context *context, __u32 ifindex)
{
	return ifindex == context->xdp->ingress_ifindex ? (int)XDP_TX :
							  (int)bpf_redirect(ifindex, 0);
}

static __always_inline void count_sent(const struct backend *backend)
{
	__u32 server = backend->server;
	struct load *load = bpf_map_lookup_elem(&loads, &server);

	if (load)
		__sync_fetch_and_add(&load->connections_sent, 1);
}

/* A flow has gone on, and so its backend has answered. */
static __always_inline void note_answer(__u32 index, struct backend *backend, __u64 hash)
{
	struct health *health = bpf_map_lookup_elem(&healths, &index);

	if (!health)
		return;
	health_answered(health, hash, bpf_ktime_get_ns());
	if (backend->suspect)
		backend->suspect = 0;
}

/* A connection is sent there. Returns whether that is one too many, so that it had better go elsewhere. */
static __always_inline int note_connection(__u32 index, struct backend *backend, __u64 hash)
{
	struct health *health = bpf_map_lookup_elem(&healths, &index);
	__u64 now = bpf_ktime_get_ns();

	if (!health)
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
	    health_silence_ns(health, bpf_ktime_get_ns()) < HEALTH_REPEATED_NS)
		return 0;
	health->moved++;
	return 1;
}

/* A backend for a flow that has none, or is to leave the avoided one. */
static __always_inline __u32 choose(struct context *context, const struct service *service,
				    __u64 hash, int opens, int judged, __u32 avoided,
				    struct backend **backend)
{
	struct decision *decision = traced(context->settings) ? trace_decision() : 0;
	__u32 index, try;

	for (try = 0; try < 2; try++) {
		index = select_backend(service, hash, judged, avoided, decision);
		*backend = bpf_map_lookup_elem(&backends, &index);
		if (index == BACKEND_NONE || !*backend)
			return BACKEND_NONE;
		if (!opens || !note_connection(index, *backend, hash) || !judged)
			break;
		avoided = index;
		if (decision)
			decision->looked_at = 0;
	}
	return index;
}

/* The backend of the packet's flow: remembered or chosen. *is_new: the flow begins here. */
static __always_inline __u32 flow_to_backend(struct context *context, const struct service *service,
					     struct backend **backend, int *is_new)
{
	__u32 avoided = BACKEND_NONE;
	const struct packet *packet = &context->packet;
	const struct tcphdr *tcp = packet->tcp;
	__u64 hash = hash_flow(context->settings->hash_seed, packet->ip->saddr, packet->ip->daddr,
			       tcp->source, tcp->dest, IPPROTO_TCP);
	int opens = tcp->syn && !tcp->ack;
	struct flow flow;
	int judged;
	__u32 index;

	flow_find(hash, context->settings, &flow);
	if (flow_goes_on(&flow, opens)) {
		index = flow_backend(flow.value);
		*backend = bpf_map_lookup_elem(&backends, &index);
		/* Gone, or another flow with our fingerprint: as if unknown. */
		if (*backend && (*backend)->service == service->id) {
			if (flow_state(flow.value) != FLOW_OPENING)
				goto known;
			if (!opens) {
				note_answer(index, *backend, hash);
				goto known;
			}
			if (!note_repeated(index, *backend, hash))
				goto known;
			avoided = index;
		}
	}

	/* What may be forgotten before its next packet goes where that will be sent without memory. */
	judged = flow_find_room(&flow) && opens;
	if (opens && !judged)
		flow_count(FLOW_CONTESTED);
	index = choose(context, service, hash, opens, judged, avoided, backend);
	if (index == BACKEND_NONE)
		return BACKEND_NONE;
	if (!tcp->rst)
		flow_insert(&flow, index, flow_hint(IPPROTO_TCP, ((const __u8 *)tcp)[13]));
	if (opens) {
		count_sent(*backend);
		*is_new = 1;
	}
	return index;

known:
	flow_touch(&flow, flow_hint(IPPROTO_TCP, ((const __u8 *)tcp)[13]));
	return index;
}

/* A packet for a service: on to its backend. */
static __always_inline enum verdict forward(struct context *context, const struct service *service)
{
	struct ethhdr *eth = context->packet.eth;
	struct backend_stats *stats;
	struct backend *backend;
	int is_new = 0;
	__u32 index;

	index = flow_to_backend(context, service, &backend, &is_new);
	if (traced(context->settings))
		trace_flow(service->id, index, is_new);
	if (index == BACKEND_NONE)
		return VERDICT_NO_BACKEND;
	if (!backend->ifindex)
		return VERDICT_NO_NEIGHBOUR;

	stats = bpf_map_lookup_elem(&backend_stats, &index);
	if (stats) {
		stats->packets++;
		stats->bytes += context->packet.length;
		stats->connections += is_new;
	}
	mac_copy(eth->h_dest, backend->mac);
	mac_copy(eth->h_source, backend->source_mac);
	context->action = send_by(context, backend->ifindex);
	return VERDICT_FORWARDED;
}

/* Takes the option out: the headers before it move up over it. */
static __always_inline int cut_out_option(struct context *context, __u32 length)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
	} __attribute__((packed)) headers, *start;

	__builtin_memcpy(&headers, context->packet.eth, sizeof(headers));
	headers.ip.ihl = sizeof(headers.ip) / 4;
	headers.ip.tot_len = bpf_htons(context->packet.length - length);
	if (bpf_xdp_adjust_head(context->xdp, (int)length))
		return -1;

	start = (void *)(long)context->xdp->data;
	context->end = (void *)(long)context->xdp->data_end;
	if ((void *)(start + 1) > context->end)
		return -1;
	__builtin_memcpy(start, &headers, sizeof(headers));
	context->packet.eth = &start->eth;
	context->packet.ip = (struct iphdr *)((void *)start + sizeof(struct ethhdr));
	ip_checksum_write(context->packet.ip);
	return 0;
}

/*
 * The client's next hop is not known: leave the packet to the host, with a note for resolve()
 * below. The kernel asks for the MAC address and keeps the packet meanwhile.
 */
static __always_inline enum verdict leave_to_resolve(struct context *context, __u32 ifindex)
{
	struct resolve_note *note;

	if (bpf_xdp_adjust_meta(context->xdp, -(int)sizeof(*note)))
		return VERDICT_REPORT_NO_ROUTE;
	note = (void *)(long)context->xdp->data_meta;
	if ((void *)(note + 1) > (void *)(long)context->xdp->data)
		return VERDICT_REPORT_NO_ROUTE;
	note->magic = RESOLVE_MAGIC;
	note->ifindex = ifindex;
	return VERDICT_REPORT_RESOLVING;
}

/* Sends a response whose option is out to its client. */
static __always_inline enum verdict send_to_client(struct context *context, enum verdict verdict)
{
	const struct iphdr *ip = context->packet.ip;
	struct bpf_fib_lookup fib = {
		.family = AF_INET,
		.tos = ip->tos,
		.l4_protocol = ip->protocol,
		.tot_len = bpf_ntohs(ip->tot_len),
		.ipv4_src = ip->saddr,
		.ipv4_dst = ip->daddr,
		.ifindex = context->xdp->ingress_ifindex,
	};

	switch (bpf_fib_lookup(context->xdp, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		mac_copy(context->packet.eth->h_dest, fib.dmac);
		mac_copy(context->packet.eth->h_source, fib.smac);
		context->action = send_by(context, fib.ifindex);
		return verdict;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return leave_to_resolve(context, fib.ifindex);
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		/*
		 * Somebody has taken back the setting that the look-up wants. Where there is only one way
		 * out, the host can still find the next hop.
		 */
		if (context->settings->interfaces[1].ifindex)
			return VERDICT_REPORT_NO_ROUTE;
		return leave_to_resolve(context, fib.ifindex);
	default:
		return VERDICT_REPORT_NO_ROUTE;
	}
}

/* A response that bears a report. */
static __always_inline enum verdict receive_report(struct context *context,
						   const struct received_report *received)
{
	__be32 id = received->report.server_id;
	struct server *server;
	enum verdict verdict;
	struct load *load;
	__u32 index;

	if (traced(context->settings))
		trace_report(received);
	if (received->error || option_checksum(context->packet.ip, &received->option) != 0xFFFF)
		return VERDICT_REPORT_MALFORMED;
	server = bpf_map_lookup_elem(&servers, &id);
	if (!server)
		return VERDICT_REPORT_UNKNOWN_SERVER;
	verdict = report_verify(&context->packet, received, server, context->settings);
	if (verdict)
		return verdict;
	index = server->index;
	load = bpf_map_lookup_elem(&loads, &index);
	if (!load)
		return VERDICT_REPORT_UNKNOWN_SERVER;

	verdict = load_update(load, &received->report, bpf_ktime_get_ns()) ? VERDICT_REPORT_TAKEN :
									     VERDICT_REPORT_OLD;
	if (cut_out_option(context, received->option.length))
		return VERDICT_REPORT_NO_ROOM;
	return send_to_client(context, verdict);
}

static __always_inline enum verdict decide(struct context *context)
{
	struct packet *packet = &context->packet;
	void *data = (void *)(long)context->xdp->data;
	struct received_report received;
	struct service *service;
	enum parse_result parsed;

	parsed = packet_parse(data, context->end, context->end - data, packet);
	if (parsed == PARSED_OTHER || !for_this_machine(context))
		return VERDICT_NOT_OURS;
	if (parsed == PARSED_FRAGMENT)
		return unparsable(packet, VERDICT_FRAGMENT);
	if (parsed == PARSED_MALFORMED)
		return unparsable(packet, VERDICT_MALFORMED);

	service = service_find(packet->ip->daddr, packet->tcp->dest);
	if (service)
		return forward(context, service);
	if (report_present(packet, context->end, &received) &&
	    service_find(packet->ip->saddr, packet->tcp->source))
		return receive_report(context, &received);
	return VERDICT_NOT_OURS;
}

SEC("xdp")
int balancer(struct xdp_md *xdp)
{
	struct context context = {
		.xdp = xdp,
		.end = (void *)(long)xdp->data_end,
		.action = XDP_ABORTED,
	};
	enum verdict verdict;
	__u32 zero = 0;

	context.settings = bpf_map_lookup_elem(&settings, &zero);
	if (!context.settings)
		return XDP_PASS;
	if (traced(context.settings))
		trace_begin(xdp);
	verdict = decide(&context);
	if (traced(context.settings))
		trace_end(xdp, verdict);
	return finish(&context, verdict);
}

/* Behind XDP: sends on what leave_to_resolve() has left to the host. */
SEC("tc")
int resolve(struct __sk_buff *skb)
{
	struct resolve_note *note = (void *)(long)skb->data_meta;

	if ((void *)(note + 1) > (void *)(long)skb->data || note->magic != RESOLVE_MAGIC)
		return TC_ACT_UNSPEC;
	return bpf_redirect_neigh(note->ifindex, 0, 0, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
