/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Work that takes time and no CPU: some workers, and a line before them. Whoever owns it says what
 * time it is. A worker that is free at a certain time goes on at that time, however late anybody
 * looks: so a late wake-up delays one answer, and does not cost capacity.
 */
#ifndef PLIMSOLL_LAB_WORK_H
#define PLIMSOLL_LAB_WORK_H

#include <stddef.h>
#include <stdint.h>

#define WORKERS_MAX 256

struct job {
	uint64_t arrived_ns;
	uint64_t work_ns; /* in all, at speed 1 */
	uint64_t finish_ns; /* while being worked on */
	unsigned int worker; /* which one does, from 1; 0 = in the line */
	struct job *next;
	struct job *previous;
};

struct work {
	unsigned int workers; /* how many may work */
	unsigned int busy; /* how many do: more, for a while, after there were more of them */
	double speed;
	struct job *working[WORKERS_MAX];
	struct job *first; /* the line */
	struct job *last;
};

static inline void work_start(struct work *work, struct job *job, uint64_t now)
{
	work->working[work->busy++] = job;
	job->worker = work->busy;
	job->finish_ns = now + (uint64_t)((double)job->work_ns / work->speed);
}

static inline void line_leave(struct work *work, struct job *job)
{
	*(job->previous ? &job->previous->next : &work->first) = job->next;
	*(job->next ? &job->next->previous : &work->last) = job->previous;
}

/* Those who are free take from the line, from `now` on, but nobody before he came. */
static inline void work_fill(struct work *work, uint64_t now)
{
	while (work->busy < work->workers && work->first) {
		struct job *job = work->first;

		line_leave(work, job);
		work_start(work, job, job->arrived_ns > now ? job->arrived_ns : now);
	}
}

static inline void work_add(struct work *work, struct job *job, uint64_t now)
{
	job->arrived_ns = now;
	job->worker = 0;
	job->next = NULL;
	job->previous = work->last;
	*(work->last ? &work->last->next : &work->first) = job;
	work->last = job;
	work_fill(work, now);
}

static inline void work_remove(struct work *work, struct job *job, uint64_t now)
{
	if (!job->worker) {
		line_leave(work, job);
		return;
	}
	/* The last one takes the place. */
	work->working[job->worker - 1] = work->working[--work->busy];
	work->working[job->worker - 1]->worker = job->worker;
	job->worker = 0;
	work_fill(work, now);
}

/* The one that is done first, or NULL. */
static inline struct job *work_first(const struct work *work)
{
	struct job *first = NULL;

	for (unsigned int i = 0; i < work->busy; i++)
		if (!first || work->working[i]->finish_ns < first->finish_ns)
			first = work->working[i];
	return first;
}

/* Takes out a job that is done by now, or returns NULL. To be called until it does. */
static inline struct job *work_done(struct work *work, uint64_t now)
{
	struct job *job = work_first(work);

	if (!job || job->finish_ns > now)
		return NULL;
	work_remove(work, job, job->finish_ns);
	return job;
}

/* The following two: when nothing is left that is done by now. What is being worked on counts. */
static inline void work_set_speed(struct work *work, double speed, uint64_t now)
{
	for (unsigned int i = 0; i < work->busy; i++) {
		struct job *job = work->working[i];
		double left = (double)(job->finish_ns - now) * work->speed;

		job->finish_ns = now + (uint64_t)(left / speed);
	}
	work->speed = speed;
}

static inline void work_set_workers(struct work *work, unsigned int workers, uint64_t now)
{
	work->workers = workers;
	work_fill(work, now);
}

#endif
