/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A value as text again: what its parser would read as the same value. */
#ifndef PLIMSOLL_CONFIG_FORMAT_H
#define PLIMSOLL_CONFIG_FORMAT_H

#include "table.h"

#define FIELD_TEXT_MAX 1024

/*
 * The text of a field that is neither list nor mapping, out of the structure that it is kept in.
 * False: it is not there, which is what a file without the key says, or it is not kept.
 */
bool field_format(const struct field *field, const void *parent, char text[FIELD_TEXT_MAX]);

/* An item of a list of texts. */
void item_format(const struct field *field, const void *item, char text[FIELD_TEXT_MAX]);

/* What a service is called that has no name: as its address, with "/udp" behind it if it is of UDP. */
void service_default_name(const struct service_config *service, char name[CONFIG_NAME_MAX]);

/* Whether there is a way to write what the field's parser reads. */
bool field_has_format(const struct field *field);

#endif
