/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "runtime.h"
#include "sandbox.h"

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

static bool exists(const char *path)
{
	struct stat status;

	return !lstat(path, &status);
}

static bool is_bpffs(const char *path)
{
	struct statfs status;

	return !statfs(path, &status) && status.f_type == BPF_FS_MAGIC;
}

static void assert_nothing_left(void)
{
	assert_false(is_bpffs("/run/plimsoll/bpf"));
	assert_false(exists("/run/plimsoll"));
}

static int pin_map(const struct runtime *runtime)
{
	char path[sizeof(runtime->pins) + 8];
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", 4, 4, 1, NULL);
	int rc;

	if (map < 0)
		return -errno;
	snprintf(path, sizeof(path), "%s/map", runtime->pins);
	rc = bpf_obj_pin(map, path);
	close(map);
	return rc;
}

static int drop_capability(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[capability / 32].effective &= ~(1U << (capability % 32));
	data[capability / 32].permitted &= ~(1U << (capability % 32));
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

/* Process 1 can more than this one afterwards, so its namespaces are closed to it. */
static int lock_out_of_process_1(void)
{
	return drop_capability(CAP_WAKE_ALARM) || drop_capability(CAP_SYS_PTRACE) ||
	       !access("/proc/1/ns/mnt", R_OK);
}

/* Runs a part of a test in a child; returns its result. */
static int in_child(int (*part)(void))
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(part());
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int die(void)
{
	kill(getpid(), SIGKILL);
	return 0;
}
#define KILLED (128 + SIGKILL)

static void test_names(void **state)
{
	static const char *const bad[] = {"",	 ".",	"..",  ".lock", "bpf", "tc",  "ip",
					  "xdp", "a/b", "a b", "a\n",	"ä",   "a+b", NULL};
	char longest[64 + 1];
	struct runtime runtime;
	int i;

	(void)state;
	SANDBOX_REQUIRED();
	for (i = 0; bad[i]; i++)
		assert_int_equal(runtime_open(&runtime, bad[i]), -EINVAL);
	memset(longest, 'x', 64);
	longest[64] = '\0';
	assert_int_equal(runtime_open(&runtime, longest), -EINVAL);
	assert_nothing_left();
	longest[63] = '\0';
	assert_int_equal(runtime_open(&runtime, longest), 0);
	runtime_remove(&runtime);
	assert_nothing_left();
}

static void test_life(void **state)
{
	struct runtime runtime;
	char path[256];
	FILE *file;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(runtime_open(&runtime, "web"), 0);
	assert_string_equal(runtime.name, "web");
	assert_string_equal(runtime.directory, "/run/plimsoll/web");
	assert_string_equal(runtime.pins, "/run/plimsoll/bpf/web");
	assert_true(is_bpffs(runtime.pins));
	assert_int_equal(pin_map(&runtime), 0);
	runtime_path("web", "journal", path, sizeof(path));
	assert_string_equal(path, "/run/plimsoll/web/journal");
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);

	runtime_close(&runtime);
	assert_true(exists(path));
	assert_true(exists("/run/plimsoll/bpf/web/map"));

	assert_int_equal(runtime_open(&runtime, "web"), 0);
	assert_int_equal(mkdir("/run/plimsoll/bpf/web/deeper", 0700), 0);
	runtime_remove(&runtime);
	assert_nothing_left();
	runtime_remove(&runtime); /* nothing to do */
}

static void test_busy(void **state)
{
	struct runtime first, second;
	char told[512];
	char expected[64];

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(runtime_open(&first, "web"), 0);
	capture_begin();
	assert_int_equal(runtime_open(&second, "web"), -EBUSY);
	capture_end(told, sizeof(told));
	snprintf(expected, sizeof(expected), "\"web\" runs already as process %d", getpid());
	assert_non_null(strstr(told, expected));
	assert_true(is_bpffs(first.pins));
	runtime_remove(&first);
	assert_nothing_left();
}

static void test_several(void **state)
{
	struct runtime one, two;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(runtime_open(&one, "one"), 0);
	assert_int_equal(runtime_open(&two, "two"), 0);
	assert_int_equal(pin_map(&two), 0);
	runtime_remove(&one);
	assert_false(exists("/run/plimsoll/one"));
	assert_false(exists("/run/plimsoll/bpf/one"));
	assert_true(exists("/run/plimsoll/bpf/two/map"));
	runtime_remove(&two);
	assert_nothing_left();
}

