/*
 * What one poster_log_metric() costs, in a run and outside:
 *
 *     cc -O2 -I include bench/bench_c_client.c -o /tmp/bench -pthread
 *     /tmp/bench && poster run -q /tmp/bench
 *
 * Nanoseconds per call, amortised over a million calls, writes included: the median and the best of nine rounds, and
 * the median of the processor time, which a busy machine changes less.
 */

#include <poster/poster.h>

enum { CALLS = 1000000, ROUNDS = 9 };

static uint64_t random_bits(void) {
    static uint64_t state = 88172645463325252ULL; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double tenths(long i) {
    return 0.1 * (double)i;
}

static double any_double(long i) {
    (void)i;
    return (double)(random_bits() >> 11) / 9007199254740992.0;
}

static double any_float(long i) {
    (void)i;
    return (double)(float)any_double(i);
}

static double whole(long i) {
    return (double)i;
}

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int compare(const void* one, const void* other) {
    const double a = *(const double*)one, b = *(const double*)other;
    return (a > b) - (a < b);
}

static void measure(const char* what, double (*value)(long)) {
    double times[ROUNDS], processor[ROUNDS];
    for (int round = 0; round < ROUNDS; ++round) {
        const double begin = seconds(CLOCK_MONOTONIC), busy = seconds(CLOCK_PROCESS_CPUTIME_ID);
        for (long i = 0; i < CALLS; ++i) poster_log_metric("train/loss", value(i), i);
        poster_flush();
        times[round] = (seconds(CLOCK_MONOTONIC) - begin) / CALLS * 1e9;
        processor[round] = (seconds(CLOCK_PROCESS_CPUTIME_ID) - busy) / CALLS * 1e9;
    }
    qsort(times, ROUNDS, sizeof *times, compare);
    qsort(processor, ROUNDS, sizeof *processor, compare);
    printf("%-16s %6.1f ns (best %.1f), processor %.1f ns\n", what, times[ROUNDS / 2], times[0], processor[ROUNDS / 2]);
}

int main(void) {
    puts(poster_active() ? "in a run" : "outside a run");
    measure("0.1 * i", tenths);
    measure("random doubles", any_double);
    measure("random float32", any_float);
    measure("whole numbers", whole);
    return 0;
}
