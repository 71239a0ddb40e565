/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel's own sockets know of a packet: asked only where the packet itself does not tell. */
#ifndef PLIMSOLL_SOCKET_H
#define PLIMSOLL_SOCKET_H

#include "flow_slot.h"
#include "packet.h"
#include "shared.h"

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* include/net/tcp_states.h, not in the UAPI except as the names of bpf.h. */
#define TCP_STATE_WANTS_DATA                                                                       \
	(1 << BPF_TCP_ESTABLISHED | 1 << BPF_TCP_SYN_RECV | 1 << BPF_TCP_NEW_SYN_RECV)

/* What of the kernel's sockets is read; where it is, is found out at load time. */
struct sock {
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
} __attribute__((preserve_access_index));

struct inet_sock {
	struct sock sk;
} __attribute__((preserve_access_index));

struct inet_connection_sock {
	struct inet_sock icsk_inet;
} __attribute__((preserve_access_index));

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 snd_nxt;
	__u32 write_seq; /* behind the last byte that the application has written */
} __attribute__((preserve_access_index));

enum arrival {
	ARRIVAL_NEW, /* data that the server has not had yet */
	ARRIVAL_OLD, /* a retransmission, a keepalive probe, or nobody will answer it */
	ARRIVAL_ELSEWHERE, /* no socket here: the connection ends in another namespace, say */
};

/* The socket of a connection, client first; or the listener that there is for it. To be released. */
static __always_inline struct bpf_sock *socket_find(struct __sk_buff *skb,
						    const struct ip_address *client,
						    __be16 client_port,
						    const struct ip_address *own, __be16 own_port)
{
	struct bpf_sock_tuple tuple = {};

	if (own->word[0] || own->word[1] || own->word[2] != bpf_htonl(0xFFFF)) {
		__builtin_memcpy(tuple.ipv6.saddr, client, sizeof(*client));
		__builtin_memcpy(tuple.ipv6.daddr, own, sizeof(*own));
		tuple.ipv6.sport = client_port;
		tuple.ipv6.dport = own_port;
		return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	tuple.ipv4.saddr = client->word[3];
	tuple.ipv4.daddr = own->word[3];
	tuple.ipv4.sport = client_port;
	tuple.ipv4.dport = own_port;
	return bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
}

/* Of data from a client. by_cookie: the meter has seen the connection's handshake, but no data yet. */
static __always_inline enum arrival arrival(struct __sk_buff *skb, const struct packet *packet,
					    int by_cookie)
{
	__u32 end = packet->sequence + packet->payload_length;
	enum arrival is = ARRIVAL_NEW;
	struct bpf_tcp_sock *tcp;
	struct bpf_sock *sk;

	sk = socket_find(skb, &packet->source, packet->source_port, &packet->to.address,
			 packet->to.port);
	if (!sk)
		return ARRIVAL_ELSEWHERE;
	tcp = bpf_tcp_sock(sk);
	if (sk->state == BPF_TCP_LISTEN) {
		/* The third packet of a handshake by SYN cookie; or of nothing at all. */
		if (!by_cookie)
			is = ARRIVAL_OLD;
	} else if (!(TCP_STATE_WANTS_DATA & 1 << (sk->state & 0xF)) ||
		   (tcp && (__s32)(end - tcp->rcv_nxt) <= 0)) {
		is = ARRIVAL_OLD;
	}
	bpf_sk_release(sk);
	return is;
}

/* The server's own side of a connection; NULL if it has none any more. */
static __always_inline struct tcp_sock *own_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_skc_to_tcp_sock(sk) : 0;
}

/* New data and bare ACKs stand at snd_nxt or beyond; what was sent before stands below. */
static __always_inline int was_sent_before(const struct tcp_sock *tcp, const struct packet *packet)
{
	return (__s32)(packet->sequence - tcp->snd_nxt) < 0;
}

/* Has the application written nothing yet that would follow this packet? */
static __always_inline int is_last_written(const struct tcp_sock *tcp, const struct packet *packet)
{
	__u32 end = packet->sequence + packet->payload_length + !!(packet->tcp_flags & TCP_BIT_FIN);

	return (__s32)(tcp->write_seq - end) <= 0;
}

/* The listener for the address and port, not a connection there. To be released. */
static __always_inline struct bpf_sock *listener_find(struct __sk_buff *skb,
						      const struct ip_address *address, __be16 port)
{
	/* A client of 0.0.0.0, or ::, has no connection. */
	const struct ip_address nobody = {};

	return socket_find(skb, &nobody, bpf_get_prandom_u32(), address, port);
}

static __always_inline int is_listened_to(struct __sk_buff *skb, const struct ip_address *address,
					  __be16 port)
{
	struct bpf_sock *listener = listener_find(skb, address, port);

	if (listener)
		bpf_sk_release(listener);
	return listener != 0;
}

/* How full the listener's queue is, 65535 = full; of several (SO_REUSEPORT), any one's. */
static __always_inline __u32 accept_queue(struct __sk_buff *skb, const struct ip_address *address,
					  __be16 port)
{
	struct sock_common *found;
	struct tcp_sock *listener;
	__u32 queued = 0, room = 0;

	found = (void *)listener_find(skb, address, port);
	if (!found)
		return 0;
	listener = bpf_skc_to_tcp_sock(found);
	if (listener) {
		queued = listener->inet_conn.icsk_inet.sk.sk_ack_backlog;
		room = listener->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
	}
	bpf_sk_release((void *)found);
	if (!room)
		return 0;
	return queued < room ? queued * 65535U / room : 65535;
}

#endif
