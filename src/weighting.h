/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The arithmetic of `weights: auto`: the slow loop that finds out what servers are capable of.
 *
 * A balanced service keeps requests in proportion to weight. By Little's law a server whose weight is
 * too large for its capacity then answers late, and one whose weight is too small early. So weights move
 * in small steps until the latencies agree. This needs no CPU figures, which say nothing of work that waits.
 *
 * A server that is idle between its requests answers no sooner if it is given less: by latencies alone, slow ones
 * would in the end be given nothing. So a step must also bring the weight nearer to what the server gets
 * done, as seen at the same time: requests in flight by latency. That alone would not do either: of
 * servers with little to do it says how fast each is, and nothing of how many requests it works on at a time.
 * And where the policy is not one that keeps requests in proportion to weight, what a server gets done is what
 * its weight brings it: there latencies are all there is.
 *
 * A look compares a member with the mean, as soon as there is evidence: more difference than
 * chance makes. A step is taken only when several looks in a row say the same, and no further than the
 * one of them that says least: what comes and goes is the fast loop's to meet, and is not remembered.
 */
#ifndef PLIMSOLL_WEIGHTING_H
#define PLIMSOLL_WEIGHTING_H

#include <stdbool.h>
#include <stddef.h>

/* How much of the difference, as a logarithm, one step takes back. */
#define WEIGHTING_GAIN 0.4
/* No step is larger than this factor, or its inverse. */
#define WEIGHTING_STEP_MAX 2.0
/* So many looks have to agree. */
#define WEIGHTING_LOOKS 3
/* How far a weight may go from what is configured. */
#define WEIGHTING_FACTOR_MAX 8.0
/* Differences below this are left alone, however sure they are. */
#define WEIGHTING_DEAD_BAND 0.05
/* So many standard errors are more than chance. */
#define WEIGHTING_SIGNIFICANCE 2.0
/* Fewer samples say nothing. */
#define WEIGHTING_SAMPLES_MIN 10.0
/* If so many show no difference, there is none worth waiting for. */
#define WEIGHTING_SAMPLES_ENOUGH 400.0

struct weighted {
	double configured; /* weight */
	double factor; /* on it; 1 to begin with */
	double latency_sum; /* of the samples, in any unit; since the last look */
	double in_flight_sum; /* likewise, of requests in flight, at least 1 each time */
	double samples;
	double looks[WEIGHTING_LOOKS]; /* logarithms of mean : own, the latest first */
};

/*
 * Looks at those of whom there is evidence, and forgets their samples; then takes the steps that
 * are agreed on. proportional: is_proportional() of choose.h. Returns whether factors changed. Members without samples keep their factor.
 */
bool weighting_step(struct weighted *members, size_t count, bool proportional);

#endif
