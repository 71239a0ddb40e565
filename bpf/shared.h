/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel's programs and user space both see: limits, the values of the maps, and the
 * names of everything that can happen to a packet. No logic.
 */
#ifndef PLIMSOLL_SHARED_H
#define PLIMSOLL_SHARED_H

#include <linux/types.h>

#define SERVICES_MAX 4096
#define SERVERS_MAX 8192 /* index 0 of `loads` is never a server */
#define BACKENDS_MAX 65536 /* pairs of service and server */
#define BACKEND_NONE 0 /* index 0 of `backends` is never a backend */
/*
 * A slot of a ring: its backend by the weights in force, and << that by those that were set. 0 there: it is
 * the same one.
 */
#define RING_STEADY_SHIFT 32
#define RING_SIZE_MAX 65537
#define CHOICES_MAX 8
#define BALANCERS_MAX 16 /* that one server reports to */

/*
 * Everything that can become of a packet at the balancer, once each: the name for machines, the
 * action the kernel is told, and the sentence for people.
 */
#define VERDICTS(X)                                                                                 \
	X(NONE, "none", PASS, "not decided")                                                        \
	X(NOT_OURS, "not-ours", PASS, "neither to a service nor a report: left to the host")        \
	X(FORWARDED, "forwarded", SEND, "sent on to its backend")                                   \
	X(REPORT_TAKEN, "report-taken", SEND, "report believed, taken out, packet sent to client")  \
	X(REPORT_OLD, "report-old", SEND,                                                           \
	  "report not newer than the last: not believed, taken out, packet sent to client")         \
	X(REPORT_RESOLVING, "report-resolving", PASS,                                               \
	  "report taken out; the host finds the client's next hop and sends the packet")            \
	X(REFUSED, "refused", SEND,                                                                 \
	  "no backend of the service is up: answered with a reset, as `all_down` says")             \
	X(UNREACHABLE, "unreachable", SEND,                                                         \
	  "no backend of the service is up: datagram answered with ICMP port unreachable, as "      \
	  "`all_down` says")                                                                        \
	X(FLOW_RESET, "flow-reset", SEND,                                                           \
	  "the flow's backend is down: answered with a reset, as `dead_flows` says")                \
	X(REPORT_CHECK, "report-check", PASS,                                                       \
	  "report believed or not, taken out of the answer to a health check, which is the host's") \
	X(ICMP_STEERED, "icmp-steered", SEND,                                                       \
	  "ICMP error about a packet of a service: sent on to that flow's backend")                 \
	X(ECHO_ANSWERED, "echo-answered", SEND,                                                     \
	  "echo request (ping) to a service's address: answered")                                   \
	X(MALFORMED, "malformed", DROP, "header cut short or with lengths that lie")                \
	X(FRAGMENT_UNKNOWN, "fragment-unknown", DROP,                                               \
	  "fragment of a packet whose first fragment has not been seen")                            \
	X(TOO_BIG_TOLD, "too-big-told", SEND,                                                       \
	  "too big for the way to its backend: its client is told which size fits")                 \
	X(TOO_BIG, "too-big", DROP,                                                                 \
	  "too big for the way to its backend, and no more of that may be told")                    \
	X(NO_HEADROOM, "no-headroom", DROP, "the kernel would not make room for an outer header")   \
	X(NO_BACKEND, "no-backend", DROP, "the service has no backend that could take it")          \
	X(ALL_DOWN, "all-down", DROP,                                                               \
	  "no backend of the service is up: dropped, as `all_down` says")                           \
	X(NO_NEIGHBOUR, "no-neighbour", DROP, "the backend's MAC address is not known")             \
	X(REPORT_MALFORMED, "report-malformed", DROP,                                               \
	  "report with a wrong version, length or checksum")                                        \
	X(REPORT_UNKNOWN_SERVER, "report-unknown-server", DROP,                                     \
	  "report from a server not in config")                                                     \
	X(REPORT_WRONG_SOURCE, "report-wrong-source", DROP,                                         \
	  "report whose packet does not come from that server's MAC address")                       \
	X(REPORT_UNKEYED, "report-unkeyed", DROP,                                                   \
	  "report without a tag where a key is configured")                                         \
	X(REPORT_WRONG_TAG, "report-wrong-tag", DROP, "report whose tag does not fit the key")      \
	X(REPORT_NO_ROUTE, "report-no-route", DROP, "no route from here to the report's client")    \
	X(REPORT_NO_ROOM, "report-no-room", DROP, "the kernel would not let the option be cut out")

