/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Another configuration while a daemon runs: asked for, told of, and what of it both daemons have in common. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "clock.h"
#include "config/compare.h"
#include "daemon.h"

static void hang_up(evutil_socket_t signal, short events, void *context)
{
	struct daemon *daemon = context;

	(void)signal;
	(void)events;
	daemon->reload(daemon->reload_context);
}

int daemon_on_reload(struct daemon *daemon, void (*reload)(void *context), void *context)
{
	daemon->reload = reload;
	daemon->reload_context = context;
	daemon->hang_up = evsignal_new(daemon->base, SIGHUP, hang_up, daemon);
	return daemon->hang_up && !event_add(daemon->hang_up, NULL) ? 0 : -ENOMEM;
}

void daemon_reloading(const struct daemon *daemon)
{
	if (daemon->ready)
		sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			   (unsigned long long)now_ns() / 1000);
}

void daemon_reloaded(const struct daemon *daemon)
{
	if (daemon->ready)
		sd_notify(0, "READY=1");
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return address_equal(a->address, b->address) && a->port == b->port;
}

int daemon_move_listen(struct daemon *daemon, const struct config *from, const struct config *to)
{
	if (from->listening == to->listening &&
	    (!to->listening || same_endpoint(&from->listen, &to->listen)))
		return 0;
	return http_move_tcp(daemon->http, from->listening ? &from->listen : NULL,
			     to->listening ? &to->listen : NULL);
}

void daemon_release_host(struct daemon *daemon, const struct config *gone,
			 const struct config *stays)
{
	for (size_t i = 0; i < gone->interface_count; i++)
		if (!config_has_interface(stays, gone->interfaces[i]))
			host_take_back_sysctls(daemon->host, gone->interfaces[i]);
	for (size_t i = 0; i < gone->service_count; i++) {
		struct ip_address vip = gone->services[i].address.address;

		if (config_has_address(stays, vip))
			continue;
		host_take_back_address(daemon->host, "lo", vip);
		for (size_t j = 0; j < gone->interface_count; j++)
			host_take_back_address(daemon->host, gone->interfaces[j], vip);
	}
}

/* To be freed; NULL for want of memory. */
static char *config_text(const struct config *config)
{
	struct config *staying = config_copy_staying(config);
	char *text = NULL;
	size_t length;
	FILE *out = staying ? open_memstream(&text, &length) : NULL;

	if (out) {
		config_write(staying, out);
		fclose(out);
	}
	config_free(staying);
	return text;
}

void daemon_answer_config(const struct daemon *daemon, struct http_request *request)
{
	char *text = config_text(daemon->config);

	if (text)
		http_send_json(request, HTTP_OK,
			       json_pack("{s:s,s:s,s:s}", "role", daemon->verb, "file",
					 daemon->config_path, "config", text));
	else
		http_send_error(request, HTTP_INTERNAL, "out of memory");
	free(text);
}
