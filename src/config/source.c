/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE_MAX (16 << 20)
#define READ_FIRST 4096
#define KEY_PRINTED_MAX 40
#define MESSAGE_MAX 4096

struct text {
	char *bytes;
	size_t length;
	size_t room;
};

/* A key may be one that we do not know, with anything in it. */
static void print_key(FILE *errors, const char *key)
{
	size_t i;

	for (i = 0; key[i] && i < KEY_PRINTED_MAX; i++)
		fputc(key[i] >= ' ' && key[i] <= '~' ? key[i] : '?', errors);
	fputs(": ", errors);
}

void config_print_mistake(const char *path, int line, const char *key, const char *message,
			  void *errors)
{
	fprintf(errors, "%s:", path);
	if (line)
		fprintf(errors, "%d:", line);
	fputc(' ', errors);
	if (key)
		print_key(errors, key);
	fprintf(errors, "%s\n", message);
}

void source_mistake(struct config_source *source, int line, const char *key, const char *format,
		    ...)
{
	va_list arguments;
	char message[MESSAGE_MAX];

	source->mistakes++;
	if (source->mistakes > MISTAKES_MAX)
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	source->tell(source->path, line, key, message, source->context);
	if (source->mistakes < MISTAKES_MAX)
		return;
	snprintf(message, sizeof(message), "stopped after %d mistakes", MISTAKES_MAX);
	source->tell(source->path, 0, NULL, message, source->context);
}

bool source_given_up(const struct config_source *source)
{
	return source->mistakes >= MISTAKES_MAX;
}

/* Room for more, up to one byte more than is allowed: to see that there is more. */
static bool grow(struct text *text)
{
	size_t room = text->room ? 2 * text->room : READ_FIRST;
	char *bytes;

	if (room > FILE_SIZE_MAX)
		room = FILE_SIZE_MAX + 1;
	bytes = realloc(text->bytes, room);
	if (!bytes)
		return false;
	text->bytes = bytes;
	text->room = room;
	return true;
}

static int read_all(int file, struct text *text)
{
	ssize_t length;

	while (text->length <= FILE_SIZE_MAX) {
		if (text->length == text->room && !grow(text))
			return -ENOMEM;
		length = read(file, text->bytes + text->length, text->room - text->length);
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			return -errno;
		if (length == 0)
			return 0;
		text->length += (size_t)length;
	}
	return -EFBIG;
}

/* On failure too, text->bytes is to be freed. */
static int read_file(struct config_source *source, struct text *text)
{
	int file = open(source->path, O_RDONLY | O_CLOEXEC);
	int err = file < 0 ? -errno : read_all(file, text);

	if (file >= 0)
		close(file);
	if (err == -EFBIG)
		source_mistake(source, 0, NULL, "is larger than 16 MiB; expected a configuration");
	else if (err)
		source_mistake(source, 0, NULL, "cannot be read: %s", strerror(-err));
	return err;
}

static int count_lines(const struct text *text, size_t end)
{
	int line = 1;
	size_t i;

	for (i = 0; i < end && i < text->length; i++)
		line += text->bytes[i] == '\n';
	return line;
}

/* YAML forbids tabs here, and its parser then names anything but the tab. */
static bool indented_by_tab(const struct text *text, int line)
{
	size_t i = 0;

	for (; line > 1 && i < text->length; i++)
		line -= text->bytes[i] == '\n';
	while (i < text->length && text->bytes[i] == ' ')
		i++;
	return i < text->length && text->bytes[i] == '\t';
}

/* "while parsing a flow sequence" helps only if one knows which. */
static void scanner_mistake(struct config_source *source, const yaml_parser_t *parser, int line)
{
	int begin = (int)parser->context_mark.line + 1;

	if (parser->context && begin != line)
		source_mistake(source, line, NULL, "is not YAML: %s (%s that begins on line %d)",
			       parser->problem, parser->context, begin);
	else
		source_mistake(source, line, NULL, "is not YAML: %s", parser->problem);
}

