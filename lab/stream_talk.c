/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A SYN that is lost is sent again after a second: then a handshake takes at least this long. */
#define LATE_NS (900 * NS_PER_MS)
#define RECEIVE_MAX 65536

/* What the peer has to have sent by now. */
static uint64_t talk_owed(const struct talk *talk)
{
	uint64_t owed = STREAM_NAME + talk->hello.ratio * talk->sent;

	if (!talk->open)
		return 0;
	return talk->ending ? owed + sizeof(talk->trailer) : owed;
}

static void talk_close(struct ask *ask, struct talk *talk)
{
	close(talk->fd);
	talk->fd = -1;
	ask->open_now--;
	ask_ended(ask, talk);
}

const char *const break_names[] = {
#define BREAK_NAME(symbol, name) [BREAK_##symbol] = name,
	BREAKS(BREAK_NAME)
#undef BREAK_NAME
};

/* What is needed to look for it in a capture and in the peers' logs. */
static void tell_break(const struct ask *ask, const struct talk *talk, enum stream_break why,
		       int error)
{
	struct sockaddr_in own = {0};
	socklen_t length = sizeof(own);
	char address[INET_ADDRSTRLEN];
	struct timespec now;

	getsockname(talk->fd, (struct sockaddr *)&own, &length);
	clock_gettime(CLOCK_REALTIME, &now);
	fprintf(stderr,
		"broken: %s %s, %s:%u, of %.8s, %.1f ms old, after %lu bytes: %s, at %lld.%06ld\n",
		talk->live ? "live" : "new", break_names[why],
		inet_ntop(AF_INET, &own.sin_addr, address, sizeof(address)), ntohs(own.sin_port),
		talk->name[0] ? talk->name : "nobody",
		(double)(ask->now - talk->begun_ns) / NS_PER_MS, talk->received,
		error ? strerror(error) : "no error", (long long)now.tv_sec, now.tv_nsec / 1000);
}

void talk_break(struct ask *ask, struct talk *talk, enum stream_break why, int error)
{
	if (ask->broken < STREAM_BREAKS_TOLD)
		tell_break(ask, talk, why, error);
	ask->broken++;
	ask->breaks[talk->live][why]++;
	talk_close(ask, talk);
}

int talk_begin(struct ask *ask, struct talk *talk)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = talk};
	int on = 1;

	talk->hello.seed = random_next(&ask->random);
	talk->hello.magic = STREAM_MAGIC;
	talk->begun_ns = talk->quiet_ns = ask->now;
	talk->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (talk->fd < 0)
		return -errno;
	setsockopt(talk->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if ((connect(talk->fd, (struct sockaddr *)&ask->target, sizeof(ask->target)) &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(ask->epoll, EPOLL_CTL_ADD, talk->fd, &event)) {
		close(talk->fd);
		talk->fd = -1;
		return -errno;
	}
	ask->begun++;
	ask->open_now++;
	return 0;
}

void talk_send(struct ask *ask, struct talk *talk)
{
	uint8_t piece[STREAM_PIECE_MAX];
	uint64_t owed = talk_owed(talk);
	ssize_t sent;

	if (!talk->open || talk->ending ||
	    owed - talk->received > 2 * talk->piece * talk->hello.ratio)
		return;
	if (owed == talk->received)
		talk->quiet_ns = ask->now;
	stream_fill(talk->hello.seed, talk->sent, piece, talk->piece);
	sent = send(talk->fd, piece, talk->piece, MSG_NOSIGNAL);
	if (sent >= 0) {
		talk->sent += (uint64_t)sent;
		ask->sent += (uint64_t)sent;
	} else if (errno != EAGAIN) {
		talk_break(ask, talk, BREAK_RESET, errno);
	}
}

void talk_end(struct ask *ask, struct talk *talk)
{
	if (!talk->open || talk->ending)
		return;
	if (talk_owed(talk) == talk->received)
		talk->quiet_ns = ask->now;
	talk->ending = true;
	if (shutdown(talk->fd, SHUT_WR))
		talk_break(ask, talk, BREAK_RESET, errno);
}

/* The handshake is over. Returns false when the talk is, too. */
static bool talk_opened(struct ask *ask, struct talk *talk)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = talk};
	uint64_t took = ask->now - talk->begun_ns;
	socklen_t length = sizeof(int);
	int error = 0;

	getsockopt(talk->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (!error &&
	    send(talk->fd, &talk->hello, sizeof(talk->hello), MSG_NOSIGNAL) != sizeof(talk->hello))
		error = errno;
	if (error) {
		talk_break(ask, talk, BREAK_REFUSED, error);
		return false;
	}
	epoll_ctl(ask->epoll, EPOLL_CTL_MOD, talk->fd, &event);
	talk->open = true;
	ask->late += took > LATE_NS;
	if (took > ask->slowest_ns)
		ask->slowest_ns = took;
	talk_send(ask, talk);
	return talk->fd >= 0;
}

/* Compares what has come: the name, the stream, the trailer. */
static void talk_compare(struct ask *ask, struct talk *talk, const uint8_t *bytes, size_t length)
{
	uint64_t stream_end = STREAM_NAME + talk->hello.ratio * talk->sent;

	for (size_t done = 0, count; done < length; done += count) {
		uint64_t at = talk->received + done;

		count = length - done;
		if (at < STREAM_NAME) {
			count = count < STREAM_NAME - at ? count : STREAM_NAME - at;
			memcpy(talk->name + at, bytes + done, count);
		} else if (at < stream_end) {
			count = count < stream_end - at ? count : stream_end - at;
			ask->wrong += stream_wrong(stream_back(talk->hello.seed), at - STREAM_NAME,
						   bytes + done, count);
		} else {
			memcpy((char *)&talk->trailer + (at - stream_end), bytes + done, count);
		}
	}
}

static void talk_receive(struct ask *ask, struct talk *talk)
{
	static uint8_t bytes[RECEIVE_MAX];
	ssize_t length = recv(talk->fd, bytes, sizeof(bytes), 0);
	uint64_t owed = talk_owed(talk);

	if (length < 0 && errno == EAGAIN)
		return;
	if (length <= 0) {
		talk_break(ask, talk, length ? BREAK_RESET : BREAK_ENDED, length ? errno : 0);
		return;
	}
	if ((uint64_t)length > owed - talk->received) {
		talk_break(ask, talk, BREAK_MISCOUNTED, 0);
		return;
	}
	if (ask->now - talk->quiet_ns > ask->longest_quiet_ns)
		ask->longest_quiet_ns = ask->now - talk->quiet_ns;
	talk->quiet_ns = ask->now;
	talk_compare(ask, talk, bytes, (size_t)length);
	talk->received += (uint64_t)length;
	ask->received += (uint64_t)length;
	ask->heard += talk->live && !talk->heard;
	talk->heard = true;
	if (talk->received < owed)
		return;
	if (!talk->ending && !talk->live) {
		talk_end(ask, talk);
	} else if (talk->ending && talk->trailer.received != talk->sent) {
		talk_break(ask, talk, BREAK_MISCOUNTED, 0);
	} else if (talk->ending) {
		ask->wrong += talk->trailer.wrong;
		talk_close(ask, talk);
	}
}

void talk_event(struct ask *ask, struct talk *talk, uint32_t events)
{
	if (!talk->open && !talk_opened(ask, talk))
		return;
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		talk_receive(ask, talk);
}
