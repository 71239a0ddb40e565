/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The balancer's file is read again: what it says comes into force, what was changed by hand included. */
#include "reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balancer/balancer_private.h"
#include "balancer/by_hand.h"
#include "log.h"

/* What reload->config says, with those who still have connections. */
static int apply(struct balancer *balancer, struct reload *reload)
{
	struct config *config = config_copy(reload->config);
	uint32_t *alive = leave_count(&balancer->dataplane);
	int err = config && alive ? leave_keep(balancer, config, alive) : -ENOMEM;

	free(alive);
	if (!err)
		err = balancer_apply(balancer, config, reload->config);
	if (err)
		config_free(config);
	else
		reload->config = NULL;
	return err;
}

static void tell(const struct balancer *balancer, const struct reload *reload)
{
	size_t changes = json_array_size(reload->changes), undone = json_array_size(reload->undone);

	if (json_array_size(reload->mistakes))
		events_add(balancer->sources.events, EVENT_RELOAD_REFUSED, NULL, NULL,
			   "%s is refused: nothing has changed", reload->path);
	else
		events_add(balancer->sources.events, EVENT_RELOADED, NULL, NULL,
			   "%s is in force: %zu change%s, %zu of them to what was changed by hand",
			   reload->path, changes, changes == 1 ? "" : "s", undone);
}

static void run(struct balancer *balancer, struct reload *reload, bool check)
{
	int err = reload_read(reload, balancer->daemon.config_path, balancer->daemon.config,
			      balancer->file);

	if (check)
		return;
	if (!err) {
		reload_listen(reload);
		err = apply(balancer, reload);
		reload_listen(NULL);
		if (err && !json_array_size(reload->mistakes))
			reload_refuse(reload, NULL, strerror(-err));
		if (!err)
			(void)by_hand_keep(balancer);
	}
	reload_log(reload);
	tell(balancer, reload);
}

void balancer_reload(struct balancer *balancer, struct http_request *request)
{
	struct reload reload;
	bool check = false;

	if (request && !reload_asked(request, &check))
		return;
	daemon_reloading(&balancer->daemon);
	run(balancer, &reload, check);
	if (request)
		reload_answer(&reload, request, check);
	daemon_reloaded(&balancer->daemon);
	reload_close(&reload);
}
