/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections of which every byte is known beforehand, in both directions, so that whatever is done
 * to the network under them, what was broken and what was wrong can be counted exactly.
 *
 * The client sends a hello and then bytes of a random stream, as many and as fast as it likes, and
 * ends its direction. The peer sends its name, `ratio` bytes of another random stream for each byte
 * it gets, and, when the client has ended, a trailer: how many bytes have come, and how many were
 * wrong.
 *
 * stream.c is the command line; stream_serve.c the peer, stream_ask.c the client's loop,
 * stream_talk.c a connection's life there.
 */
#ifndef PLIMSOLL_LAB_STREAM_H
#define PLIMSOLL_LAB_STREAM_H

#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "random.h"
#include "values.h"

#define STREAM_MAGIC 0x504c5354 /* "PLST" */
#define STREAM_RATIO_MAX 1024
#define STREAM_NAME 8
#define STREAM_PIECE_MAX 16384
#define STREAM_SERVERS_MAX 64
#define STREAM_BREAKS_TOLD 20 /* on stderr, as they happen; all are counted */

/* Between machines of one kernel: the byte order is the host's. */
struct stream_hello {
	uint64_t seed;
	uint32_t ratio;
	uint32_t magic;
};

struct stream_trailer {
	uint64_t received; /* behind the hello */
	uint64_t wrong;
};

/* The next piece, of at most `length`, of what is the same in any order: word by word. */
static inline size_t stream_word(uint64_t seed, uint64_t offset, size_t length, uint8_t bytes[8])
{
	struct random random = {seed + offset / 8 * 0x9e3779b97f4a7c15ULL};
	uint64_t word = random_next(&random) >> offset % 8 * 8;
	size_t rest = 8 - offset % 8;

	memcpy(bytes, &word, sizeof(word));
	return rest < length ? rest : length;
}

static inline void stream_fill(uint64_t seed, uint64_t offset, uint8_t *bytes, size_t length)
{
	uint8_t word[8];

	for (size_t done = 0, count; done < length; done += count) {
		count = stream_word(seed, offset + done, length - done, word);
		memcpy(bytes + done, word, count);
	}
}

/* How many of these are not what they should be. */
static inline uint64_t stream_wrong(uint64_t seed, uint64_t offset, const uint8_t *bytes,
				    size_t length)
{
	uint64_t wrong = 0;
	uint8_t word[8];

	for (size_t done = 0, count; done < length; done += count) {
		count = stream_word(seed, offset + done, length - done, word);
		for (size_t i = 0; i < count; i++)
			wrong += bytes[done + i] != word[i];
	}
	return wrong;
}

/* The other direction's. */
static inline uint64_t stream_back(uint64_t seed)
{
	return ~seed;
}

/* How a connection can break. */
#define BREAKS(X)                                                                                  \
	X(REFUSED, "refused") /* before it was open */                                             \
	X(RESET, "reset")                                                                          \
	X(ENDED, "ended") /* by the peer, in the middle */                                         \
	X(SILENT, "silent") /* nothing came for too long, though something was owed */             \
	X(MISCOUNTED, "miscounted") /* the peer's trailer tells of another number of bytes */

enum stream_break {
#define BREAK_ENUM(symbol, name) BREAK_##symbol,
	BREAKS(BREAK_ENUM)
#undef BREAK_ENUM
		BREAK_COUNT
};

struct ask;

struct talk {
	int fd; /* -1: none yet, or no more */
	bool live; /* lasts as long as the program; else it ends by itself */
	bool open, heard, ending;
	struct stream_hello hello;
	uint32_t piece; /* bytes sent at a time */
	uint64_t sent, received, wrong; /* received: all that the peer has sent */
	uint64_t begun_ns, quiet_ns; /* quiet: since then something is owed, and nothing came */
	char name[STREAM_NAME];
	struct stream_trailer trailer;
	struct talk *next, *previous; /* of the brief ones */
};

struct ask {
	struct sockaddr_in target;
	uint64_t live, bulk; /* connections that last; so many of them carry much */
	double rate; /* new ones a second */
	double patience_ns;
	uint64_t seed;

	struct random random;
	int epoll;
	uint64_t now, tick;
	struct talk *talks; /* those that last */
	struct talk *brief;
	uint64_t brief_now, heard, open_now;
	double due;

	uint64_t begun, broken, wrong, unstarted, late, sent, received;
	uint64_t breaks[2][BREAK_COUNT]; /* [1] of those that last */
	uint64_t slowest_ns; /* of a handshake */
	uint64_t longest_quiet_ns;
	struct {
		char name[STREAM_NAME];
		uint64_t live, brief;
	} servers[STREAM_SERVERS_MAX];
};

extern volatile sig_atomic_t stream_ended;
extern const char *const break_names[];

/* Says what failed, and why; returns err. */
int fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Answers on listen, under that name, until a signal ends it. spoil_one_of: 0, or so many bytes of
 * which one is sent wrong; then how many were is printed at the end.
 */
int stream_serve(const struct sockaddr_in *listen, const char *name, uint64_t spoil_one_of);

/* Asks until a signal ends it, and prints what came of it. */
int stream_ask(struct ask *ask);

/* Opens a connection. 0, or -errno if not even the socket could be had. */
int talk_begin(struct ask *ask, struct talk *talk);

/* Sends a piece, where the peer has answered the last. May end the talk. */
void talk_send(struct ask *ask, struct talk *talk);

/* No more is sent; the peer will end it. */
void talk_end(struct ask *ask, struct talk *talk);

/* What epoll says of it. May end the talk. */
void talk_event(struct ask *ask, struct talk *talk, uint32_t events);

/* error: errno's value, or 0 where it was none. */
void talk_break(struct ask *ask, struct talk *talk, enum stream_break why, int error);

/* It has come to its end, in order or not. Defined by the loop; frees a brief one. */
void ask_ended(struct ask *ask, struct talk *talk);

#endif
