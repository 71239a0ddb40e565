/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What ought to become of a packet at the balancer, by the RFCs, doc/wire-format.md and
 * doc/how-it-works.md alone: a second implementation that shares no line with bpf/ and wire/, slow and
 * plain. It reads bytes, and knows the world only as it is described to it.
 */
#ifndef PLIMSOLL_TEST_ORACLE_H
#define PLIMSOLL_TEST_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_PORTS 4
#define ORACLE_BACKENDS 3
#define ORACLE_NEIGHBOURS 4
#define ORACLE_NETWORKS 4
#define ORACLE_SERVICES 8
#define ORACLE_FRAME_MAX 2304

/* What a packet ends as. The names are those that `plimsoll show` has. */
#define OUTCOMES(X)                                                                                \
	X(NOT_OURS, "not-ours")                                                                    \
	X(FORWARDED, "forwarded")                                                                  \
	X(REPORT_TAKEN, "report-taken")                                                            \
	X(REPORT_OLD, "report-old")                                                                \
	X(REPORT_RESOLVING, "report-resolving")                                                    \
	X(MALFORMED, "malformed")                                                                  \
	X(FRAGMENT_UNKNOWN, "fragment-unknown")                                                    \
	X(ICMP_STEERED, "icmp-steered")                                                            \
	X(ECHO_ANSWERED, "echo-answered")                                                          \
	X(REPORT_MALFORMED, "report-malformed")                                                    \
	X(REPORT_UNKNOWN_SERVER, "report-unknown-server")                                          \
	X(REPORT_WRONG_SOURCE, "report-wrong-source")                                              \
	X(REPORT_UNKEYED, "report-unkeyed")                                                        \
	X(REPORT_WRONG_TAG, "report-wrong-tag")                                                    \
	X(REPORT_NO_ROUTE, "report-no-route")

enum oracle_outcome {
#define OUTCOME_ENUM(symbol, name) OUTCOME_##symbol,
	OUTCOMES(OUTCOME_ENUM)
#undef OUTCOME_ENUM
		OUTCOME_COUNT
};

/* Of a packet that comes in several. */
enum oracle_piece {
	PIECE_NONE,
	PIECE_FIRST, /* where it goes the later ones go, too */
	PIECE_LATER, /* what is said holds if the first one is not known */
};

/* Where a frame leaves by. */
enum oracle_exit {
	EXIT_NOWHERE, /* dropped */
	EXIT_HOST, /* left to the host's stack */
	EXIT_BACK, /* out where it came in */
	EXIT_OTHER, /* out by another interface */
};

/* An interface that the balancer serves. */
struct oracle_port {
	uint32_t ifindex;
	uint8_t mac[6];
};

struct oracle_backend {
	uint32_t ifindex;
	uint8_t mac[6];
	uint8_t id[4]; /* as its reports bear it: its address in IPv4 */
	uint8_t address6[16];
};

/* A client whose MAC address is known. Addresses are as in struct oracle_service. */
struct oracle_neighbour {
	int family;
	uint8_t address[16];
	uint8_t mac[6];
	uint32_t ifindex;
};

/* A network of /24, or /64, that an interface is on, and its own address there. */
struct oracle_network {
	int family;
	uint8_t own[16];
	uint32_t ifindex;
	uint32_t mtu;
};

/* address: 16 bytes, or the first 4 for family 4. */
struct oracle_service {
	int family; /* 4 or 6; 0 = none */
	uint8_t address[16];
	uint8_t protocol;
	uint16_t port; /* 0 = every port */
	int outer; /* the family of the header around packets to its backends; 0 = there is none */
};

struct oracle_world {
	struct oracle_port ports[ORACLE_PORTS];
	struct oracle_backend backends[ORACLE_BACKENDS];
	struct oracle_neighbour neighbours[ORACLE_NEIGHBOURS];
	struct oracle_network networks[ORACLE_NETWORKS];
	struct oracle_service services[ORACLE_SERVICES];
	bool keyed;
	bool answers_echo;
	uint8_t key[16];
	uint8_t outer_source[4], outer_source6[16]; /* of packets around others */
};

/* A report's contents. */
struct oracle_report {
	uint8_t flags;
	uint32_t sequence;
	uint16_t in_flight, utilisation, latency, accept_queue;
	uint32_t connections_seen;
};

struct oracle_verdict {
	enum oracle_outcome outcome;
	enum oracle_exit exit; /* of forwarded ones: by backend */
	int server; /* index of the backend whose report it is, where that is believed or old */
	struct oracle_report report;
	uint8_t protocol, tcp_flags; /* of forwarded ones */
	enum oracle_piece piece;
	uint64_t packet; /* that it is a piece of */
	uint64_t flow; /* likewise: a number for client and service */
	const struct oracle_service *service; /* likewise; of a later piece NULL */
	size_t link; /* where IP begins */
	uint32_t resolve_ifindex; /* OUTCOME_REPORT_RESOLVING */
	uint8_t frame
		[ORACLE_FRAME_MAX]; /* as it goes on; of forwarded ones, without its new MAC addresses */
	size_t length;
};

/*
 * newer(): is the sequence newer than the last that was believed of that backend's server? context is
 * handed on.
 */
void oracle_judge(const struct oracle_world *world, uint32_t ifindex, const uint8_t *frame,
		  size_t length, bool (*newer)(void *context, int server, uint32_t sequence),
		  void *context, struct oracle_verdict *verdict);

/*
 * Puts the header around a forwarded packet that its service's backends get it in (RFC 2003, 2473, 4213,
 * 6040): between the link's header and what was behind that.
 */
void oracle_wrap(const struct oracle_world *world, const struct oracle_backend *backend, int outer,
		 struct oracle_verdict *verdict);

/* RFC 1982, with 32 bits. */
bool oracle_is_newer(uint32_t sequence, uint32_t than);

/* The tag of an option of which 24 bytes are there, big-endian, in a packet between two addresses. */
void oracle_tag(const uint8_t key[16], const uint8_t option[24], int family, const uint8_t *source,
		const uint8_t *destination, uint8_t tag[8]);

/* RFC 1071: 0 if what is there is right. */
uint16_t oracle_checksum(const uint8_t *bytes, size_t length);

const char *oracle_name(enum oracle_outcome outcome);

#endif
