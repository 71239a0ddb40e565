/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "server/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address.h"
#include "clock.h"
#include "load_poll.h"
#include "log.h"
#include "server/agent_private.h"
#include "server_load.h"

/* Requests that are answered at one go; what more there is waits for the loop's next round. */
#define BATCH 32
#define BACKLOG 64
/* Utilisation is a mean over the times between looks at it: look as often as reports would. */
#define MEASURE_INTERVAL_MS 50

/* A request and, from the same buffers, its answer: to whom it came from, from where it went to. */
struct exchange {
	struct sockaddr_in asker;
	struct load_poll datagram;
	struct iovec bytes;
	union {
		struct cmsghdr aligned;
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control;
};

struct agent {
	const struct server_dataplane *dataplane;
	int socket; /* for datagrams */
	struct event *readable, *measuring;
	struct agent_lines *lines;
	uint32_t sequence; /* of what is told to those who are none of our balancers */
	struct exchange exchanges[BATCH];
	struct mmsghdr messages[BATCH];
};

void agent_measure(const struct server_dataplane *dataplane, struct load_report *report)
{
	const struct server_settings *settings = &dataplane->settings;
	uint64_t now = now_ns();

	memset(report, 0, sizeof(*report));
	server_dataplane_measure(dataplane);
	server_load_tell(dataplane->metrics, dataplane->application, now, report);
	report->server_id = settings->server_id;
	if (settings->keyed)
		report->flags |= LOAD_REPORT_KEYED;
	if (now < settings->restarted_until_ns)
		report->flags |= LOAD_REPORT_RESTARTED;
}

static struct peer *find_peer(const struct agent *agent, struct ip_address address)
{
	const struct config *config = agent->dataplane->config;

	for (size_t i = 0; i < config->balancer_count; i++)
		if (address_equal(config->balancers[i], address))
			return server_dataplane_peer(agent->dataplane, i);
	return NULL;
}

static void address_report(struct agent *agent, struct load_report *report, struct ip_address asker)
{
	struct peer *peer = find_peer(agent, asker);

	if (peer) {
		/* The kernel numbers its reports with the same counter. */
		report->sequence = __sync_add_and_fetch(&peer->sequence, 1);
		report->connections_seen = *(volatile uint32_t *)&peer->connections_seen;
		return;
	}
	/* Whose connections are not counted must not go by their number: with R, nobody does. */
	report->sequence = ++agent->sequence;
	report->connections_seen = 0;
	report->flags |= LOAD_REPORT_RESTARTED;
}

/* Where the request went to, and so where the answer has to come from; NULL if that is not known. */
static struct in_pktinfo *packet_info(struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);

	if (!control || control->cmsg_level != IPPROTO_IP || control->cmsg_type != IP_PKTINFO)
		return NULL;
	return (struct in_pktinfo *)CMSG_DATA(control);
}

/* Turns a request into its answer. False if it is none. */
static bool answer(struct agent *agent, struct mmsghdr *message, const struct load_report *measured)
{
	const struct server_settings *settings = &agent->dataplane->settings;
	struct load_report_key key = {{settings->report_key[0], settings->report_key[1]}};
	struct exchange *exchange = message->msg_hdr.msg_name;
	struct in_pktinfo *info = packet_info(&message->msg_hdr);
	struct load_poll *poll = &exchange->datagram;
	struct load_report report = *measured;

	if (!info || !load_poll_is(poll, message->msg_len, LOAD_POLL_REQUEST))
		return false;
	address_report(agent, &report, address_of_ipv4(exchange->asker.sin_addr));
	load_poll_encode(poll, LOAD_POLL_ANSWER, load_report_be32(poll->number));
	load_report_encode(&poll->report, &report);
	if (settings->keyed)
		poll->report.tag =
			load_report_tag_ipv4(&poll->report, &key, info->ipi_spec_dst.s_addr,
					     exchange->asker.sin_addr.s_addr);
	exchange->bytes.iov_len = LOAD_POLL_REQUEST_LENGTH + poll->report.length;
	/* The way back is the routes' to choose. */
	info->ipi_ifindex = 0;
	return true;
}

