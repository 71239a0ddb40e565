/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asking by a datagram each way (wire/load_poll.h), all agents from one socket. No state is kept of
 * a request but its number: an answer counts whenever it comes, as long as nothing newer is known.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balancer/poll_private.h"
#include "clock.h"
#include "load_poll.h"
#include "load_update.h"

#define BATCH 64
/* Requests that may be on the way to one agent: enough for 1 ms and a far continent. */
#define OUTSTANDING_MAX 256
/* Beyond that, it is only looked whether he is back. */
#define SILENT_INTERVAL_NS 100000000ULL

struct answer {
	struct sockaddr_in from;
	struct load_poll datagram;
	struct iovec bytes;
	union {
		struct cmsghdr aligned;
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control;
};

struct poll_reports {
	const struct poller *poller;
	struct load_report_key key, old_key;
	bool keyed, old_keyed;
	int socket;
	struct event *readable;
	uint64_t strangers;
	struct answer answers[BATCH];
	struct mmsghdr messages[BATCH];
};

static bool may_ask(const struct poll_target *target, uint64_t now)
{
	return target->protocol == POLL_REPORT &&
	       (target->number - target->answered < OUTSTANDING_MAX ||
		now - target->asked_ns >= SILENT_INTERVAL_NS);
}

/* What cannot be sent, for want of a route say, is as good as lost on the way. */
static void send_requests(int fd, struct mmsghdr *messages, unsigned int count)
{
	int sent;

	for (unsigned int i = 0; i < count; i++) {
		sent = sendmmsg(fd, messages + i, count - i, MSG_DONTWAIT);
		i += sent > 0 ? (unsigned int)sent - 1 : 0;
	}
}

static void ask_batch(struct poll_reports *reports, struct poll_target **targets, size_t count)
{
	struct load_poll requests[BATCH];
	struct iovec bytes[BATCH];
	struct mmsghdr messages[BATCH] = {0};
	uint64_t now = now_ns();
	unsigned int asked = 0;

	for (size_t i = 0; i < count; i++) {
		if (!may_ask(targets[i], now))
			continue;
		targets[i]->asked_ns = now;
		targets[i]->counts.polls++;
		load_poll_encode(&requests[asked], LOAD_POLL_REQUEST, ++targets[i]->number);
		bytes[asked] = (struct iovec){&requests[asked], LOAD_POLL_REQUEST_LENGTH};
		messages[asked].msg_hdr = (struct msghdr){
			.msg_name = &targets[i]->agent,
			.msg_namelen = sizeof(targets[i]->agent),
			.msg_iov = &bytes[asked],
			.msg_iovlen = 1,
		};
		asked++;
	}
	send_requests(reports->socket, messages, asked);
}

void poll_reports_ask(struct poll_reports *reports, struct poll_target **targets, size_t count)
{
	for (size_t i = 0; i < count; i += BATCH)
		ask_batch(reports, targets + i, count - i < BATCH ? count - i : BATCH);
}

/* Where the answer went to, which its tag proves too; 0 if that is not known. */
static uint32_t destination_of(struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);

	if (!control || control->cmsg_level != IPPROTO_IP || control->cmsg_type != IP_PKTINFO)
		return 0;
	return ((struct in_pktinfo *)CMSG_DATA(control))->ipi_addr.s_addr;
}

static bool is_proved(struct msghdr *message, const struct load_report_key *key)
{
	const struct answer *answer = message->msg_name;

	return answer->datagram.report.tag == load_report_tag_ipv4(&answer->datagram.report, key,
								   answer->from.sin_addr.s_addr,
								   destination_of(message));
}

static bool is_genuine(const struct poll_reports *reports, struct msghdr *message,
		       const struct load_report *report)
{
	if (!reports->keyed)
		return true;
	return report->flags & LOAD_REPORT_KEYED &&
	       (is_proved(message, &reports->key) ||
		(reports->old_keyed && is_proved(message, &reports->old_key)));
}

/* Was that asked, and not too long ago? Who cannot see our requests would have to guess. */
static bool was_asked(const struct poll_target *target, uint32_t number)
{
	uint32_t behind = target->number - number;

	return behind < OUTSTANDING_MAX && behind < target->counts.polls;
}