enum verdict {
#define VERDICT_ENUM(symbol, name, action, sentence) VERDICT_##symbol,
	VERDICTS(VERDICT_ENUM)
#undef VERDICT_ENUM
		VERDICT_COUNT
};

/*
 * Why a response packet did not bear a report although it might have, at a server. Fragments might
 * never: whose they are is not known, so they are not even counted.
 */
#define SKIPS(X)                                                                                   \
	X(STAMPED, "stamped", "bore a report")                                                     \
	X(NOT_DUE, "not-due", "the last report is too recent, or nothing has changed")             \
	X(BUDGET, "budget", "the share of packets that may bear reports is used up")               \
	X(SILENT_BALANCER, "silent-balancer", "nothing has come from that balancer for a while")   \
	X(NO_NEIGHBOUR, "no-neighbour", "the balancer's MAC address is not known")                 \
	X(SEGMENTED, "segmented", "will be cut into segments by the NIC")                          \
	X(OPTIONS, "options", "has IP options already")                                            \
	X(MTU, "mtu", "has no room for the option below the MTU")                                  \
	X(RETRANSMISSION, "retransmission", "is a retransmission: goes the sure way")              \
	X(NO_SOCKET, "no-socket", "belongs to no connection of this host any more")                \
	X(HANDSHAKE, "handshake", "opens a connection; a packet that can wait may come soon")      \
	X(PAYLOAD, "payload", "bears data; a packet without may come soon")                        \
	X(NOT_LAST, "not-last", "more data follows at once, and would overtake it")                \
	X(FAILED, "failed", "the kernel would not make room for the option")                       \
	X(WITHHELD, "withheld",                                                                    \
	  "is a late SYN-ACK, and no handshake came to its end for a while: left to the "          \
	  "client's next SYN")

enum skip {
#define SKIP_ENUM(symbol, name, sentence) SKIP_##symbol,
	SKIPS(SKIP_ENUM)
#undef SKIP_ENUM
		SKIP_COUNT
};

/* Of either family: one of IPv4 is ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). All zero: none. */
struct ip_address {
	__be32 word[4];
} __attribute__((aligned(8))); /* so that programs copy it in two words */

/* The names take no bytes; by them a successor that has others knows which of a map's entries is which. */
struct verdict_count {
	__u64 packets;
	enum verdict names[0];
};

struct address_prefix {
	struct ip_address address, mask;
};

/* How packets reach a backend. */
enum forward {
	FORWARD_L2, /* by its MAC address */
	FORWARD_IPIP, /* in a packet to its own address: bpf/encap.h */
};

enum feedback {
	FEEDBACK_NONE,
	FEEDBACK_IN_BAND,
	FEEDBACK_POLL,
};

/* ------------------------------------------------------------------ balancer */

/* What becomes of new flows when no backend of a service is up. */
enum all_down {
	ALL_DOWN_TRY_ALL,
	ALL_DOWN_RESET,
	ALL_DOWN_DROP,
};

/* What becomes of flows whose backend is down. */
enum dead_flows {
	DEAD_FLOWS_LEAVE,
	DEAD_FLOWS_RESET,
};

#define INTERFACES_MAX 4

struct interface {
	__u32 ifindex; /* 0 = no more */
	__u8 mac[6];
	__u8 pad[2];
};

/* The one entry of `settings`. */
struct settings {
	__u64 hash_seed; /* the same on all balancers that share their flows */
	__u64 report_key[2];
	__u64 old_report_key[2]; /* still valid */
	__u64 vip_places; /* a bit for each hash_vip_place() where a VIP is */
	struct interface interfaces[INTERFACES_MAX];
	__u32 flow_buckets;
	__u8 keyed;
	__u8 tracing; /* some packets are to be told of: trace.h */
	__u16 udp_timeout_ticks; /* FLOW_FINE_SHIFT */
	__u8 any_port; /* there are services of every port */
	__u8 old_keyed; /* there is an old key */
	__u8 answers_echo; /* requests to a VIP: by us, not by the host */
	__u8 pad[5];
};

