/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Another screen, so that what was there comes back; no cursor; no line breaks of the terminal's own. */
#define ENTER "\033[?1049h\033[?25l\033[?7l\033[2J"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"
#define FRAME_BEGIN "\033[H"
#define LINE_END "\033[0m\033[K"
#define FRAME_END "\033[J"

#define SEQUENCE_MS 20 /* what follows an ESC of a key's within this time belongs to it */

static struct termios before;
static volatile sig_atomic_t interrupted;

static void note(int signal)
{
	if (signal != SIGWINCH)
		interrupted = 1;
}

int terminal_interrupted(void)
{
	return interrupted;
}

static void write_all(const char *text, size_t length)
{
	ssize_t written;

	while (length > 0) {
		written = write(STDOUT_FILENO, text, length);
		if (written < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (written > 0) {
			text += written;
			length -= (size_t)written;
		}
	}
}

int terminal_open(void)
{
	const struct sigaction action = {.sa_handler = note};
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
	struct termios raw;

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before))
		return -ENOTTY;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	/* Who stops us would be left with a terminal like this. */
	raw.c_cc[VSUSP] = _POSIX_VDISABLE;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	write_all(ENTER, strlen(ENTER));
	return 0;
}

void terminal_close(void)
{
	write_all(LEAVE, strlen(LEAVE));
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

void terminal_size(size_t *rows, size_t *columns)
{
	struct winsize size = {0};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*rows = size.ws_row ? size.ws_row : 24;
	*columns = size.ws_col ? size.ws_col : 80;
}

/* One line, of which sequences take no room. Returns what is behind it. */
static const char *draw_line(FILE *frame, const char *text, size_t columns)
{
	size_t used = 0;
	const char *end;

	while (*text && *text != '\n') {
		if (*text == '\033') {
			end = text + strcspn(text, "m\n");
			fwrite(text, 1, (size_t)(end - text) + (*end == 'm'), frame);
			text = *end == 'm' ? end + 1 : end;
			continue;
		}
		if (used++ < columns)
			fputc(*text, frame);
		text++;
	}
	fputs(LINE_END, frame);
	return *text ? text + 1 : text;
}

void terminal_draw(const char *text)
{
	size_t rows, columns, length, row;
	char *content = NULL;
	FILE *frame = open_memstream(&content, &length);

	if (!frame)
		return;
	terminal_size(&rows, &columns);
	fputs(FRAME_BEGIN, frame);
	for (row = 0; row < rows && *text; row++) {
		if (row)
			fputs("\r\n", frame);
		text = draw_line(frame, text, columns);
	}
	if (row < rows)
		fputs("\r\n" FRAME_END, frame);
	fclose(frame);
	write_all(content, length);
	free(content);
}

static int read_byte(int timeout_ms)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	unsigned char byte;

	if (poll(&input, 1, timeout_ms) <= 0)
		return KEY_NONE;
	return read(STDIN_FILENO, &byte, 1) == 1 ? byte : KEY_END_OF_INPUT;
}

/* What comes behind ESC and [ or O; "5~" has a byte more. */
static int sequence_key(void)
{
	int byte = read_byte(SEQUENCE_MS);

	if (byte != '[' && byte != 'O')
		return KEY_NONE;
	byte = read_byte(SEQUENCE_MS);
	if (byte >= '0' && byte <= '9')
		(void)read_byte(SEQUENCE_MS);
	switch (byte) {
	case 'A':
		return KEY_UP;
	case 'B':
		return KEY_DOWN;
	case '5':
		return KEY_PAGE_UP;
	case '6':
		return KEY_PAGE_DOWN;
	case 'H':
	case '1':
		return KEY_HOME;
	case 'F':
	case '4':
		return KEY_END;
	default:
		return KEY_NONE;
	}
}

int terminal_key(int timeout_ms)
{
	int byte = read_byte(timeout_ms);

	return byte == '\033' ? sequence_key() : byte;
}
