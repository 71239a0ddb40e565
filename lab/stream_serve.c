/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define BACKLOG 4096

struct peer {
	int fd;
	struct sockaddr_in client;
	int error; /* errno's value, if it has not come to its end */
	struct stream_hello hello;
	size_t greeted; /* bytes of the hello that have come */
	struct stream_trailer trailer;
	uint64_t sent;
	bool client_done;
	bool blocked;
};

static const char *own_name;
static uint64_t spoil, spoilt; /* one byte of so many is sent wrong; how many that were */

static void peer_close(struct peer *peer)
{
	close(peer->fd);
	free(peer);
}

/* Where the trailer begins, as far as it is known by now. */
static uint64_t peer_owes(const struct peer *peer)
{
	return STREAM_NAME + peer->hello.ratio * peer->trailer.received;
}

/* Inverts every byte whose place in the stream, counted from 1, is a multiple of `spoil`. */
static void peer_spoil(uint64_t offset, uint8_t *bytes, size_t length)
{
	for (uint64_t at = spoil - 1 - offset % spoil; at < length; at += spoil)
		bytes[at] = (uint8_t)~bytes[at];
}

static void count_spoilt(const struct peer *peer, uint64_t sent)
{
	uint64_t owes = peer_owes(peer), end = peer->sent + sent;

	if (spoil && peer->sent >= STREAM_NAME && end <= owes)
		spoilt += (end - STREAM_NAME) / spoil - (peer->sent - STREAM_NAME) / spoil;
}

/* The next bytes, of one kind. Returns how many, 0 if none are due. */
static size_t peer_compose(const struct peer *peer, uint8_t *bytes)
{
	uint64_t owes = peer_owes(peer), length = 0;
	char name[STREAM_NAME] = "";

	if (peer->sent < STREAM_NAME) {
		strncpy(name, own_name, sizeof(name) - 1);
		length = STREAM_NAME - peer->sent;
		memcpy(bytes, name + peer->sent, length);
	} else if (peer->sent < owes) {
		length = owes - peer->sent;
		if (length > STREAM_PIECE_MAX)
			length = STREAM_PIECE_MAX;
		stream_fill(stream_back(peer->hello.seed), peer->sent - STREAM_NAME, bytes, length);
		if (spoil)
			peer_spoil(peer->sent - STREAM_NAME, bytes, length);
	} else if (peer->client_done) {
		length = sizeof(peer->trailer) - (peer->sent - owes);
		memcpy(bytes, (const char *)&peer->trailer + (peer->sent - owes), length);
	}
	return length;
}

static void peer_watch(int epoll, struct peer *peer)
{
	struct epoll_event event = {
		.events = (peer->client_done ? 0 : EPOLLIN) | (peer->blocked ? EPOLLOUT : 0),
		.data.ptr = peer,
	};

	epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
}

/* Sends what is owed. Returns false when the connection is over. */
static bool peer_send(int epoll, struct peer *peer)
{
	uint8_t bytes[STREAM_PIECE_MAX];
	bool was_blocked = peer->blocked;
	size_t length;
	ssize_t sent;

	peer->blocked = false;
	while ((length = peer_compose(peer, bytes))) {
		sent = send(peer->fd, bytes, length, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN) {
			peer->error = errno;
			return false;
		}
		if (sent > 0) {
			count_spoilt(peer, (uint64_t)sent);
			peer->sent += (uint64_t)sent;
		}
		peer->blocked = sent < (ssize_t)length;
		if (peer->blocked)
			break;
	}
	if (peer->client_done && !peer->blocked)
		return false;
	if (peer->blocked != was_blocked || peer->client_done)
		peer_watch(epoll, peer);
	return true;
}

/* Takes the hello, or what is left of it, off the front. Returns its bytes, or -1 for a stranger. */
static ssize_t peer_greet(struct peer *peer, const uint8_t *bytes, size_t length)
{
	size_t rest = sizeof(peer->hello) - peer->greeted;

	if (length > rest)
		length = rest;
	memcpy((char *)&peer->hello + peer->greeted, bytes, length);
	peer->greeted += length;
	if (peer->greeted == sizeof(peer->hello) &&
	    (peer->hello.magic != STREAM_MAGIC || peer->hello.ratio > STREAM_RATIO_MAX))
		return -1;
	return (ssize_t)length;
}

static bool peer_receive(struct peer *peer)
{
	uint8_t bytes[STREAM_PIECE_MAX];
	ssize_t length = recv(peer->fd, bytes, sizeof(bytes), 0);
	ssize_t head;

	if (length < 0) {
		peer->error = errno == EAGAIN ? 0 : errno;
		return !peer->error;
	}
	peer->client_done = length == 0;
	head = peer_greet(peer, bytes, (size_t)length);
	if (head < 0) {
		peer->error = EPROTO;
		return false;
	}
	peer->trailer.wrong += stream_wrong(peer->hello.seed, peer->trailer.received, bytes + head,
					    (size_t)(length - head));
	peer->trailer.received += (uint64_t)(length - head);
	return true;
}

/* One that has not come to its end, as this side sees it. */
static void tell_lost(const struct peer *peer)
{
	static uint64_t told;
	char address[INET_ADDRSTRLEN];

	if (told++ >= STREAM_BREAKS_TOLD)
		return;
	printf("lost: %s:%u, after %lu bytes: %s\n",
	       inet_ntop(AF_INET, &peer->client.sin_addr, address, sizeof(address)),
	       ntohs(peer->client.sin_port), peer->sent, strerror(peer->error));
	fflush(stdout);
}

static void peer_event(int epoll, struct peer *peer, uint32_t events)
{
	bool goes_on = !(events & (EPOLLERR | EPOLLHUP));
	socklen_t length = sizeof(peer->error);

	if (!goes_on)
		getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &peer->error, &length);
	if (goes_on && events & EPOLLIN)
		goes_on = peer_receive(peer);
	if (goes_on)
		goes_on = peer_send(epoll, peer);
	if (goes_on)
		return;
	if (peer->error)
		tell_lost(peer);
	peer_close(peer);
}

static void accept_all(int epoll, int listener)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct sockaddr_in client;
	socklen_t length = sizeof(client);
	struct peer *peer;
	int fd;

	while ((fd = accept4(listener, (struct sockaddr *)&client, &length,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		peer = calloc(1, sizeof(*peer));
		if (!peer) {
			close(fd);
			return;
		}
		peer->fd = fd;
		peer->client = client;
		event.data.ptr = peer;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			peer_close(peer);
	}
}

int stream_serve(const struct sockaddr_in *address, const char *name, uint64_t spoil_one_of)
{
	struct epoll_event events[EVENTS_MAX], event = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	own_name = name;
	spoil = spoil_one_of;
	if (epoll < 0 || listener < 0 ||
	    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    bind(listener, (const struct sockaddr *)address, sizeof(*address)) ||
	    listen(listener, BACKLOG) || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
		return fail(-errno, "cannot listen");
	printf("stream %s is ready\n", name);
	fflush(stdout);
	while (!stream_ended) {
		int count = epoll_wait(epoll, events, EVENTS_MAX, -1);

		if (count < 0 && errno != EINTR)
			return fail(-errno, "epoll");
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				peer_event(epoll, events[i].data.ptr, events[i].events);
			else
				accept_all(epoll, listener);
		}
	}
	if (spoil)
		printf("spoilt %lu\n", spoilt);
	return 0;
}
