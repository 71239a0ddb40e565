/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * verify OBJECT: loads a file of BPF programs, says what the verifier made of each, and lets go of
 * them. What libbpf says if they are refused includes the verifier's log.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static int describe(const struct bpf_program *program)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length))
		return -errno;
	printf("%-15s %6u bytes, %6u instructions verified\n", bpf_program__name(program),
	       info.xlated_prog_len, info.verified_insns);
	return 0;
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
	struct bpf_object *object;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: verify OBJECT\n");
		return 2;
	}
	object = bpf_object__open(argv[1]);
	err = libbpf_get_error(object) ? -errno : bpf_object__load(object);
	if (!err)
		err = describe_all(object);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-err));
	bpf_object__close(object);
	return err != 0;
}