/*
 * Put in front of a packet that XDP leaves to the host, because the kernel has to find its next
 * hop: the tc program behind XDP reads it there.
 */
struct resolve_note {
	__u32 magic;
	__u32 ifindex;
};
#define RESOLVE_MAGIC 0x504c494d /* "PLIM" */

struct service_key {
	struct ip_address address;
	__be16 port; /* 0: every port of the VIP for which there is no entry of its own */
	__u8 protocol; /* IPPROTO_*; 0, with port 0, for the entry of the VIP itself */
	__u8 pad[5];
};

/*
 * The ring of a service is one array: ring_size slots of the ring itself, then member_count of its
 * backends, each once, then schedule_size of the round-robin schedule.
 */
struct service {
	__u32 id; /* index of its ring, from 1; 0 = only says that the address is a VIP */
	__u32 ring_size; /* 0 = no backend may take new flows */
	__u32 member_count;
	__u32 schedule_size;
	__u64 stale_after_ns;
	__u8 policy; /* enum policy */
	__u8 signal; /* enum signal */
	__u8 feedback; /* enum feedback */
	__u8 choices; /* 1..CHOICES_MAX */
	__u8 with_pending; /* connections on the way count */
	__u8 protocols; /* in the entry of a VIP: enum vip_protocols of its services */
	__u8 all_down; /* enum all_down */
	__u8 dead_flows; /* enum dead_flows */
};

enum vip_protocols {
	VIP_TCP = 1,
	VIP_UDP = 2,
};

/* What choosing itself remembers of a service. Inexact when CPUs write at once, which does no harm. */
struct choice_state {
	__u32 next; /* of the schedule */
	__u32 hot; /* prequal's quantile of requests */
};

/*
 * Varied outer sources in IPv4: of the network for measurements between networks (RFC 2544), which
 * nobody else has: nine bits of the flow, then the last octet of the balancer's own address. In IPv6
 * the balancer's own address, with its third word replaced by 32 bits of the flow.
 */
#define OUTER_SOURCE_IPV4 0xC6120000U /* 198.18.0.0/15 */
#define OUTER_SOURCE_IPV4_MASK 0x0001FF00U

/* A server in its part for one service. One cache line: all that forwarding needs. */
struct backend {
	__u16 service; /* id; 0 = unused */
	__u16 server; /* index into `loads` */
	__u32 vip; /* hash_vip() of its service's key: known flows need no look at the service */
	__u32 cost; /* of one connection: COST_ONE / weight, fixed point */
	__u32 ifindex; /* where it is reached; 0 = not known yet */
	__u8 mac[6]; /* its own, or its next hop's */
	__u8 source_mac[6]; /* the interface's */
	__u8 suspect; /* by what the data path sees itself: health.h */
	__u8 down; /* by the daemon */
	__u8 forward; /* enum forward */
	__u8 varied; /* the outer source varies with the flow */
	struct ip_address address;
	struct ip_address outer_source; /* ours, in a packet that is sent to its address */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct backend) == 64, "one cache line");

/*
 * What speaks for and against a backend: connections that were sent there, and clients that went on
 * with theirs. Times are of CLOCK_MONOTONIC. health.h says what it comes to.
 */
struct health {
	__u64 unanswered_ns; /* when the first SYN after the last answer was sent; 0 = none was */
	__u64 answered_ns; /* the last answer; 0 = never */
	__u64 suspect_ns; /* since when it is suspect; 0 = it is not */
	__u64 trial_ns; /* who is suspect is sent no connection before this */
	__u64 timed_ns;
	__u32 timed_flow; /* whose handshake is being timed; 0 = none */
	__u32 usual_unanswered; /* SYNs between two answers, in 1/HEALTH_USUAL_ONE */
	__u32 unanswered; /* SYNs after the last answer */
	__u32 handshake_us; /* what a handshake takes; 0 = not known */
	__u16 trials;
	__u16 refused; /* connections, after the last answer, because nobody listens */
	__u32 moved; /* repeated SYNs that went to another backend instead, ever */
} __attribute__((aligned(64)));

/*
 * A socket of our own by which a backend is checked: connected to the server's own address, while its packets
 * have the service's. By its port. If that is of the other family, they have `source` of ours, too.
 */
