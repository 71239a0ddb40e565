/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_SERVER_H
#define PLIMSOLL_SERVER_H

/* `plimsoll server`: argv[0] is the verb. Returns the exit status. */
int server_command(int argc, char **argv);

#endif
