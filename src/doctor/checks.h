/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything that the doctor looks at, once each: its function is check_SYMBOL(), in the file of its
 * topic; then the side it is for, the name for machines and people, and why it matters. The order is
 * that of the answer: what others depend on comes first. LATER: by what the daemon's counters have done
 * meanwhile; these are the last.
 */
#ifndef PLIMSOLL_DOCTOR_CHECKS_H
#define PLIMSOLL_DOCTOR_CHECKS_H

#include "doctor/findings.h"
#include "doctor/subject.h"

#define CHECKS(X)                                                                                  \
	X(daemon, BOTH, "daemon",                                                                  \
	  "without its daemon the data path goes on, but neighbours and weights are not kept "     \
	  "current")                                                                               \
	X(config, BOTH, "config", "a file with a mistake is refused at the next start")            \
	X(config_in_force, BOTH, "config-in-force",                                                \
	  "what stands in the file takes effect only when the daemon has read it")                 \
	X(key_file, BOTH, "key-file", "who reads the key can forge reports and draw all traffic")  \
	X(listen, BOTH, "listen",                                                                  \
	  "status and metrics are read-only, but tell addresses and load to whoever asks")         \
	X(capabilities, BOTH, "capabilities",                                                      \
	  "BPF programs are loaded and attached by who has CAP_BPF, CAP_NET_ADMIN and "            \
	  "CAP_PERFMON")                                                                           \
	X(memlock, BOTH, "memlock", "before Linux 5.11 BPF maps count as locked memory")           \
	X(open_files, BOTH, "open-files",                                                          \
	  "each client of the API, stream and poll is an open file of the daemon")                 \
	X(kernel, BOTH, "kernel", "the programs need what older kernels lack")                     \
	X(kernel_features, BOTH, "kernel-features",                                                \
	  "a kernel may be built without program types and helpers that Plimsoll calls")           \
	X(btf, BOTH, "btf", "programs find the kernel's structures by its type information")       \
	X(bpf_jit, BOTH, "bpf-jit",                                                                \
	  "without its JIT the kernel interprets programs, many times "                            \
	  "slower")                                                                                \
	X(clock, SERVER, "clock",                                                                  \
	  "reports are numbered from the wall clock on: set back, they look old for a while")      \
	X(interfaces, BOTH, "interfaces", "packets come and go by these")                          \
	X(programs, BOTH, "programs",                                                              \
	  "without its programs on the interface nothing is balanced, metered or reported")        \
	X(xdp_others, BOTH, "xdp-others",                                                          \
	  "one interface takes one XDP program; another one keeps ours out, or sees packets "      \
	  "first")                                                                                 \
	X(tc_others, BOTH, "tc-others",                                                            \
	  "a tc program before ours may end the matter, and ours never sees the packet")           \
	X(xdp_mode, BALANCER, "xdp-mode", "generic XDP forwards at a fraction of the speed")       \
	X(offloads, BOTH, "offloads",                                                              \
	  "packets that the NIC has merged (LRO) cannot be sent on as they are")                   \
	X(checksums, SERVER, "checksums",                                                          \
	  "a virtual link hands packets over with their checksum unfinished, and the balancer's "  \
	  "XDP sends them on so")                                                                  \
	X(queues, BALANCER, "queues", "each receive queue is served by one CPU")                   \
	X(vip, BOTH, "vip",                                                                        \
	  "the service's address has to be one of this host's own, where nobody else sees it")     \
	X(arp_ignore, SERVER, "arp-ignore",                                                        \
	  "a server that answers ARP for the service's address takes traffic past the balancer")   \
	X(arp_announce, SERVER, "arp-announce",                                                    \
	  "a server that names the service's address in its own ARP requests draws its traffic")   \
	X(rp_filter, SERVER, "rp-filter",                                                          \
	  "strict filtering drops requests that come another way than answers go")                 \
	X(forwarding, BALANCER, "forwarding",                                                      \
	  "the kernel finds the way of reports' packets only for an interface that forwards")      \
	X(next_hops, BOTH, "next-hops",                                                            \
	  "who does not answer ARP gets no connections and no reports")                            \
	X(neighbour_table, BOTH, "neighbour-table",                                                \
	  "a full neighbour table leaves backends without an address to send to")                  \
	X(mtu, BALANCER, "mtu", "packets longer than the smallest MTU on the way are lost")        \
	X(way_mtu, BOTH, "way-mtu", "packets longer than the smallest MTU on the way are lost")    \
	X(vip_arp, BOTH, "vip-arp", "the service's traffic goes to whoever answers ARP for it")    \
	X(listener, SERVER, "listener", "connections to a port where nobody listens are reset")    \
	X(report_loop, SERVER, "report-loop",                                                      \
	  "a report counts when it gets through to the balancer, and its packet back from there")  \
	X(balancer_heard, SERVER_LATER, "balancer-heard",                                          \
	  "no report goes to a balancer from which nothing comes")                                 \
	X(meter_table, SERVER_LATER, "meter-table",                                                \
	  "requests that find no room in the meter are missing in the load")                       \
	X(reports, BALANCER_LATER, "reports",                                                      \
	  "a backend that does not report counts as loaded as the "                                \
	  "mean of the others")                                                                    \
	X(backends, BALANCER_LATER, "backends",                                                    \
	  "a backend that is suspect or down gets no new connections, and the others its share")   \
	X(keys, BALANCER_LATER, "keys",                                                            \
	  "reports whose tag does not fit are dropped, with their packet")                         \
	X(unknown_servers, BALANCER_LATER, "unknown-servers",                                      \
	  "reports of servers that are no backends are dropped, with their packet")                \
	X(report_source, BALANCER_LATER, "report-source",                                          \
	  "reports from another MAC address than their server's are dropped, with their packet")   \
	X(report_format, BALANCER_LATER, "report-format",                                          \
	  "reports of another version are dropped, with their packet")                             \
	X(report_order, BALANCER_LATER, "report-order",                                            \
	  "reports that are not newer than the last are not believed")                             \
	X(return_route, BALANCER_LATER, "return-route",                                            \
	  "packets that bore a report go on to their client by this host's routes")                \
	X(drops, BALANCER_LATER, "drops", "dropped packets are clients that wait")                 \
	X(flow_table, BALANCER_LATER, "flow-table",                                                \
	  "connections that find no room may change their backend")

#define CHECK_DECLARE(symbol, side, name, why)                                                     \
	void check_##symbol(const struct subject *subject, struct findings *findings);
CHECKS(CHECK_DECLARE)
#undef CHECK_DECLARE

#endif