static int parser_mistake(struct config_source *source, const yaml_parser_t *parser,
			  const struct text *text)
{
	int line = (int)parser->problem_mark.line + 1;

	if (parser->error == YAML_MEMORY_ERROR) {
		source_mistake(source, 0, NULL, "cannot be read: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	/* The reader, below the scanner, knows bytes but no lines. */
	if (parser->error == YAML_READER_ERROR)
		source_mistake(source, count_lines(text, parser->problem_offset), NULL,
			       "is not YAML: %s; expected UTF-8 text", parser->problem);
	else if (indented_by_tab(text, line))
		source_mistake(source, line, NULL,
			       "is not YAML: a tab indents the line; expected spaces");
	else
		scanner_mistake(source, parser, line);
	return -EINVAL;
}

/* A second document would be passed over in silence. */
static int refuse_second(struct config_source *source, yaml_parser_t *parser,
			 const struct text *text)
{
	yaml_document_t second;
	yaml_node_t *root;
	int err = 0;

	if (!yaml_parser_load(parser, &second))
		return parser_mistake(source, parser, text);
	root = yaml_document_get_root_node(&second);
	if (root) {
		source_mistake(source, node_line(root), NULL,
			       "a second YAML document begins; expected only one");
		err = -EINVAL;
	}
	yaml_document_delete(&second);
	return err;
}

static int check_root(struct config_source *source)
{
	char quoted[QUOTED_MAX];

	source->root = yaml_document_get_root_node(&source->document);
	if (!source->root) {
		source_mistake(source, 1, NULL, "is empty; expected \"services:\" and other keys");
		return -EINVAL;
	}
	if (source->root->type != YAML_MAPPING_NODE) {
		source_mistake(source, node_line(source->root), NULL,
			       "%s is no mapping; expected \"services:\" and other keys",
			       node_quote(source->root, quoted));
		return -EINVAL;
	}
	return 0;
}

static int parse(struct config_source *source, const struct text *text)
{
	yaml_parser_t parser;
	int err;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text->bytes, text->length);
	if (!yaml_parser_load(&parser, &source->document)) {
		err = parser_mistake(source, &parser, text);
		goto out;
	}
	err = check_root(source);
	if (!err)
		err = refuse_second(source, &parser, text);
	if (err)
		yaml_document_delete(&source->document);
out:
	yaml_parser_delete(&parser);
	return err;
}

int source_open(struct config_source *source, const char *path, config_mistake *tell, void *context)
{
	struct text text = {0};
	int err;

	*source = (struct config_source){.path = path, .tell = tell, .context = context};
	err = read_file(source, &text);
	if (!err)
		err = parse(source, &text);
	free(text.bytes);
	return err;
}

void source_close(struct config_source *source)
{
	yaml_document_delete(&source->document);
}

yaml_node_t *source_value(struct config_source *source, const yaml_node_t *mapping, const char *key)
{
	const yaml_node_pair_t *pair;
	const char *text;

	if (!mapping || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top;
	     pair++) {
		text = node_text(yaml_document_get_node(&source->document, pair->key));
		if (text && !strcmp(text, key))
			return yaml_document_get_node(&source->document, pair->value);
	}
	return NULL;
}

yaml_node_t *source_item(struct config_source *source, const yaml_node_t *list, size_t index)
{
	const yaml_node_item_t *item;

	if (!list || list->type != YAML_SEQUENCE_NODE)
		return NULL;
	item = list->data.sequence.items.start + index;
	return item < list->data.sequence.items.top ?
		       yaml_document_get_node(&source->document, *item) :
		       NULL;
}

int node_line(const yaml_node_t *node)
{
	return (int)node->start_mark.line + 1;
}

const char *node_text(const yaml_node_t *node)
{
	const char *text;

	if (!node || node->type != YAML_SCALAR_NODE)
		return NULL;
	text = (const char *)node->data.scalar.value;
	return strlen(text) == node->data.scalar.length ? text : NULL;
}

const char *node_quote(const yaml_node_t *node, char quoted[QUOTED_MAX])
{
	static const char ellipsis[] = "...";
	/* Room for an escaped byte, the dots, the quote and the end. */
	const size_t last = QUOTED_MAX - sizeof("\\x00") - sizeof(ellipsis) - 1;
	size_t used = 0;
	size_t i;

	if (node->type == YAML_SEQUENCE_NODE)
		return "a list";
	if (node->type == YAML_MAPPING_NODE)
		return "a mapping";
	quoted[used++] = '"';
	for (i = 0; i < node->data.scalar.length && used < last; i++) {
		unsigned char byte = node->data.scalar.value[i];

		if (byte >= ' ' && byte <= '~')
			quoted[used++] = (char)byte;
		else
			used += (size_t)sprintf(quoted + used, "\\x%02x", byte);
	}
	if (i < node->data.scalar.length)
		used += (size_t)sprintf(quoted + used, "%s", ellipsis);
	quoted[used++] = '"';
	quoted[used] = '\0';
	return quoted;
}