#define CHECK_SOCKETS_MAX 16384
struct check_socket {
	struct ip_address service, server;
	struct ip_address source; /* not set: the socket's own */
	struct ip_address own; /* the socket's, as its first packet shows it */
	__u32 backend; /* by whose way its packets go */
	__be16 port; /* of service and server */
	__u16 pad;
};

#define COST_BITS 20
#define COST_ONE (1 << COST_BITS) /* cost of a connection at weight 1 */
#define WEIGHT_MAX 1000

/* A machine that may report, by the id that its reports bear (network byte order). */
struct server {
	__u32 index; /* into `loads` */
	__u8 mac[6]; /* where its packets must come from */
	__u8 mac_known;
	__u8 tunnelled; /* or in packets from its address, to ours */
	struct ip_address address;
};

/*
 * What is known of a server's load. Written by whichever CPU receives a report; words that
 * belong together are written together, so that a reader never needs a lock.
 */
struct load {
	__u16 in_flight;
	__u16 utilisation;
	__u16 latency; /* load_report_float */
	__u16 accept_queue;
	__u32 connections_seen; /* of ours, by the server, as of the last report */
	__u32 sequence; /* of the last report */
	__u64 received_ns; /* CLOCK_MONOTONIC; 0 = never */
	__u32 connections_sent; /* by us; counts on */
	__u32 connections_lost; /* sent - seen when nothing was under way: SYNs that never arrived */
	__u64 window_start_ns;
	__u32 window_lowest; /* of sent - seen since then */
	__u32 reports; /* believed, ever */
	__u32 in_flight_sum; /* of all reports, each with at least 1; wraps */
	__u16 window_reports;
	__u8 flags; /* of the last report */
	__u8 pad;
	__u64 latency_sum_us; /* of all reports */
} __attribute__((aligned(64)));

/* The states of a flow: the name for machines and the sentence for people. */
#define FLOW_STATES(X)                                                                             \
	X(FREE, "free", "no flow")                                                                 \
	X(OPENING, "opening", "only SYNs so far")                                                  \
	X(OPEN, "open", "the client has gone on after its SYN")                                    \
	X(CLOSING, "closing", "the client has sent FIN or RST")                                    \
	X(ADOPTED, "adopted", "its beginning was not seen here")                                   \
	X(LASTING, "lasting", "open, and in use for seconds")                                      \
	X(UDP, "udp", "datagrams")                                                                 \
	X(UDP_LASTING, "udp-lasting", "datagrams for seconds")

enum flow_state {
#define FLOW_STATE_ENUM(symbol, name, sentence) FLOW_##symbol,
	FLOW_STATES(FLOW_STATE_ENUM)
#undef FLOW_STATE_ENUM
		FLOW_STATE_COUNT
};

/*
 * The flow table: buckets of one cache line. A slot is one word, so that it is read and written
 * whole: fingerprint (28 bits) | backend (20) | state (3) | tick of last packet (13). flow_slot.h
 * says what becomes of it.
 */
enum slot_layout {
	FLOW_TICK_SHIFT = 32, /* a tick is 2^32 ns, 4.3 s: 13 bits of them are 9.8 hours */
	FLOW_FINE_SHIFT = 26, /* of what may go soon 2^26 ns, 67 ms: 9.2 minutes */
	FLOW_TICK_BITS = 13,
	FLOW_STATE_BITS = 3,
	FLOW_BACKEND_BITS = 20,
	FLOW_STATE_SHIFT = FLOW_TICK_BITS,
	FLOW_BACKEND_SHIFT = FLOW_STATE_SHIFT + FLOW_STATE_BITS,
	FLOW_FINGERPRINT_SHIFT = FLOW_BACKEND_SHIFT + FLOW_BACKEND_BITS,
	/* To be raised when otherwise the same slot would mean something else, or be elsewhere. */
	FLOW_MEANING = 1, /* hash.h, flow.h, bucket.h */
	METER_MEANING = 2, /* meter_slot.h */
};

#define BUCKET_SLOTS 8
struct bucket {
	__u64 slot[BUCKET_SLOTS];
	/* No bytes, but in the type's description: a successor sees whether it understands the slots. */
	enum slot_layout layout[0];
	enum flow_state states[0];
} __attribute__((aligned(64)));

/*
 * The entries of `flow_losses`: flows that had to give way, by their state; in the place of
 * FLOW_FREE those for which nothing could give way.
 */