/* iproute2, asked to load a program, makes these in whatever bpffs it finds: they are no instance's. */
static void test_guests(void **state)
{
	struct runtime runtime;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(runtime_open(&runtime, "web"), 0);
	assert_int_equal(mkdir("/run/plimsoll/bpf/tc", 0700), 0);
	assert_int_equal(mkdir("/run/plimsoll/bpf/tc/globals", 0700), 0);
	assert_int_equal(symlink("/run/plimsoll/bpf/tc/", "/run/plimsoll/bpf/ip"), 0);
	assert_int_equal(symlink("/run/plimsoll/bpf/tc/", "/run/plimsoll/bpf/xdp"), 0);
	runtime_remove(&runtime);
	assert_nothing_left();
}

static void test_guests_pin(void **state)
{
	struct runtime guest = {.pins = "/run/plimsoll/bpf/tc/globals"};
	struct runtime runtime;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(runtime_open(&runtime, "web"), 0);
	assert_int_equal(mkdir("/run/plimsoll/bpf/tc", 0700), 0);
	assert_int_equal(mkdir(guest.pins, 0700), 0);
	assert_int_equal(pin_map(&guest), 0);
	runtime_remove(&runtime);
	assert_true(exists("/run/plimsoll/bpf/tc/globals/map"));
	assert_int_equal(unlink("/run/plimsoll/bpf/tc/globals/map"), 0);
	assert_int_equal(runtime_open(&runtime, "web"), 0);
	runtime_remove(&runtime);
	assert_nothing_left();
}

/* A bpffs takes no '.' in a name. */
static void test_dotted_name(void **state)
{
	struct runtime runtime;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(runtime_open(&runtime, "lab.7"), 0);
	assert_string_equal(runtime.directory, "/run/plimsoll/lab.7");
	assert_null(strchr(runtime.pins, '.'));
	assert_int_equal(pin_map(&runtime), 0);
	runtime_remove(&runtime);
	assert_nothing_left();
}

/* As `ip netns exec` does it. */
static int open_and_pin_elsewhere(void)
{
	struct runtime runtime;

	if (unshare(CLONE_NEWNS) || runtime_open(&runtime, "web") || pin_map(&runtime))
		return 1;
	if (!is_bpffs("/run/plimsoll/bpf") || access("/run/plimsoll/bpf/web/map", F_OK))
		return 2;
	return die();
}

static int open_and_remove_elsewhere(void)
{
	struct runtime runtime;

	if (unshare(CLONE_NEWNS) || runtime_open(&runtime, "web") || pin_map(&runtime))
		return 1;
	runtime_remove(&runtime);
	return exists("/run/plimsoll") ? 2 : 0;
}

static void assert_map_survived(void)
{
	struct runtime runtime;
	int map;

	map = bpf_obj_get("/run/plimsoll/bpf/web/map");
	assert_true(map >= 0);
	close(map);
	assert_int_equal(runtime_open(&runtime, "web"), 0);
	runtime_remove(&runtime);
	assert_nothing_left();
}

static void test_killed_in_namespace(void **state)
{
	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(in_child(open_and_pin_elsewhere), KILLED);
	assert_map_survived();
}

static void test_removed_from_namespace(void **state)
{
	struct runtime runtime;

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(in_child(open_and_remove_elsewhere), 0);
	assert_nothing_left();
	assert_int_equal(in_child(open_and_pin_elsewhere), KILLED);
	assert_int_equal(in_child(open_and_remove_elsewhere), 1); /* the map is there already */
	assert_int_equal(runtime_open(&runtime, "web"), 0);
	runtime_remove(&runtime);
	assert_nothing_left();
}

/* The mounts of the host are shared on a machine with systemd: then the new one shows by itself. */
static void test_shared_mounts(void **state)
{
	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL), 0);
	assert_int_equal(in_child(open_and_pin_elsewhere), KILLED);
	assert_map_survived();
	assert_int_equal(in_child(open_and_remove_elsewhere), 0);
	assert_nothing_left();
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}

static int shell_without_process_1(void)
{
	if (lock_out_of_process_1())
		return 3;
	return in_child(open_and_pin_elsewhere);
}

