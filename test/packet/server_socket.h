/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A real socket of the server's end, without a client: what the meter asks for what it does not see. */
#ifndef PLIMSOLL_TEST_SERVER_SOCKET_H
#define PLIMSOLL_TEST_SERVER_SOCKET_H

enum server_socket {
	NO_SOCKET,
	LISTENING,
	ESTABLISHED, /* with CLIENT, next byte expected: SEQUENCE */
	SHUT_DOWN, /* likewise, and the server has sent its FIN */
};

/* One at a time. Fails the test if it cannot be had. */
void server_socket_open(enum server_socket kind);

/* Without a word to the client; if none is open, nothing. */
void server_socket_close(void);

#endif
