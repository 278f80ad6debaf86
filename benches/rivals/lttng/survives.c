/* A program that is killed: four threads make spans, and say in shared memory how many they have made.
 *
 *     survives record WITNESS SPANS    until it is killed; each thread so many a millisecond, or with 0 as fast as it can
 *     survives count SPANS             one thread, so many, for whoever counts instructions
 *
 * A span is the two tracepoints of spans.h; its number stands in the first: the thread's times 2^40, and how many
 * that thread had made. */

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4

void rivals_enter(const char *name);
void rivals_enter_with_fields(const char *name, uint64_t id, double ratio, const char *kind);
void rivals_leave(void);

static _Atomic uint64_t *witness;
static uint64_t in_a_millisecond;

/* Until the next moment, however late we are. */
static void wait_for(struct timespec *moment)
{
    moment->tv_nsec += 1000000;
    if (moment->tv_nsec >= 1000000000) {
        moment->tv_sec++;
        moment->tv_nsec -= 1000000000;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, moment, NULL))
        ;
}

static void *record(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    for (uint64_t n = 0;; n++) {
        if (in_a_millisecond && n % in_a_millisecond == 0)
            wait_for(&moment);
        rivals_enter_with_fields("work", thread << 40 | n, 0.5, "checkout");
        rivals_leave();
        atomic_store_explicit(&witness[thread], n + 1, memory_order_release);
    }
    return NULL;
}

/* Its instructions are counted, and no others. */
__attribute__((noinline)) void make_spans(uint64_t spans)
{
    for (uint64_t n = 0; n < spans; n++) {
        rivals_enter("work");
        rivals_leave();
    }
}

int main(int count, char **arguments)
{
    if (count == 3 && !strcmp(arguments[1], "count")) {
        make_spans(30);
        make_spans(strtoull(arguments[2], NULL, 10));
        return 0;
    }
    if (count != 4 || strcmp(arguments[1], "record"))
        return 2;
    in_a_millisecond = strtoull(arguments[3], NULL, 10);
    int file = open(arguments[2], O_RDWR | O_CREAT, 0600);
    size_t bytes = THREADS * sizeof(*witness);
    if (file < 0 || ftruncate(file, bytes) < 0) {
        perror(arguments[2]);
        return 1;
    }
    witness = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (witness == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    for (uintptr_t thread = 0; thread < THREADS; thread++) {
        pthread_t started;
        if (pthread_create(&started, NULL, record, (void *)thread)) {
            fputs("no thread\n", stderr);
            return 1;
        }
    }
    pause();
    return 0;
}
