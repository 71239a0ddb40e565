/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs of tc, where packets of the host itself pass, and what XDP has left to it. */
#ifndef PLIMSOLL_HOST_SIDE_H
#define PLIMSOLL_HOST_SIDE_H

#include <linux/pkt_cls.h>

#include "check.h"
#include "maps.h"

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

#endif
