/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "http/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

/* Nobody listens behind it any more. A file that is no socket is not ours to replace. */
static bool socket_abandoned(const struct sockaddr_un *address)
{
	bool refused = false;
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) || !S_ISSOCK(status.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		refused = errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int bind_path(int fd, const struct sockaddr_un *address)
{
	const struct sockaddr *generic = (const struct sockaddr *)address;

	/* The file gets the mode of the socket: no moment in which others may open it. */
	if (fchmod(fd, S_IRUSR | S_IWUSR))
		return -errno;
	if (!bind(fd, generic, sizeof(*address)))
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (!socket_abandoned(address))
		return -EADDRINUSE;
	if (unlink(address->sun_path))
		return -errno;
	return bind(fd, generic, sizeof(*address)) ? -errno : 0;
}

int listen_on_path(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_path(fd, &address);
	if (!err && listen(fd, BACKLOG)) {
		err = -errno;
		unlink(path);
	}
	if (!err)
		return fd;
	close(fd);
	return err;
}

int listen_on_endpoint(const struct endpoint *endpoint)
{
	struct sockaddr_storage address;
	socklen_t length = endpoint_to_socket(endpoint, &address);
	int fd, on = 1, err;

	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
	    !bind(fd, (struct sockaddr *)&address, length) && !listen(fd, BACKLOG))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

const char *listen_advice(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "another process has it (\"ss -ltnp\" names it); "
		       "stop that, or give another address to \"listen:\"";
	case -EADDRNOTAVAIL:
		return "no interface of this host has that address; give one of its own to "
		       "\"listen:\"";
	case -EACCES:
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE";
	default:
		return strerror(-err);
	}
}
