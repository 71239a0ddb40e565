/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The text of one value to the value itself. All are parse_functions: they return NULL, or what is
 * wrong as the middle of a sentence (`is too large`), and then have written nothing.
 */
#ifndef PLIMSOLL_CONFIG_VALUES_H
#define PLIMSOLL_CONFIG_VALUES_H

#include "table.h"

parse_function parse_check_path;
parse_function parse_choice;
parse_function parse_duration; /* to nanoseconds */
parse_function parse_interface;
parse_function parse_name;
parse_function parse_number;
parse_function parse_prime;
parse_function parse_seed;
parse_function parse_service_address;
parse_function parse_share; /* a percentage to a double */
parse_function parse_unicast;
parse_function parse_prefix;

/* Their value is the struct config, for there is a flag to set beside. */
parse_function parse_key_file;
parse_function parse_old_key_file;
parse_function parse_listen;
parse_function parse_agent_listen;

#endif
