/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sockets that listen. */
#ifndef PLIMSOLL_HTTP_LISTEN_H
#define PLIMSOLL_HTTP_LISTEN_H

#include "address.h"

/*
 * A socket of mode 0600; one that nobody listens behind any more is replaced, and any other file is
 * left alone. Returns it, or -errno.
 */
int listen_on_path(const char *path);

int listen_on_endpoint(const struct endpoint *endpoint);

/* What to do about the -errno of listen_on_endpoint(). */
const char *listen_advice(int err);

#endif