static void test_ancestor_keeps(void **state)
{
	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(in_child(shell_without_process_1), KILLED);
	assert_map_survived();
}

static int open_without_keeper(void)
{
	char told[512];
	struct runtime runtime;
	int rc;

	if (unshare(CLONE_NEWNS) || lock_out_of_process_1())
		return 1;
	capture_begin();
	rc = runtime_open(&runtime, "web");
	capture_end(told, sizeof(told));
	if (rc || pin_map(&runtime))
		return 2;
	if (!strstr(told, "lasts only as long as this mount namespace"))
		return 3;
	runtime_remove(&runtime);
	return exists("/run/plimsoll") ? 4 : 0;
}

static void test_no_keeper(void **state)
{
	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(in_child(open_without_keeper), 0);
	assert_nothing_left();
}

static int open_without_privilege(void)
{
	char told[512];
	struct runtime runtime;
	int rc;

	if (drop_capability(CAP_SYS_ADMIN))
		return 1;
	capture_begin();
	rc = runtime_open(&runtime, "web");
	capture_end(told, sizeof(told));
	if (rc != -EPERM)
		return 2;
	return strstr(told, "mount -t bpf bpf /run/plimsoll/bpf") ? 0 : 3;
}

static int open_unprivileged(void)
{
	struct runtime runtime;

	if (setuid(65534))
		return 1;
	return runtime_open(&runtime, "web") == -EACCES ? 0 : 2;
}

static void test_not_allowed(void **state)
{
	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(in_child(open_without_privilege), 0);
	assert_nothing_left();
	assert_int_equal(in_child(open_unprivileged), 0);
	assert_nothing_left();
}

/* Two that start and end all the time never remove each other's house. */
static int come_and_go(void)
{
	struct runtime runtime;
	char name[32];
	int i;

	snprintf(name, sizeof(name), "race-%d", getpid());
	for (i = 0; i < 50; i++) {
		if (runtime_open(&runtime, name) || pin_map(&runtime))
			return 1;
		runtime_remove(&runtime);
	}
	return 0;
}

static void test_race(void **state)
{
	pid_t child;
	int status;

	(void)state;
	SANDBOX_REQUIRED();
	child = fork();
	if (!child)
		_exit(come_and_go());
	assert_int_equal(come_and_go(), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_nothing_left();
}

static void test_find(void **state)
{
	struct runtime west, balancer, east;
	char name[64] = "";
	char told[512];

	(void)state;
	SANDBOX_REQUIRED();
	assert_int_equal(runtime_find(NULL, name, sizeof(name)), -ENOENT);
	assert_int_equal(runtime_find("west", name, sizeof(name)), -ENOENT);
	assert_int_equal(runtime_find("../etc", name, sizeof(name)), -EINVAL);

	assert_int_equal(runtime_open(&west, "west"), 0);
	assert_int_equal(runtime_find(NULL, name, sizeof(name)), 0);
	assert_string_equal(name, "west");

	assert_int_equal(runtime_open(&east, "east"), 0);
	capture_begin();
	assert_int_equal(runtime_find(NULL, name, sizeof(name)), -ENOENT);
	capture_end(told, sizeof(told));
	assert_non_null(strstr(told, "among: east, west"));
	assert_int_equal(runtime_find("east", name, sizeof(name)), 0);
	assert_string_equal(name, "east");

	assert_int_equal(runtime_open(&balancer, "balancer"), 0);
	assert_int_equal(runtime_find(NULL, name, sizeof(name)), 0);
	assert_string_equal(name, "balancer");
	runtime_remove(&west);
	runtime_remove(&balancer);
	runtime_remove(&east);
	assert_nothing_left();
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_guests),
		cmocka_unit_test(test_guests_pin),
		cmocka_unit_test(test_dotted_name),
		cmocka_unit_test(test_killed_in_namespace),
		cmocka_unit_test(test_removed_from_namespace),
		cmocka_unit_test(test_shared_mounts),
		cmocka_unit_test(test_ancestor_keeps),
		cmocka_unit_test(test_no_keeper),
		cmocka_unit_test(test_not_allowed),
		cmocka_unit_test(test_race),
		cmocka_unit_test(test_find),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
	return sandbox_run(tests);
}
