/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * By what name a client may ask. A web page from elsewhere can make its own name lead to our address
 * (DNS rebinding), and would then be allowed by the browser to read what we answer. It cannot have
 * an address, localhost or this machine's name for its own.
 */
#ifndef PLIMSOLL_HTTP_HOST_H
#define PLIMSOLL_HTTP_HOST_H

#include <stdbool.h>

/* host: of a URL or a Host header, without a port; IPv6 in brackets. */
bool http_host_is_ours(const char *host);

#endif
