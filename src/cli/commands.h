/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The verbs that are no daemons: argv[0] is the verb, the return value the exit status. */
#ifndef PLIMSOLL_COMMANDS_H
#define PLIMSOLL_COMMANDS_H

#include "options.h"

extern const struct option_row show_options[];
extern const struct option_row top_options[];
extern const struct option_row trace_options[];
extern const struct option_row where_options[];
extern const struct option_row load_options[];
extern const struct option_row weight_options[];
extern const struct option_row drain_options[];
extern const struct option_row undrain_options[];
extern const struct option_row add_options[];
extern const struct option_row remove_options[];
extern const struct option_row reload_options[];
extern const struct option_row check_config_options[];
extern const struct option_row doctor_options[];

int show_command(int argc, char **argv);
int top_command(int argc, char **argv);
int trace_command(int argc, char **argv);
int where_command(int argc, char **argv);
int load_command(int argc, char **argv);
int weight_command(int argc, char **argv);
int drain_command(int argc, char **argv);
int undrain_command(int argc, char **argv);
int add_command(int argc, char **argv);
int remove_command(int argc, char **argv);
int reload_command(int argc, char **argv);
int check_config_command(int argc, char **argv);
int doctor_command(int argc, char **argv);

#endif