static void take_answer(struct poll_reports *reports, struct mmsghdr *message, uint64_t now)
{
	const struct answer *answer = message->msg_hdr.msg_name;
	const struct load_poll *poll = &answer->datagram;
	uint32_t number = load_report_be32(poll->number);
	struct poll_target *target = poll_find(reports->poller, &answer->from, POLL_REPORT);
	struct load_report report;

	if (!target) {
		reports->strangers++;
		return;
	}
	if (message->msg_hdr.msg_flags & MSG_TRUNC ||
	    !load_poll_is(poll, message->msg_len, LOAD_POLL_ANSWER) || !was_asked(target, number) ||
	    load_report_decode(&poll->report, &report) != LOAD_REPORT_OK ||
	    !is_genuine(reports, &message->msg_hdr, &report)) {
		target->counts.refused++;
		return;
	}
	if (load_report_newer(number, target->answered))
		target->answered = number;
	target->counts.answers++;
	if (!load_update(target->load, &report, now) || number != target->number)
		target->counts.late++;
}

/* The first so many, for the next answers. */
static void prepare_answers(struct poll_reports *reports, int count)
{
	for (int i = 0; i < count; i++) {
		struct answer *answer = &reports->answers[i];

		answer->bytes = (struct iovec){&answer->datagram, sizeof(answer->datagram)};
		reports->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &answer->from,
			.msg_namelen = sizeof(answer->from),
			.msg_iov = &answer->bytes,
			.msg_iovlen = 1,
			.msg_control = &answer->control,
			.msg_controllen = sizeof(answer->control),
		};
	}
}

static void receive_answers(evutil_socket_t fd, short events, void *context)
{
	struct poll_reports *reports = context;
	int count = recvmmsg(fd, reports->messages, BATCH, MSG_DONTWAIT, NULL);
	uint64_t now = now_ns();

	(void)events;
	for (int i = 0; i < count; i++)
		take_answer(reports, &reports->messages[i], now);
	prepare_answers(reports, count);
}

/* The first numbers are random, so that they cannot be guessed. */
static int number_targets(struct poller *poller)
{
	for (size_t i = 0; i < poller->target_count; i++) {
		struct poll_target *target = &poller->targets[i];

		if (getrandom(&target->number, sizeof(target->number), 0) != sizeof(target->number))
			return -EIO;
		target->answered = target->number;
	}
	return 0;
}

static void read_key(struct load_report_key *key, const uint8_t *bytes)
{
	memcpy(key->word, bytes, sizeof(key->word));
	key->word[0] = le64toh(key->word[0]);
	key->word[1] = le64toh(key->word[1]);
}

static void read_keys(struct poll_reports *reports, const struct config *config)
{
	reports->keyed = config->keyed;
	reports->old_keyed = config->old_keyed;
	read_key(&reports->key, config->report_key);
	read_key(&reports->old_key, config->old_report_key);
}

int poll_reports_open(struct poller *poller)
{
	struct poll_reports *reports = calloc(1, sizeof(*reports));
	int yes = 1;

	poller->reports = reports;
	if (!reports)
		return -ENOMEM;
	reports->poller = poller;
	read_keys(reports, poller->dataplane->config);
	prepare_answers(reports, BATCH);
	reports->socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (reports->socket < 0 ||
	    setsockopt(reports->socket, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes)))
		return -errno;
	reports->readable = event_new(poller->base, reports->socket, EV_READ | EV_PERSIST,
				      receive_answers, reports);
	if (!reports->readable || event_add(reports->readable, NULL))
		return -ENOMEM;
	return number_targets(poller);
}

void poll_reports_close(struct poll_reports *reports)
{
	if (!reports)
		return;
	if (reports->readable)
		event_free(reports->readable);
	if (reports->socket >= 0)
		close(reports->socket);
	explicit_bzero(&reports->key, sizeof(reports->key));
	free(reports);
}

uint64_t poll_reports_strangers(const struct poll_reports *reports)
{
	return reports->strangers;
}
