/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "server_world.h"

static int opened = -1;

static void must(int holds, const char *what)
{
	if (!holds)
		fail_msg("socket: %s: %s", what, strerror(errno));
}

static void set(int fd, int option, int value)
{
	must(!setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)), "setsockopt");
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = address_bytes(text),
		.sin_port = htons(port),
	};
}

/* TCP_REPAIR makes a connection out of nothing, with the sequence that we say. */
static void establish(int fd)
{
	struct sockaddr_in client = address(CLIENT, CLIENT_PORT);

	set(fd, TCP_REPAIR_QUEUE, TCP_RECV_QUEUE);
	set(fd, TCP_QUEUE_SEQ, SEQUENCE);
	must(!connect(fd, (struct sockaddr *)&client, sizeof(client)), "connect");
}

void server_socket_open(enum server_socket kind)
{
	struct sockaddr_in vip = address(VIP, VIP_PORT);

	if (kind == NO_SOCKET)
		return;
	opened = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(opened >= 0, "socket");
	set(opened, TCP_REPAIR, TCP_REPAIR_ON);
	must(!bind(opened, (struct sockaddr *)&vip, sizeof(vip)), "bind");
	if (kind == LISTENING) {
		set(opened, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
		must(!listen(opened, 16), "listen");
		return;
	}
	establish(opened);
	if (kind == SHUT_DOWN) {
		set(opened, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
		must(!shutdown(opened, SHUT_WR), "shutdown");
	}
}

void server_socket_close(void)
{
	int repair = TCP_REPAIR_ON;

	if (opened < 0)
		return;
	/* In repair, a connection ends without a word. */
	setsockopt(opened, IPPROTO_TCP, TCP_REPAIR, &repair, sizeof(repair));
	close(opened);
	opened = -1;
}
