/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* cmocka knows no way to skip a whole program; the message is what `prove` would show. */
void harness_require_root(void)
{
	/* Between what a case sets up and its run there must be less than a millisecond. */
	const struct sched_param first = {.sched_priority = 1};

	if (!geteuid()) {
		sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
		return;
	}
	printf("1..0 # SKIP BPF programs and network namespaces need root\n");
	exit(0);
}

int network_change(const char *ip_batch)
{
	FILE *ip = popen("ip -batch -", "w");

	if (!ip)
		return -errno;
	fputs(ip_batch, ip);
	return pclose(ip) ? -EINVAL : 0;
}

int network_enter(const char *ip_batch)
{
	if (unshare(CLONE_NEWNET))
		return -errno;
	return network_change(ip_batch);
}

int network_set(const char *name, const char *value)
{
	char path[256];
	FILE *file;
	int err;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	err = fputs(value, file) < 0 ? -errno : 0;
	if (fclose(file) && !err)
		err = -errno;
	return err;
}

int run_xdp(int program, uint32_t ifindex, const struct frame *in, struct outcome *outcome)
{
	struct xdp_md context = {.data_end = in->length, .ingress_ifindex = ifindex};
	uint8_t out[FRAME_MAX + 256];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->bytes, .data_size_in = in->length,
		    .data_out = out, .data_size_out = sizeof(out), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .ctx_out = &context,
		    .ctx_size_out = sizeof(context), .repeat = 1);

	if (bpf_prog_test_run_opts(program, &run))
		return -errno;
	/* What comes back begins with the note, and context->data says where it ends. */
	outcome->action = run.retval;
	outcome->note_length = context.data;
	if (context.data > sizeof(outcome->note) || run.data_size_out - context.data > FRAME_MAX)
		return -E2BIG;
	memcpy(outcome->note, out, context.data);
	outcome->frame.length = run.data_size_out - context.data;
	memcpy(outcome->frame.bytes, &out[context.data], outcome->frame.length);
	return 0;
}

int run_tc(int program, uint32_t ifindex, const struct frame *in, struct outcome *outcome)
{
	struct __sk_buff context = {.ifindex = ifindex, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->bytes, .data_size_in = in->length,
		    .data_out = outcome->frame.bytes, .data_size_out = FRAME_MAX,
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);

	if (bpf_prog_test_run_opts(program, &run))
		return -errno;
	outcome->action = run.retval;
	outcome->note_length = 0;
	outcome->frame.length = run.data_size_out;
	return 0;
}

int run_xdp_live(int program, uint32_t ifindex, const struct frame *in)
{
	struct xdp_md context = {.data_end = in->length, .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->bytes, .data_size_in = in->length,
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

	return bpf_prog_test_run_opts(program, &run) ? -errno : 0;
}

int capture_open(const char *interface)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = if_nametoindex(interface),
	};
	struct timeval second = {.tv_sec = 1};
	int capture = socket(AF_PACKET, SOCK_RAW, 0);

	if (capture < 0)
		return -errno;
	if (setsockopt(capture, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second)) ||
	    bind(capture, (struct sockaddr *)&address, sizeof(address))) {
		close(capture);
		return -errno;
	}
	return capture;
}

int capture_next(int capture, uint16_t ethertype, struct frame *frame)
{
	ssize_t length;

	do {
		length = recv(capture, frame->bytes, sizeof(frame->bytes), 0);
		if (length < 0)
			return -ETIMEDOUT;
	} while (frame->bytes[AT_ETHERTYPE] != ethertype >> 8 ||
		 frame->bytes[AT_ETHERTYPE + 1] != (ethertype & 0xff));
	frame->length = length;
	return 0;
}

uint64_t counter_read(int map, uint32_t index)
{
	int cpu, cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc(cpus, sizeof(*values));
	uint64_t sum = 0;

	if (values && !bpf_map_lookup_elem(map, &index, values))
		for (cpu = 0; cpu < cpus; cpu++)
			sum += values[cpu];
	free(values);
	return sum;
}

static int array_clear(int map, const struct bpf_map_info *info)
{
	size_t cpus = info->type == BPF_MAP_TYPE_PERCPU_ARRAY ? libbpf_num_possible_cpus() : 1;
	void *zero = calloc(cpus, (info->value_size + 7) / 8 * 8);
	uint32_t i;
	int err = 0;

	if (!zero)
		return -ENOMEM;
	for (i = 0; i < info->max_entries && !err; i++)
		err = bpf_map_update_elem(map, &i, zero, BPF_ANY);
	free(zero);
	return err;
}

static int hash_clear(int map)
{
	uint8_t key[256];

	while (!bpf_map_get_next_key(map, NULL, key))
		if (bpf_map_delete_elem(map, key))
			return -errno;
	return 0;
}

int map_clear(int map)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(map, &info, &length))
		return -errno;
	if (info.type == BPF_MAP_TYPE_HASH)
		return hash_clear(map);
	return array_clear(map, &info);
}
