/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The socket at which a worker is told to work slower, or faster, or with more hands. */
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *obey(struct worker *worker, char *command)
{
	char *value = strchr(command, ' ');
	uint64_t workers;
	double speed;

	command[strcspn(command, "\n")] = '\0';
	if (value)
		*value++ = '\0';
	if (!strcmp(command, "reset") && !value) {
		truth_reset(worker);
	} else if (!strcmp(command, "speed") && value && !parse_real(value, 1e-6, &speed)) {
		work_set_speed(&worker->work, speed, worker->now);
	} else if (!strcmp(command, "workers") && value &&
		   !parse_count(value, 1, WORKERS_MAX, &workers)) {
		work_set_workers(&worker->work, (unsigned int)workers, worker->now);
	} else {
		return "error: known are `speed 0.5`, `workers 4`, `reset`\n";
	}
	return "ok\n";
}

void control_read(struct worker *worker)
{
	struct sockaddr_un sender;
	char command[128];

	for (;;) {
		socklen_t size = sizeof(sender);
		ssize_t length = recvfrom(worker->control, command, sizeof(command) - 1, 0,
					  (struct sockaddr *)&sender, &size);
		const char *reply;

		if (length < 0)
			return;
		command[length] = '\0';
		truth_begin(worker);
		reply = obey(worker, command);
		truth_end(worker);
		if (size > sizeof(sa_family_t))
			sendto(worker->control, reply, strlen(reply), 0, (struct sockaddr *)&sender,
			       size);
	}
}

int control_open(struct worker *worker, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &worker->control};

	if (!path)
		return 0;
	if (strlen(path) >= sizeof(address.sun_path))
		return fail(-ENAMETOOLONG, "%s", path);
	strcpy(address.sun_path, path);
	unlink(path);
	worker->control = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (worker->control < 0 ||
	    bind(worker->control, (struct sockaddr *)&address, sizeof(address)) ||
	    epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->control, &event))
		return fail(-errno, "%s", path);
	return 0;
}
