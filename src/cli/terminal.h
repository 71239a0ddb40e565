/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A terminal to draw on and to read keys from. Plain ANSI sequences, which every terminal of today knows, and
 * which the tables are made of anyway: a frame is one write, so nothing flickers.
 */
#ifndef PLIMSOLL_TERMINAL_H
#define PLIMSOLL_TERMINAL_H

#include <stddef.h>

enum key {
	KEY_NONE, /* time is up, or the window has another size */
	KEY_END_OF_INPUT,
	KEY_UP = 256, /* below: the letter itself */
	KEY_DOWN,
	KEY_PAGE_UP,
	KEY_PAGE_DOWN,
	KEY_HOME,
	KEY_END,
};

/* Takes the terminal. Returns 0, or -ENOTTY if stdin or stdout is none. */
int terminal_open(void);

/* Gives it back as it was. */
void terminal_close(void);

void terminal_size(size_t *rows, size_t *columns);

/* Replaces what is on the screen by lines, cut to its size. */
void terminal_draw(const char *text);

/* Waits for a key, so long at most. */
int terminal_key(int timeout_ms);

/* Has somebody asked by a signal that this end? */
int terminal_interrupted(void);

#endif
