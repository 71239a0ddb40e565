/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void truth_begin(struct worker *worker)
{
	struct truth *truth = worker->truth;
	uint64_t passed = worker->now - truth->updated_ns;

	__atomic_store_n(&truth->version, truth->version + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	truth->in_flight_ns += truth->in_flight * passed;
	truth->working_ns += truth->working * passed;
	truth->updated_ns = worker->now;
}

void truth_end(struct worker *worker)
{
	struct truth *truth = worker->truth;

	truth->working = worker->work.busy;
	truth->workers = worker->work.workers;
	truth->speed = worker->work.speed;
	__atomic_store_n(&truth->version, truth->version + 1, __ATOMIC_RELEASE);
	oracle_tell(&worker->oracle, truth->owed, worker->from_balancer,
		    (uint64_t)worker->latency_ns / NS_PER_US, worker->now);
}

void truth_reset(struct worker *worker)
{
	struct truth *truth = worker->truth;

	truth->since_ns = worker->now;
	truth->accepted = 0;
	truth->answered = 0;
	truth->aborted = 0;
	truth->refused = 0;
	truth->in_flight_ns = 0;
	truth->working_ns = 0;
	truth->service_ns = 0;
	truth->latency_ns = 0;
}

int truth_open(struct worker *worker, const char *path)
{
	int fd, err = 0;

	worker->truth = &worker->own;
	if (path) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return fail(-errno, "%s", path);
		if (ftruncate(fd, sizeof(struct truth)))
			err = -errno;
		worker->truth =
			mmap(NULL, sizeof(struct truth), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
		if (err || worker->truth == MAP_FAILED)
			return fail(err ? err : -errno, "%s", path);
	}
	memset(worker->truth, 0, sizeof(*worker->truth));
	worker->truth->magic = TRUTH_MAGIC;
	worker->truth->updated_ns = worker->now;
	truth_begin(worker);
	truth_reset(worker);
	truth_end(worker);
	return 0;
}