#define FLOW_NO_ROOM FLOW_FREE
#define FLOW_CONTESTED                                                                             \
	FLOW_STATE_COUNT /* chosen by hash: likely to give way before they are open */
#define FLOW_LOSSES (FLOW_STATE_COUNT + 1)

#define FRAGMENT_BUCKETS 4096 /* 32,768 packets in pieces */

/* On each CPU: telling clients that their packets are too big, or datagrams nobody's. */
struct icmp_errors {
	__u64 spent_until_ns; /* as many errors have been sent as are allowed until then */
	__u32 mtu; /* what fits, for the packet that is being told to be too big */
	__u32 pad;
};

/* What an ICMP error quotes, for its checksum: a whole number of the pieces that are added up at once. */
struct quote {
	__u8 bytes[1536];
};

/* How a choice came about, for those who ask: what has been looked at, and its keys (choose.h). */
struct decision {
	__u64 keys[CHOICES_MAX];
	__u32 backends[CHOICES_MAX];
	__u32 looked_at; /* more than CHOICES_MAX: the best of them are here */
	__u32 made; /* 0: nothing had to be chosen */
};

/* ------------------------------------------------------------------- tracing */

#define TRACE_SNAP_MAX 1536 /* bytes of a packet */
#define TRACE_RING_BYTES (1 << 20)

/* The one entry of `trace_filter`: which packets are to be told of. Zero is any. */
struct trace_filter {
	__u64 until_ns; /* CLOCK_MONOTONIC: a tracer that does not renew this is gone */
	__u64 verdicts; /* a bit for each verdict that is wanted; not 0 */
	struct ip_address service, client, backend;
	struct ip_address client_mask;
	__be32 backend_id; /* as that backend's reports bear it */
	__be16 service_port, client_port;
	__u32 sample; /* so many of 2^32 packets are looked at */
	__u32 rate; /* records a second, at most, by each CPU */
	__u32 snap; /* bytes of each packet that are wanted */
	__u8 service_protocol;
	__u8 unused[3];
};

/* What came of a packet. Behind it stand captured_in + captured_out bytes of the packet itself. */
struct trace_record {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	struct ip_address source, destination;
	__be16 source_port, destination_port; /* 0 where they are not known */
	__u32 ifindex;
	__u32 length_in, length_out; /* of the frame */
	__u16 captured_in, captured_out;
	__u32 service; /* id; 0: not decided by then */
	__u32 backend; /* index */
	__u8 protocol; /* 0 where the ports are not known */
	__u8 verdict;
	__u8 tcp_flags;
	__u8 opens; /* the flow begins here */
	__u8 has_report;
	__u8 option[32]; /* the report's */
	__u8 unused[7];
	struct decision decision;
};

/* A CPU's place to write a record, and its tally. */
struct trace {
	struct trace_record record;
	__u8 packet[2 * TRACE_SNAP_MAX];
	__u64 active; /* the record is of the packet that is on its way */
	__u64 second; /* that `records` counts for */
	__u64 records;
	__u64 over_rate; /* not told because of the rate, ever */
	__u64 no_room; /* not told because the reader was too slow, ever */
};

struct backend_stats {
	__u64 packets;
	__u64 bytes;
	__u64 connections;
};

/* -------------------------------------------------------------------- server */

#define METER_ENTRIES 262144 /* unless configured: requests being worked on, and handshakes */
#define LATENCY_LEVELS 16
#define SERVICE_PLACES 64
#define TUNNEL_SOURCES_MAX 16 /* that are configured */
#define TUNNEL_ORIGINS_MAX (2 * BALANCERS_MAX + TUNNEL_SOURCES_MAX)

/* From where packets in an outer header are taken. */
struct tunnel_origin {
	struct ip_address address, mask;
	__u32 peer; /* its number, from 1; 0: not known */
	__u32 pad;
};

