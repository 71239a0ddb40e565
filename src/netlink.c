/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* The kernel fills dumps to 8 KiB, or to 32 KiB for a reader that has room. */
#define ANSWER_SIZE 16384

int netlink_open(struct mnl_socket **result)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int rc;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID)) {
		rc = -errno;
		mnl_socket_close(socket);
		return rc;
	}
	*result = socket;
	return 0;
}

struct nlmsghdr *netlink_begin(void *buffer, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return request;
}

/* Is there as much of each message as it says? */
static bool are_whole(const char *bytes, size_t length)
{
	const struct nlmsghdr *message;
	size_t step;

	for (; length >= sizeof(*message); bytes += step, length -= step) {
		message = (const struct nlmsghdr *)bytes;
		if (message->nlmsg_len < sizeof(*message) || message->nlmsg_len > length)
			return false;
		step = MNL_ALIGN((size_t)message->nlmsg_len);
		if (step > length)
			break;
	}
	return true;
}

int netlink_run(const void *bytes, size_t length, uint32_t sequence, unsigned int port,
		mnl_cb_t reply, void *context)
{
	if (!are_whole(bytes, length)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	return mnl_cb_run(bytes, length, sequence, port, reply, context);
}

int netlink_ask(struct mnl_socket *socket, struct nlmsghdr *request, mnl_cb_t reply, void *context)
{
	static uint32_t sequence;
	char buffer[ANSWER_SIZE] __attribute__((aligned(8)));
	const struct nlmsghdr *first = (const struct nlmsghdr *)buffer;
	ssize_t length;
	int more = MNL_CB_OK;

	request->nlmsg_seq = ++sequence;
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > MNL_CB_STOP) {
		length = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return -errno;
		/* The rest of an answer that an earlier caller has given up. */
		if (first->nlmsg_seq != request->nlmsg_seq)
			continue;
		more = netlink_run(buffer, length, request->nlmsg_seq,
				   mnl_socket_get_portid(socket), reply, context);
	}
	return more < 0 ? -errno : 0;
}

int netlink_ask_once(struct nlmsghdr *request, mnl_cb_t reply, void *context)
{
	struct mnl_socket *socket;
	int rc;

	rc = netlink_open(&socket);
	if (rc)
		return rc;
	rc = netlink_ask(socket, request, reply, context);
	mnl_socket_close(socket);
	return rc;
}

const void *netlink_header(const struct nlmsghdr *message, size_t header_size)
{
	if (mnl_nlmsg_get_payload_len(message) < header_size)
		return NULL;
	return mnl_nlmsg_get_payload(message);
}

const struct nlattr *netlink_next(const struct nlmsghdr *message, size_t header_size,
				  const struct nlattr *previous)
{
	const char *end = (const char *)message + message->nlmsg_len;
	const struct nlattr *next = previous ? mnl_attr_next(previous) :
					       mnl_nlmsg_get_payload_offset(message, header_size);

	return mnl_attr_ok(next, (int)(end - (const char *)next)) ? next : NULL;
}

uint32_t netlink_u32(const struct nlattr *attribute)
{
	uint32_t value = 0;

	if (mnl_attr_get_payload_len(attribute) == sizeof(value))
		memcpy(&value, mnl_attr_get_payload(attribute), sizeof(value));
	return value;
}

struct ip_address netlink_address(const struct nlattr *attribute)
{
	return address_of_bytes(mnl_attr_get_payload(attribute),
				mnl_attr_get_payload_len(attribute));
}
