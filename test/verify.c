/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * verify OBJECT: loads a file of BPF programs, says what the verifier made of each, and lets go of
 * them. What libbpf says if they are refused includes the verifier's log.
 *
 * The stack of functions that call each other is counted anew: Linux 6.1 rounds each frame up to 32 bytes,
 * newer kernels to 16, and so a newer one may take what 6.1 refuses.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define STACK_MAX 512
#define FRAME_UNIT 32
#define FUNCTIONS_MAX 64
#define LOG_STATISTICS 4

/* A program's functions, in the order in which they stand there. */
struct functions {
	size_t count;
	size_t start[FUNCTIONS_MAX]; /* the first instruction's number */
	unsigned int stack[FUNCTIONS_MAX];
};

static bool calls_function(const struct bpf_insn *insn)
{
	return (insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL) ||
	       (insn->code == (BPF_LD | BPF_IMM | BPF_DW) && insn->src_reg == BPF_PSEUDO_FUNC);
}

static size_t callee(const struct bpf_insn *insns, size_t i)
{
	return i + 1 + insns[i].imm;
}

static void note_start(struct functions *functions, size_t start)
{
	size_t i = functions->count;

	for (size_t j = 0; j < functions->count; j++)
		if (functions->start[j] == start)
			return;
	if (functions->count == FUNCTIONS_MAX)
		return;
	for (; i > 0 && functions->start[i - 1] > start; i--)
		functions->start[i] = functions->start[i - 1];
	functions->start[i] = start;
	functions->count++;
}

/* "stack depth 312+0+96" in the verifier's statistics: the functions' own frames. */
static bool read_stack(struct functions *functions, const char *log)
{
	const char *text = strstr(log, "stack depth ");

	if (!text)
		return false;
	text += strlen("stack depth ");
	for (size_t i = 0; i < functions->count; i++) {
		functions->stack[i] = strtoul(text, (char **)&text, 10);
		if (*text++ != '+' && i + 1 < functions->count)
			return false;
	}
	return true;
}

/* Of a function and whatever it calls, at the deepest. The verifier allows no recursion. */
static unsigned int deepest(const struct functions *functions, const struct bpf_insn *insns,
			    size_t count, size_t function)
{
	size_t end = function + 1 < functions->count ? functions->start[function + 1] : count;
	unsigned int own = (functions->stack[function] + FRAME_UNIT - 1) / FRAME_UNIT * FRAME_UNIT;
	unsigned int most = 0, depth;

	for (size_t i = functions->start[function]; i < end; i++) {
		if (!calls_function(&insns[i]))
			continue;
		for (size_t j = 0; j < functions->count; j++) {
			if (functions->start[j] != callee(insns, i))
				continue;
			depth = deepest(functions, insns, count, j);
			most = depth > most ? depth : most;
		}
	}
	return (own ? own : FRAME_UNIT) + most;
}

/* How much stack a program takes on Linux 6.1; 0 if that cannot be told. */
static unsigned int stack_needed(const struct bpf_program *program)
{
	const struct bpf_insn *insns = bpf_program__insns(program);
	size_t count = bpf_program__insn_cnt(program), length;
	struct functions functions = {.count = 1};

	for (size_t i = 0; i < count; i++)
		if (calls_function(&insns[i]))
			note_start(&functions, callee(insns, i));
	if (!read_stack(&functions, bpf_program__log_buf(program, &length)))
		return 0;
	return deepest(&functions, insns, count, 0);
}

static int describe(const struct bpf_program *program)
{
	unsigned int stack = stack_needed(program);
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length))
		return -errno;
	printf("%-16s %6u bytes, %6u instructions verified, %3u of %d bytes of stack\n",
	       bpf_program__name(program), info.xlated_prog_len, info.verified_insns, stack,
	       STACK_MAX);
	if (stack > 0 && stack <= STACK_MAX)
		return 0;
	printf("%s: Linux 6.1 allows no more than %d bytes of stack\n", bpf_program__name(program),
	       STACK_MAX);
	return -EOVERFLOW;
}

static void ask_statistics(const struct bpf_object *object)
{
	static char logs[FUNCTIONS_MAX][4096];
	struct bpf_program *program = NULL;

	for (int i = 0; i < FUNCTIONS_MAX && (program = bpf_object__next_program(object, program));
	     i++) {
		bpf_program__set_log_level(program, LOG_STATISTICS);
		bpf_program__set_log_buf(program, logs[i], sizeof(logs[i]));
	}
}

/* With statistics there is no room for a log that says why a program is refused. */
static int load(const char *path, bool statistics, struct bpf_object **object)
{
	*object = bpf_object__open(path);
	if (libbpf_get_error(*object)) {
		*object = NULL;
		return -errno;
	}
	if (statistics)
		ask_statistics(*object);
	return bpf_object__load(*object);
}

static int describe_all(const struct bpf_object *object)
{
	struct bpf_program *program = NULL;
	int err;

	while ((program = bpf_object__next_program(object, program))) {
		err = describe(program);
		if (err)
			return err;
	}
	return 0;
}

int main(int argc, char **argv)
{
	libbpf_print_fn_t print = libbpf_set_print(NULL);
	struct bpf_object *object;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: verify OBJECT\n");
		return 2;
	}
	err = load(argv[1], true, &object);
	if (err) {
		libbpf_set_print(print);
		bpf_object__close(object);
		err = load(argv[1], false, &object);
	}
	if (!err)
		err = describe_all(object);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-err));
	bpf_object__close(object);
	return err != 0;
}