struct server_settings {
	__u64 min_interval_ns; /* never two reports closer than this */
	__u64 max_interval_ns; /* a report even if nothing has changed */
	__u64 balancer_silence_ns; /* no detour to a balancer silent for this long */
	__u64 report_key[2];
	__u64 restarted_until_ns; /* reports bear flag R until then */
	struct service_key places
		[SERVICE_PLACES]; /* of `services`, each at its hash_place() if that was free */
	__u32 unplaced; /* services that are only in the map */
	__u32 server_id; /* network byte order */
	__s64 idle_distance; /* from a run queue to the books of idle time; 0 = not known: we trace */
	__u32 max_share; /* of response packets, 2^16 = all */
	__u32 mtu;
	__u32 meter_buckets;
	__u32 peer_count;
	__u32 cpu_count;
	__u8 keyed;
	__u8 only_polled; /* no reports in packets: the load is told to those who ask */
	__u8 any_port; /* there are services of every port */
	__u8 pad[5];
	struct tunnel_origin tunnel_origins[TUNNEL_ORIGINS_MAX];
	__u32 tunnel_origin_count;
	__u32 pad2;
};

/*
 * A balancer, and what this server has told it. One cache line for packets in, and one for packets
 * out, which look at the first only when a report may be due.
 */
struct peer {
	struct ip_address address;
	struct ip_address own; /* this server's, as it would speak to that one */
	__u8 mac[6]; /* its own, or its next hop's */
	__u8 mac_known;
	__u8 is_far; /* behind a router: its reports go in an outer header */
	__u64 heard_ns; /* last packet from it, to the tick */
	__u64 heard_tick; /* the same in the kernel's own ticks */
	__u32 connections_seen; /* new ones that it has sent here, and that have made a request or ended */
	__u32 pad1;

	__u64 reported_ns __attribute__((aligned(64))); /* last report to it */
	__u32 sequence; /* of that */
	__u32 reported_seen; /* connections_seen as that report had it */
	__u32 reported_in_flight;
	__u32 pad2;
	__u64 free_ns; /* from then on a report is allowed whatever the budget says */
	__u64 reports;
	__u64 report_bytes; /* of the packets that bore them */
} __attribute__((aligned(64)));

/* The frame over which server_measure() runs: the services whose accept queues are looked at. */
#define MEASURED_SERVICES_MAX 128 /* they fit into the page that a test run takes */
struct measured_services {
	__u8 header[16]; /* of a frame, and of no meaning */
	struct service_key services[MEASURED_SERVICES_MAX];
};

/* This server's load, all its services together. server_load.h says what it comes to. */
struct metrics {
	/* A cache line of what requests change. */
	__s64 in_flight;
	__u64 handshake_ns; /* when one last came to its end */
	__u64 resumed_ns; /* when one last did after a pause */
	__u32 spilled; /* slots of the meter in use behind its front, or about to be (meter_slot.h) */
	__u32 outer_length; /* of the longest header that packets have come in */
	__u64 penalty; /* for what was reset of late */
	__u64 evicted; /* waiting requests that the meter table had no room for */
	__u64 swept; /* waiting requests whose connection had gone without a packet */
	__u64 utilisation_ns; /* when it was last worked out */
	/* What answers and reports change. */
	__u64 busy_ns; /* sum over CPUs at that time */
	__u32 utilisation; /* 65535 = all CPUs busy */
	__u32 accept_queue; /* 65535 = full, of the service that last reported */
	__u64 latency[LATENCY_LEVELS]; /* medians, by the in-flight that the request met */
} __attribute__((aligned(64)));

/* What an application says of its own load, by `plimsoll load`; the highest of all services. */
struct application {
	__u64 until_ns; /* it holds so long */
	struct service_key service;
	__u32 utilisation; /* 65535 = 1 */
	__u32 pad;
};

/* Of one CPU. */
struct server_stats {
	__u64 requests; /* answered */
	__u64 connections;
	__u64 resets; /* connections the server refused or reset */
	__u64 request_packets;
	__u64 response_packets; /* as on the wire: a GSO packet counts its segments */
	__u64 response_bytes;
	__u64 tunnel_packets; /* whose outer header has been taken off */
	__u64 tunnel_refused; /* in an outer header, but not from a balancer, or to no VIP */
	__s64 tokens; /* budget of this CPU, 2^16 = one report */
	__u64 skips
		[SKIP_COUNT]; /* response packets by whether they bore a report, and if not, why */
	enum skip names[0]; /* no bytes: that a successor sees whether it has the same ones */
};

struct cpu_time {
	__u64 busy_ns;
	__u64 since_ns; /* of the last switch */
	__u32 idle; /* what runs since then is the idle task */
	__u32 interrupts; /* of the idle task that are being served */
};

#endif