/* The first so many, for the next requests. */
static void prepare_exchanges(struct agent *agent, int count)
{
	for (int i = 0; i < count; i++) {
		struct exchange *exchange = &agent->exchanges[i];

		exchange->bytes = (struct iovec){&exchange->datagram, sizeof(exchange->datagram)};
		agent->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &exchange->asker,
			.msg_namelen = sizeof(exchange->asker),
			.msg_iov = &exchange->bytes,
			.msg_iovlen = 1,
			.msg_control = &exchange->control,
			.msg_controllen = sizeof(exchange->control),
		};
	}
}

static void answer_requests(evutil_socket_t fd, short events, void *context)
{
	struct agent *agent = context;
	struct load_report measured;
	unsigned int answers = 0;
	int count, sent;

	(void)events;
	count = recvmmsg(fd, agent->messages, BATCH, MSG_DONTWAIT, NULL);
	if (count <= 0)
		return;
	agent_measure(agent->dataplane, &measured);
	for (int i = 0; i < count; i++)
		if (answer(agent, &agent->messages[i], &measured))
			agent->messages[answers++] = agent->messages[i];
	/* An answer that cannot leave is as good as lost on the way. */
	for (unsigned int i = 0; i < answers; i++) {
		sent = sendmmsg(fd, agent->messages + i, answers - i, MSG_DONTWAIT);
		i += sent > 0 ? (unsigned int)sent - 1 : 0;
	}
	prepare_exchanges(agent, count);
}

static void measure(evutil_socket_t fd, short events, void *context)
{
	const struct agent *agent = context;

	(void)fd;
	(void)events;
	server_dataplane_measure(agent->dataplane);
}

/* A bound socket of that type, or -errno. */
static int bound_socket(int type, const struct endpoint *endpoint)
{
	struct sockaddr_in own = {
		.sin_family = AF_INET,
		.sin_port = htons(endpoint->port),
		.sin_addr = address_ipv4(endpoint->address),
	};
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int yes = 1, err;

	if (fd < 0)
		return -errno;
	if ((type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes))) ||
	    (type == SOCK_DGRAM && setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes))) ||
	    bind(fd, (struct sockaddr *)&own, sizeof(own)) ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int open_sockets(struct agent *agent, struct event_base *base)
{
	const struct endpoint *endpoint = &agent->dataplane->config->agent_listen;
	int listener;

	agent->socket = bound_socket(SOCK_DGRAM, endpoint);
	if (agent->socket < 0)
		return agent->socket;
	listener = bound_socket(SOCK_STREAM, endpoint);
	if (listener < 0)
		return listener;
	agent->lines = agent_lines_open(base, listener, agent->dataplane);
	return agent->lines ? 0 : -ENOMEM;
}

static int add_events(struct agent *agent, struct event_base *base)
{
	struct timeval interval = {.tv_usec = MEASURE_INTERVAL_MS * 1000};

	agent->readable =
		event_new(base, agent->socket, EV_READ | EV_PERSIST, answer_requests, agent);
	agent->measuring = event_new(base, -1, EV_PERSIST, measure, agent);
	if (!agent->readable || !agent->measuring || event_add(agent->readable, NULL) ||
	    event_add(agent->measuring, &interval))
		return -ENOMEM;
	return 0;
}

int agent_open(struct event_base *base, const struct server_dataplane *dataplane,
	       struct agent **agent)
{
	char text[ENDPOINT_TEXT_MAX];
	int err;

	*agent = calloc(1, sizeof(**agent));
	if (!*agent)
		return -ENOMEM;
	(*agent)->dataplane = dataplane;
	(*agent)->socket = -1;
	/* As the peers' begin: in ms of the wall clock, so that a restart never looks old. */
	(*agent)->sequence = (uint32_t)(clock_ns(CLOCK_REALTIME) / 1000000);
	prepare_exchanges(*agent, BATCH);
	err = open_sockets(*agent, base);
	if (!err)
		err = add_events(*agent, base);
	if (!err)
		return 0;
	log_error("agent_listen: \"%s\": %s",
		  endpoint_format(&dataplane->config->agent_listen, text), strerror(-err));
	agent_close(*agent);
	*agent = NULL;
	return err;
}

void agent_close(struct agent *agent)
{
	if (!agent)
		return;
	if (agent->readable)
		event_free(agent->readable);
	if (agent->measuring)
		event_free(agent->measuring);
	agent_lines_close(agent->lines);
	if (agent->socket >= 0)
		close(agent->socket);
	free(agent);
}
