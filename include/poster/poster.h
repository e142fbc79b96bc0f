/*
 * poster.h: log metrics, messages, images and files from a C99 or C++11 program that runs under `poster run`.
 *
 *     #include <poster/poster.h>
 *     poster_log_metric("loss", loss, step);
 *
 * Header-only; may be included by any number of files of one program, and needs nothing but POSIX threads. Outside a
 * run each call does nothing and costs a few nanoseconds. In a run a line is buffered and in the run's event file
 * within 100 ms, when the buffer of 64 KiB is full, and at exit: only _exit(), abort() and a fatal signal can lose
 * lines, and only those. Nothing here ends, throws, or changes errno; what fails is told once on stderr.
 *
 * All functions may be called from any thread and after fork(). They are not for signal handlers, but there a call that
 * has interrupted another one drops its line rather than deadlock. Text is UTF-8; what is not becomes U+FFFD.
 */
#ifndef POSTER_POSTER_H
#define POSTER_POSTER_H

/* A program's choice of warnings is about its own code. */
#if defined(__GNUC__) && !defined(POSTER_WARNINGS)
#pragma GCC system_header
#endif

/* With -std=c99 the POSIX functions are declared on demand only. */
#if defined(__STRICT_ANSI__) && !defined(__cplusplus) && !defined(_POSIX_C_SOURCE) && !defined(_XOPEN_SOURCE) &&       \
    !defined(_GNU_SOURCE) && !defined(_DEFAULT_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/ioctl.h>
#include <sys/syscall.h>
#endif

#if !defined(CLOCK_MONOTONIC) || !defined(O_CLOEXEC)
#error "poster.h: include it before other headers, or compile with -std=gnu99 or -D_POSIX_C_SOURCE=200809L"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One definition per process, however many files and libraries include this. */
#define POSTER_API __attribute__((weak, visibility("default")))
#define POSTER_FORMAT(text, first) __attribute__((format(printf, text, first)))

/* As `step`: there is none. Any negative number will do. */
#define POSTER_NO_STEP (-1LL)

/* ---- where are we: facts that the launcher tells */

POSTER_API int poster_active(void);            /* 1 in a run, 0 outside */
POSTER_API const char* poster_run_id(void);    /* these three: "" outside */
POSTER_API const char* poster_run_dir(void);   /* absolute */
POSTER_API const char* poster_files_dir(void); /* absolute; what the program puts here is part of the run */
POSTER_API int poster_attempt(void);           /* from 1; 0 outside */
POSTER_API int poster_resumed(void);           /* 1 in every attempt but the first */
POSTER_API long long poster_rank(void);        /* of this process in a distributed program, else 0 */
/* A folder among the run's files, made by the first call; every attempt of the run has the same. "" outside. */
POSTER_API const char* poster_checkpoint_dir(void);

/* ---- logging */

POSTER_API void poster_log_metric(const char* name, double value, long long step);
POSTER_API void poster_log_metrics(size_t count, const char* const* names, const double* values, long long step);
POSTER_API void poster_log_epoch_metrics(size_t count, const char* const* names, const double* values, long long step,
                                         double epoch);

/* `level` is "debug", "info", "warning" or "error"; NULL: "info". */
POSTER_API void poster_log_message(const char* level, const char* text);
POSTER_API void poster_log_messagef(const char* level, const char* format, ...) POSTER_FORMAT(2, 3);

/* Parameters that the program tells itself, and results of the run as a whole. What is named like a secret (api_key,
 * password …) is recorded as "<redacted>". */
POSTER_API void poster_log_config_string(const char* name, const char* value);
POSTER_API void poster_log_config_double(const char* name, double value);
POSTER_API void poster_log_config_int(const char* name, long long value);
POSTER_API void poster_log_config_bool(const char* name, int value);
POSTER_API void poster_set_summary_string(const char* name, const char* value);
POSTER_API void poster_set_summary_double(const char* name, double value);
POSTER_API void poster_set_summary_int(const char* name, long long value);
POSTER_API void poster_set_summary_bool(const char* name, int value);

/* A message to the people of the run. */
POSTER_API void poster_notify(const char* text);

/* Copy a file into the run at once, so that the program may overwrite its own; a clone where the file system has them.
 * `name` may have folders in it (NULL: the file's own name); an older file of that name is replaced. The image's name
 * and step say where it goes; `caption` may be NULL. 0: done, or outside a run; -1: failed, which is told on stderr. */
POSTER_API int poster_save_file(const char* path, const char* name);
POSTER_API int poster_log_image_file(const char* name, const char* path, long long step, const char* caption);

/* Writes what is buffered now: before _exit() or abort(). 0: written; -1: it could not be. */
POSTER_API int poster_flush(void);

/* ==== the rest is not for reading by users ==== */

enum {
    POSTER_IMPL_BUFFER = 65536,     /* bytes */
    POSTER_IMPL_PERIOD = 50000000,  /* ns between writes */
    POSTER_IMPL_STACK = 256 * 1024, /* bytes; a program's thread-local data is in it */
    POSTER_IMPL_PATH = 4096,        /* bytes */
    POSTER_IMPL_NUMBER = 32,        /* bytes of a number at most, -2.2250738585072014e-308 */
    POSTER_IMPL_FRAME = 256,        /* bytes of a line beside its names, texts and values, at most */
    POSTER_IMPL_ESCAPED = 6,        /* bytes that one byte of text can become, at most: \u0001 */
    POSTER_IMPL_LEAST_POWER = -292, /* of the powers of ten */
    POSTER_IMPL_POWERS = 617,
    POSTER_IMPL_OUTSIDE = -1,
    POSTER_IMPL_INSIDE = 1
};

enum { /* what a warning is about; each is given once */
       POSTER_IMPL_ABOUT_EVENTS = 1,
       POSTER_IMPL_ABOUT_FILES = 2,
       POSTER_IMPL_ABOUT_USE = 4
};

struct poster_impl_power {
    uint64_t high, low;
};

struct poster_impl_state {
    int mode;                   /* 0: not known yet; read and written atomically */
    int has_thread, idle, stop; /* the flusher: it lives; waits for a line; is to end */
    int direct;                 /* no buffering any more: the process is ending, or no thread can be had */
    int writing, torn, locked_to_fork;
    unsigned warned;
    int fd;
    dev_t device; /* of the file behind fd: a program may close every descriptor and reuse it */
    ino_t inode;
    pid_t pid;
    int64_t written_at; /* ns since 1970 */
    size_t length;      /* of `buffer`: whole lines */
    char* buffer;
    char* line;                       /* longer than the buffer, while it is made; else NULL */
    char* at;                         /* where the line that is being made ends */
    int64_t now;                      /* when it began */
    struct poster_impl_power* powers; /* see poster_impl_make_powers(); NULL as long as none was needed */
    time_t second;                    /* whose digits are in second_text */
    char second_text[24];
    char rank_text[32]; /* "rank":3, or nothing */
    long long rank;
    int attempt, resumed;
    unsigned next_image; /* number of the next one without a step */
    unsigned temporary;  /* counts temporary files */
    char *run_id, *run_dir, *files_dir, *events_dir, *checkpoint_dir;
    char host[256];
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

/* The number is the layout's: files with another version of this header have a state of their own, which does no harm,
 * as both append whole lines. */
POSTER_API struct poster_impl_state poster_impl_state_1;
POSTER_API pthread_mutex_t poster_impl_start_mutex_1 = PTHREAD_MUTEX_INITIALIZER;
#define POSTER_IMPL (&poster_impl_state_1)

/* This thread holds the mutex, or is about to: a signal handler must not wait for it. */
static __thread volatile int poster_impl_busy;

/* False: in a signal handler that has interrupted a call. */
static inline int poster_impl_lock(void) {
    if (poster_impl_busy) return 0;
    poster_impl_busy = 1;
    pthread_mutex_lock(&POSTER_IMPL->mutex);
    return 1;
}

static inline void poster_impl_unlock(void) {
    pthread_mutex_unlock(&POSTER_IMPL->mutex);
    poster_impl_busy = 0;
}

/* ---- errors */

/* While it lasts, writing cannot kill the program by SIGXFSZ or SIGPIPE, and nobody can cancel it halfway. */
struct poster_impl_guard {
    sigset_t former;
    int cancel, saved_errno;
};

static inline void poster_impl_guard_begin(struct poster_impl_guard* guard) {
    sigset_t blocked;
    guard->saved_errno = errno;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGXFSZ);
    sigaddset(&blocked, SIGPIPE);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guard->cancel);
    pthread_sigmask(SIG_BLOCK, &blocked, &guard->former);
}

/* `error`: what the write came to; its signal, which is this thread's own, is taken away. */
static inline void poster_impl_guard_end(struct poster_impl_guard* guard, int error) {
    const int number = error == EFBIG ? SIGXFSZ : error == EPIPE ? SIGPIPE : 0;
    sigset_t pending, one;
    if (number != 0 && sigpending(&pending) == 0 && sigismember(&pending, number) == 1) {
        int taken = 0;
        sigemptyset(&one);
        sigaddset(&one, number);
        sigwait(&one, &taken);
    }
    pthread_sigmask(SIG_SETMASK, &guard->former, NULL);
    pthread_setcancelstate(guard->cancel, &guard->cancel);
    errno = guard->saved_errno;
}

static inline void poster_impl_warn(unsigned about, const char* what, const char* path, int error) {
    char text[POSTER_IMPL_PATH + 512];
    struct poster_impl_guard guard;
    int length;
    ssize_t written;
    if ((__atomic_fetch_or(&POSTER_IMPL->warned, about, __ATOMIC_RELAXED) & about) != 0) return;
    poster_impl_guard_begin(&guard);
    length = snprintf(text, sizeof text, "poster: warning: %s%s%s%s%s\n", what, *path ? " " : "", path,
                      error ? ": " : "", error ? strerror(error) : "");
    if (length > (int)sizeof text - 1) length = (int)sizeof text - 1;
    written = length > 0 ? write(STDERR_FILENO, text, (size_t)length) : 0;
    poster_impl_guard_end(&guard, written < 0 ? errno : 0);
}

/* ---- writing; the mutex is held */

static inline int poster_impl_write_all(int fd, const char* bytes, size_t count) {
    while (count > 0) {
        const ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        if (written == 0) return ENOSPC;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

static inline void poster_impl_event_path(char* path, size_t size) {
    snprintf(path, size, "%s/%s.%ld.jsonl", POSTER_IMPL->events_dir, POSTER_IMPL->host, (long)POSTER_IMPL->pid);
}

/* Opens this process's event file, unless it is open. 0, or an error. */
static inline int poster_impl_open(void) {
    struct poster_impl_state* state = POSTER_IMPL;
    char path[POSTER_IMPL_PATH];
    struct stat facts;
    if (state->fd >= 0 && fstat(state->fd, &facts) == 0 && facts.st_dev == state->device &&
        facts.st_ino == state->inode)
        return 0;
    poster_impl_event_path(path, sizeof path);
    state->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state->fd < 0) return errno;
    if (fstat(state->fd, &facts) != 0) return errno;
    state->device = facts.st_dev;
    state->inode = facts.st_ino;
    return 0;
}

/* Whole lines go with one write. What cannot be written is lost. */
static inline int poster_impl_write(const char* bytes, size_t count) {
    struct poster_impl_state* state = POSTER_IMPL;
    struct poster_impl_guard guard;
    int error;
    poster_impl_guard_begin(&guard);
    state->writing = 1;
    error = poster_impl_open();
    if (error == 0 && state->torn) error = poster_impl_write_all(state->fd, "\n", 1);
    if (error == 0) {
        error = poster_impl_write_all(state->fd, bytes, count);
        state->torn = error != 0; /* perhaps: an empty line is no harm */
    }
    state->writing = 0;
    poster_impl_guard_end(&guard, error);
    if (error != 0) {
        char path[POSTER_IMPL_PATH];
        poster_impl_event_path(path, sizeof path);
        poster_impl_warn(POSTER_IMPL_ABOUT_EVENTS, "what this program logs is lost: cannot write", path, error);
    }
    return error;
}

static inline int poster_impl_write_buffer(int64_t now) {
    struct poster_impl_state* state = POSTER_IMPL;
    const size_t length = state->length;
    state->length = 0;
    state->written_at = now;
    return length == 0 ? 0 : poster_impl_write(state->buffer, length);
}

/* ---- time and the thread that flushes */

static inline int64_t poster_impl_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* How long what is buffered may still stay so. A clock that was set back makes it due. */
static inline int64_t poster_impl_left(int64_t now) {
    const int64_t age = now - POSTER_IMPL->written_at;
    return age < 0 || age >= POSTER_IMPL_PERIOD ? 0 : POSTER_IMPL_PERIOD - age;
}

static inline void poster_impl_sleep_until_due(int64_t left) {
    struct timespec end;
#ifdef __APPLE__
    clock_gettime(CLOCK_REALTIME, &end);
#else
    clock_gettime(CLOCK_MONOTONIC, &end);
#endif
    left += end.tv_nsec;
    end.tv_sec += left / 1000000000;
    end.tv_nsec = (long)(left % 1000000000);
    pthread_cond_timedwait(&POSTER_IMPL->wake, &POSTER_IMPL->mutex, &end);
}

static inline void* poster_impl_flush_in_time(void* nothing) {
    struct poster_impl_state* state = POSTER_IMPL;
    poster_impl_lock();
    while (!state->stop) {
        if (state->length == 0) {
            state->idle = 1;
            pthread_cond_wait(&state->wake, &state->mutex);
            state->idle = 0;
        } else {
            const int64_t now = poster_impl_now(), left = poster_impl_left(now);
            if (left == 0)
                poster_impl_write_buffer(now);
            else
                poster_impl_sleep_until_due(left);
        }
    }
    poster_impl_unlock();
    return nothing;
}

/* Something has been buffered that nobody may come by to write. */
static inline void poster_impl_need_thread(void) {
    struct poster_impl_state* state = POSTER_IMPL;
    pthread_attr_t attributes;
    sigset_t all, former;
    int error;
    if (state->has_thread) {
        if (state->idle) pthread_cond_signal(&state->wake);
        return;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &former);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, POSTER_IMPL_STACK);
    error = pthread_create(&state->thread, &attributes, poster_impl_flush_in_time, NULL);
    if (error == EINVAL) error = pthread_create(&state->thread, NULL, poster_impl_flush_in_time, NULL);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    state->has_thread = error == 0;
    state->direct = error != 0;
}

static inline void poster_impl_new_locks(void) {
    pthread_condattr_t steady;
    pthread_mutex_init(&POSTER_IMPL->mutex, NULL);
    pthread_condattr_init(&steady);
#ifndef __APPLE__
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&POSTER_IMPL->wake, &steady);
    pthread_condattr_destroy(&steady);
}

/* ---- fork and the end */

/* daemon() and its like end the parent by _exit(). */
static inline void poster_impl_before_fork(void) {
    POSTER_IMPL->locked_to_fork = poster_impl_lock();
    if (POSTER_IMPL->locked_to_fork) poster_impl_write_buffer(poster_impl_now());
}

static inline void poster_impl_after_fork_in_parent(void) {
    if (POSTER_IMPL->locked_to_fork) poster_impl_unlock();
}

/* A file of its own. */
static inline void poster_impl_after_fork_in_child(void) {
    struct poster_impl_state* state = POSTER_IMPL;
    struct stat facts;
    poster_impl_new_locks();
    poster_impl_busy = 0;
    if (state->fd >= 0 && fstat(state->fd, &facts) == 0 && facts.st_dev == state->device &&
        facts.st_ino == state->inode)
        close(state->fd);
    state->fd = -1;
    state->pid = getpid();
    state->length = 0;
    state->written_at = 0;
    state->has_thread = state->idle = state->stop = state->writing = state->torn = 0;
}

/* A handler that calls exit() may have interrupted the holder of the mutex: in this thread, or in one that waits. */
static inline void poster_impl_at_exit(void) {
    struct poster_impl_state* state = POSTER_IMPL;
    const struct timespec moment = {0, 1000000};
    const int saved = errno;
    int error, tries;
    for (tries = 0; (error = pthread_mutex_trylock(&state->mutex)) == EBUSY && tries < 200; ++tries)
        nanosleep(&moment, NULL);
    state->direct = 1;
    if (!state->writing) poster_impl_write_buffer(poster_impl_now());
    if (error == 0) {
        const int had_thread = state->has_thread;
        state->stop = 1;
        state->has_thread = 0;
        pthread_cond_signal(&state->wake);
        pthread_mutex_unlock(&state->mutex);
        if (had_thread) pthread_join(state->thread, NULL);
    }
    errno = saved;
}

/* ---- the start */

static inline char* poster_impl_variable(const char* name, const char* ending) {
    const char* value = getenv(name);
    const size_t size = (value ? strlen(value) : 0) + strlen(ending) + 1;
    char* copy = (char*)malloc(size);
    if (copy) snprintf(copy, size, "%s%s", value ? value : "", ending);
    return copy;
}

static inline int poster_impl_whole_number(const char* name, long long* number) {
    const char* text = getenv(name);
    char* end = NULL;
    if (!text || *text < '0' || *text > '9') return 0;
    *number = strtoll(text, &end, 10);
    return *end == '\0';
}

static inline void poster_impl_read_rank(void) {
    static const char* const names[] = {"RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"};
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; ++i) {
        long long rank = 0;
        if (!poster_impl_whole_number(names[i], &rank)) continue;
        POSTER_IMPL->rank = rank;
        snprintf(POSTER_IMPL->rank_text, sizeof POSTER_IMPL->rank_text, "\"rank\":%lld,", rank);
        return;
    }
}

static inline void poster_impl_find_run(void) {
    struct poster_impl_state* state = POSTER_IMPL;
    struct utsname machine;
    long long attempt = 0;
    const char* resumed = getenv("POSTER_RESUMED");
    state->fd = -1;
    state->pid = getpid();
    state->events_dir = poster_impl_variable("POSTER_EVENTS_DIR", "");
    state->run_id = poster_impl_variable("POSTER_RUN_ID", "");
    state->run_dir = poster_impl_variable("POSTER_RUN_DIR", "");
    state->files_dir = poster_impl_variable("POSTER_FILES_DIR", "");
    state->checkpoint_dir = poster_impl_variable("POSTER_FILES_DIR", "/checkpoints");
    if (!state->events_dir || *state->events_dir == '\0' || !state->run_id || !state->run_dir || !state->files_dir ||
        !state->checkpoint_dir)
        return;
    state->buffer = (char*)malloc(POSTER_IMPL_BUFFER);
    if (!state->buffer) return;
    snprintf(state->host, sizeof state->host, "%s",
             uname(&machine) == 0 && machine.nodename[0] ? machine.nodename : "localhost");
    poster_impl_read_rank();
    if (poster_impl_whole_number("POSTER_ATTEMPT", &attempt)) state->attempt = (int)attempt;
    state->resumed = resumed && strcmp(resumed, "1") == 0;
    poster_impl_new_locks();
    if (pthread_atfork(poster_impl_before_fork, poster_impl_after_fork_in_parent, poster_impl_after_fork_in_child) != 0)
        return;
    atexit(poster_impl_at_exit);
    __atomic_store_n(&state->mode, POSTER_IMPL_INSIDE, __ATOMIC_RELEASE);
}

static inline int poster_impl_start(void) {
    const int saved = errno;
    if (poster_impl_busy) return 0;
    poster_impl_busy = 1;
    pthread_mutex_lock(&poster_impl_start_mutex_1);
    if (POSTER_IMPL->mode == 0) poster_impl_find_run();
    if (POSTER_IMPL->mode == 0) __atomic_store_n(&POSTER_IMPL->mode, POSTER_IMPL_OUTSIDE, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&poster_impl_start_mutex_1);
    poster_impl_busy = 0;
    errno = saved;
    return POSTER_IMPL->mode == POSTER_IMPL_INSIDE;
}

static inline int poster_impl_inside(void) {
    const int mode = __atomic_load_n(&POSTER_IMPL->mode, __ATOMIC_ACQUIRE);
    return mode == 0 ? poster_impl_start() : mode == POSTER_IMPL_INSIDE;
}

/* ---- text: each function writes at `at` and returns where it ended; nothing depends on the locale */

static inline char* poster_impl_put(char* at, const char* text) {
    const size_t length = strlen(text);
    memcpy(at, text, length);
    return at + length;
}

static inline char* poster_impl_put_digits(char* at, uint64_t number) {
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0) *at++ = digits[--count];
    return at;
}

static inline char* poster_impl_put_int(char* at, long long number) {
    if (number < 0) *at++ = '-';
    return poster_impl_put_digits(at, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

/* Length of the UTF-8 character that the text begins with; 0: it is none. The text ends with a NUL. */
static inline size_t poster_impl_character(const unsigned char* text) {
    const unsigned char first = text[0];
    size_t length, i;
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    for (i = 1; i < length; ++i)
        if ((text[i] & 0xC0) != 0x80) return 0;
    if ((first == 0xE0 && text[1] < 0xA0) || (first == 0xED && text[1] > 0x9F)) return 0; /* overlong; a surrogate */
    if ((first == 0xF0 && text[1] < 0x90) || (first == 0xF4 && text[1] > 0x8F)) return 0; /* overlong; too big */
    return length;
}

static inline char* poster_impl_put_control(char* at, unsigned char byte) {
    static const char digits[] = "0123456789abcdef";
    at = poster_impl_put(at, "\\u00");
    *at++ = digits[byte >> 4];
    *at++ = digits[byte & 15];
    return at;
}

static inline char* poster_impl_put_text(char* at, const char* bytes) {
    const unsigned char* text = (const unsigned char*)bytes;
    *at++ = '"';
    while (*text) {
        const unsigned char byte = *text;
        if (byte >= 0x20 && byte < 0x80) {
            if (byte == '"' || byte == '\\') *at++ = '\\';
            *at++ = (char)byte;
            ++text;
        } else if (byte < 0x20) {
            const char* known = byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : byte == '\r' ? "\\r" : NULL;
            at = known ? poster_impl_put(at, known) : poster_impl_put_control(at, byte);
            ++text;
        } else {
            const size_t length = poster_impl_character(text);
            if (length == 0) at = poster_impl_put(at, "\xEF\xBF\xBD");
            memcpy(at, text, length);
            at += length;
            text += length ? length : 1;
        }
    }
    *at++ = '"';
    return at;
}

/* ---- numbers: the shortest digits that read back as the same double, by Schubfach (R. Giulietti, "The Schubfach way
 * to render doubles", 2020). Integers only: -ffast-math, the rounding mode and the locale change nothing. */

static inline uint64_t poster_impl_multiply(uint64_t a, uint64_t b, uint64_t* high) {
#ifdef __SIZEOF_INT128__
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
#else
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)middle;
    *high = a1 * b1 + (middle >> 32) + (other >> 32);
    return a * b;
#endif
}

/* The 128 highest bits of a number, rounded up; limb[top] is not 0, and top is at least 4. */
static inline struct poster_impl_power poster_impl_highest_bits(const uint32_t* limb, int top, int more) {
    struct poster_impl_power bits;
    uint32_t first = limb[top];
    int shift = 0, i;
    while ((first & 0x80000000U) == 0) {
        first <<= 1;
        ++shift;
    }
    bits.high = (uint64_t)limb[top] << 32 | limb[top - 1];
    bits.low = (uint64_t)limb[top - 2] << 32 | limb[top - 3];
    if (shift > 0) {
        bits.high = bits.high << shift | bits.low >> (64 - shift);
        bits.low = bits.low << shift | limb[top - 4] >> (32 - shift);
    }
    more |= (limb[top - 4] << shift) != 0;
    for (i = 0; i < top - 4; ++i) more |= limb[i] != 0;
    if (more && ++bits.low == 0) ++bits.high;
    return bits;
}

/* powers[k - POSTER_IMPL_LEAST_POWER]: the 128 highest bits of 10^k, rounded up. A tenth of a millisecond once, in
 * place of 617 lines of numbers here. */
static inline int poster_impl_make_powers(void) {
    enum { LIMBS = 40 };
    uint32_t limb[LIMBS];
    int k, i, top;
    struct poster_impl_power* powers =
        (struct poster_impl_power*)malloc(POSTER_IMPL_POWERS * sizeof(struct poster_impl_power));
    if (!powers) return 0;
    memset(limb, 0, sizeof limb);
    limb[top = 4] = 1; /* times 2^128, as only the highest bits count */
    for (k = 0; k < POSTER_IMPL_POWERS + POSTER_IMPL_LEAST_POWER; ++k) {
        uint64_t carry = 0;
        powers[k - POSTER_IMPL_LEAST_POWER] = poster_impl_highest_bits(limb, top, 0);
        for (i = 0; i <= top; ++i) {
            carry += (uint64_t)limb[i] * 10;
            limb[i] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry) limb[++top] = (uint32_t)carry;
    }
    memset(limb, 0, sizeof limb);
    limb[top = LIMBS - 1] = 1; /* 2^1248: 128 bits and more are left of it after 292 divisions */
    for (k = -1; k >= POSTER_IMPL_LEAST_POWER; --k) {
        uint64_t rest = 0;
        for (i = top; i >= 0; --i) {
            rest = rest << 32 | limb[i];
            limb[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        while (limb[top] == 0) --top;
        powers[k - POSTER_IMPL_LEAST_POWER] = poster_impl_highest_bits(limb, top, 1);
    }
    POSTER_IMPL->powers = powers;
    return 1;
}

/* power * factor / 2^128, its lowest bit set where something is cut off. */
static inline uint64_t poster_impl_round_to_odd(const struct poster_impl_power* power, uint64_t factor) {
    uint64_t carry, high;
    poster_impl_multiply(power->low, factor, &carry);
    {
        const uint64_t low = poster_impl_multiply(power->high, factor, &high) + carry;
        high += low < carry;
        return high | (low > 1);
    }
}

/* floor(e * log2(10)); by a shift that rounds down, which C leaves open for negative numbers but every compiler does */
static inline int poster_impl_log2_of_power(int e) {
    return (e * 1741647) >> 19;
}

/* The digits, as a whole number, of a positive finite double; its value is that times 10^exponent. */
static inline uint64_t poster_impl_shortest(uint64_t bits, int* exponent) {
    const uint64_t fraction = bits & 0xFFFFFFFFFFFFFULL;
    const int biased = (int)(bits >> 52) & 0x7FF;
    const uint64_t c = biased ? fraction | 0x10000000000000ULL : fraction;
    const int q = biased ? biased - 1075 : -1074;
    const int closer = fraction == 0 && biased > 1; /* the number below is only half as far away */
    const int k = closer ? (q * 1262611 - 524031) >> 22 : (q * 1262611) >> 22;
    const int h = q + poster_impl_log2_of_power(-k) + 1;
    const struct poster_impl_power* power = &POSTER_IMPL->powers[-k - POSTER_IMPL_LEAST_POWER];
    const uint64_t odd = c & 1;
    const uint64_t middle = poster_impl_round_to_odd(power, (4 * c) << h);
    const uint64_t lower = poster_impl_round_to_odd(power, (4 * c - 2 + (uint64_t)closer) << h) + odd;
    const uint64_t upper = poster_impl_round_to_odd(power, (4 * c + 2) << h) - odd;
    const uint64_t s = middle / 4;
    int below, above;
    *exponent = k;
    if (s >= 10) {
        const uint64_t tens = s / 10;
        below = lower <= 40 * tens;
        above = 40 * tens + 40 <= upper;
        if (below != above) {
            *exponent = k + 1;
            return tens + (uint64_t)above;
        }
    }
    below = lower <= 4 * s;
    above = 4 * s + 4 <= upper;
    if (below != above) return s + (uint64_t)above;
    return s + (uint64_t)(middle > 4 * s + 2 || (middle == 4 * s + 2 && (s & 1)));
}

/* 12300000000000000, 0.00123, 1.23e-7 */
static inline char* poster_impl_put_decimal(char* at, uint64_t number, int exponent) {
    char digits[20];
    int count, point;
    while (number % 10 == 0) {
        number /= 10;
        ++exponent;
    }
    count = (int)(poster_impl_put_digits(digits, number) - digits);
    point = count + exponent; /* where it stands, seen from the first digit */
    if (point > 17 || point < -4) {
        *at++ = digits[0];
        if (count > 1) *at++ = '.';
        memcpy(at, digits + 1, (size_t)count - 1);
        at += count - 1;
        *at++ = 'e';
        return poster_impl_put_int(at, point - 1);
    }
    if (point <= 0) {
        at = poster_impl_put(at, "0.");
        for (; point < 0; ++point) *at++ = '0';
        memcpy(at, digits, (size_t)count);
        return at + count;
    }
    for (int i = 0; i < count || i < point; ++i) {
        if (i == point) *at++ = '.';
        *at++ = i < count ? digits[i] : '0';
    }
    return at;
}

static inline char* poster_impl_put_double(char* at, double value) {
    uint64_t bits, magnitude;
    int exponent = 0;
    memcpy(&bits, &value, sizeof bits);
    magnitude = bits & 0x7FFFFFFFFFFFFFFFULL;
    if (magnitude > 0x7FF0000000000000ULL) return poster_impl_put(at, "\"NaN\"");
    if (magnitude == 0x7FF0000000000000ULL)
        return poster_impl_put(at, magnitude == bits ? "\"Infinity\"" : "\"-Infinity\"");
    if (magnitude != bits) *at++ = '-';
    if (magnitude == 0) return poster_impl_put(at, "0.0");
    if (!POSTER_IMPL->powers && !poster_impl_make_powers()) return poster_impl_put(at, "\"NaN\""); /* no memory */
    magnitude = poster_impl_shortest(magnitude, &exponent);
    return poster_impl_put_decimal(at, magnitude, exponent);
}

/* ---- lines */

static inline char* poster_impl_put_time(char* at, int64_t now) {
    struct poster_impl_state* state = POSTER_IMPL;
    const time_t second = (time_t)(now / 1000000000);
    unsigned micro = (unsigned)(now % 1000000000 / 1000);
    int i;
    if (second != state->second) {
        *poster_impl_put_int(state->second_text, second) = '\0';
        state->second = second;
    }
    at = poster_impl_put(at, state->second_text);
    *at = '.';
    for (i = 6; i > 0; --i) {
        at[i] = (char)('0' + micro % 10);
        micro /= 10;
    }
    return at + 7;
}

/* Room for a line with `most` bytes beside its frame; its beginning is there. False: outside a run, or there is none.
 * Until poster_impl_end_line() the mutex is held. */
static inline int poster_impl_begin_line(const char* kind, size_t most) {
    struct poster_impl_state* state = POSTER_IMPL;
    if (!poster_impl_inside()) return 0;
    if (!poster_impl_lock()) return 0;
    most += POSTER_IMPL_FRAME;
    state->now = poster_impl_now();
    if (state->length + most > POSTER_IMPL_BUFFER) poster_impl_write_buffer(state->now);
    state->line = most > POSTER_IMPL_BUFFER ? (char*)malloc(most) : NULL;
    if (most > POSTER_IMPL_BUFFER && !state->line) {
        poster_impl_unlock();
        return 0;
    }
    state->at = state->line ? state->line : state->buffer + state->length;
    state->at = poster_impl_put(state->at, "{\"kind\":\"");
    state->at = poster_impl_put(state->at, kind);
    state->at = poster_impl_put(state->at, "\",\"time\":");
    state->at = poster_impl_put_time(state->at, state->now);
    *state->at++ = ',';
    return 1;
}

static inline void poster_impl_end_line(const char* end) {
    struct poster_impl_state* state = POSTER_IMPL;
    state->at = poster_impl_put(state->at, end);
    *state->at++ = '\n';
    if (state->line) {
        poster_impl_write(state->line, (size_t)(state->at - state->line));
        free(state->line);
        state->line = NULL;
    } else {
        state->length = (size_t)(state->at - state->buffer);
        if (state->direct || poster_impl_left(state->now) == 0)
            poster_impl_write_buffer(state->now);
        else if (!state->has_thread || state->idle)
            poster_impl_need_thread();
    }
    poster_impl_unlock();
}

static inline void poster_impl_add(const char* text) {
    POSTER_IMPL->at = poster_impl_put(POSTER_IMPL->at, text);
}

static inline void poster_impl_add_text(const char* text) {
    POSTER_IMPL->at = poster_impl_put_text(POSTER_IMPL->at, text);
}

static inline void poster_impl_add_int(const char* key, long long number) {
    poster_impl_add(key);
    POSTER_IMPL->at = poster_impl_put_int(POSTER_IMPL->at, number);
    *POSTER_IMPL->at++ = ',';
}

static inline size_t poster_impl_room(const char* text) {
    return text ? strlen(text) * POSTER_IMPL_ESCAPED + 2 : 0;
}

/* `epoch` NULL: none */
static inline void poster_impl_log_metrics(size_t count, const char* const* names, const double* values, long long step,
                                           const double* epoch) {
    const int saved = errno;
    size_t most = 0, i, told = 0;
    for (i = 0; i < count; ++i) most += poster_impl_room(names[i]) + POSTER_IMPL_NUMBER + 2;
    if (count == 0 || !poster_impl_begin_line("metric", most)) {
        errno = saved;
        return;
    }
    if (step >= 0) poster_impl_add_int("\"step\":", step);
    if (epoch) {
        poster_impl_add("\"epoch\":");
        POSTER_IMPL->at = poster_impl_put_double(POSTER_IMPL->at, *epoch);
        *POSTER_IMPL->at++ = ',';
    }
    poster_impl_add(POSTER_IMPL->rank_text);
    poster_impl_add("\"values\":{");
    for (i = 0; i < count; ++i) {
        if (!names[i]) continue;
        if (told++ > 0) *POSTER_IMPL->at++ = ',';
        poster_impl_add_text(names[i]);
        *POSTER_IMPL->at++ = ':';
        POSTER_IMPL->at = poster_impl_put_double(POSTER_IMPL->at, values[i]);
    }
    poster_impl_end_line("}}");
    errno = saved;
}

/* ---- secrets, by their names: as poster itself judges them, in short */

static inline int poster_impl_is_one_of(const char* word, const char* list) {
    const size_t length = strlen(word);
    const char* found = list;
    if (length == 0 || strchr(word, ' ')) return 0;
    while ((found = strstr(found, word)) != NULL) {
        if (found[-1] == ' ' && found[length] == ' ') return 1;
        ++found;
    }
    return 0;
}

static inline int poster_impl_ends_with_one_of(const char* word, const char* const* endings) {
    const size_t length = strlen(word);
    for (; *endings; ++endings) {
        const size_t wanted = strlen(*endings);
        if (length >= wanted && strcmp(word + length - wanted, *endings) == 0) return 1;
    }
    return 0;
}

/* The next word of a name in lower case and without digits: "openai", "api", "key" of "openaiApi_KEY2". NULL: none. */
static inline const char* poster_impl_next_word(const char* at, char* word, size_t size) {
    size_t count = 0;
    int was_lower = 0;
    for (; *at; ++at) {
        const int upper = *at >= 'A' && *at <= 'Z', lower = *at >= 'a' && *at <= 'z';
        if (!upper && !lower) {
            if (count > 0 && (*at < '0' || *at > '9')) break;
            continue;
        }
        if (upper && was_lower) break;
        if (count + 1 < size) word[count++] = upper ? (char)(*at - 'A' + 'a') : *at;
        was_lower = lower;
    }
    word[count] = '\0';
    return count > 0 ? at : NULL;
}

static inline int poster_impl_is_secret(const char* name) {
    static const char strong[] =
        " password passwords passwd passphrase passcode secret secrets credential credentials creds cred bearer cookie "
        "cookies jwt authorization apikey apikeys pwd ";
    static const char vouching[] =
        " api access secret private auth oauth bearer refresh session signing encryption master deploy service client "
        "account license ssh webhook security personal push registry github gitlab gh hf huggingface openai anthropic "
        "wandb aws azure gcp google slack telegram discord vault npm pypi comet neptune bot ";
    static const char about[] = " file files path dir name type mode method provider length size timeout url host port "
                                "env count user username limit dim ";
    static const char* const endings[] = {"password",  "passwd",      "passphrase", "apikey",   "accesskey",
                                          "secretkey", "privatekey",  "authtoken",  "apitoken", "accesstoken",
                                          "bottoken",  "githubtoken", "hftoken",    NULL};
    char word[64], before[64] = "";
    int secret = 0, is_about = 0;
    while ((name = poster_impl_next_word(name, word, sizeof word)) != NULL) {
        const int key = poster_impl_is_one_of(word, " key keys token tokens ");
        secret |= poster_impl_is_one_of(word, strong) || poster_impl_ends_with_one_of(word, endings) ||
                  (key && *before && poster_impl_is_one_of(before, vouching));
        is_about = poster_impl_is_one_of(word, about);
        memcpy(before, word, sizeof before);
    }
    return secret && !is_about;
}

/* ---- what the functions of the interface share */

static inline int poster_impl_begin_value(const char* kind, const char* name, size_t most) {
    if (!name) return 0;
    if (!poster_impl_begin_line(kind, most + poster_impl_room(name))) return 0;
    poster_impl_add(POSTER_IMPL->rank_text);
    poster_impl_add("\"values\":{");
    poster_impl_add_text(name);
    poster_impl_add(":");
    return 1;
}

static inline void poster_impl_value_string(const char* kind, const char* name, const char* value) {
    const int saved = errno;
    if (name && value && *value && poster_impl_inside() && poster_impl_is_secret(name)) value = "<redacted>";
    if (poster_impl_begin_value(kind, name, poster_impl_room(value) + 4)) {
        if (value)
            poster_impl_add_text(value);
        else
            poster_impl_add("null");
        poster_impl_end_line("}}");
    }
    errno = saved;
}

static inline void poster_impl_value_double(const char* kind, const char* name, double value) {
    const int saved = errno;
    if (poster_impl_begin_value(kind, name, POSTER_IMPL_NUMBER)) {
        POSTER_IMPL->at = poster_impl_put_double(POSTER_IMPL->at, value);
        poster_impl_end_line("}}");
    }
    errno = saved;
}

static inline void poster_impl_value_int(const char* kind, const char* name, long long value) {
    const int saved = errno;
    if (poster_impl_begin_value(kind, name, POSTER_IMPL_NUMBER)) {
        POSTER_IMPL->at = poster_impl_put_int(POSTER_IMPL->at, value);
        poster_impl_end_line("}}");
    }
    errno = saved;
}

static inline void poster_impl_value_bool(const char* kind, const char* name, int value) {
    const int saved = errno;
    if (poster_impl_begin_value(kind, name, POSTER_IMPL_NUMBER)) poster_impl_end_line(value ? "true}}" : "false}}");
    errno = saved;
}

/* ---- files */

/* A path below a folder: of plain parts, none of them "..". */
static inline int poster_impl_is_plain(const char* name) {
    const char* part = name;
    if (strlen(name) > 1000) return 0;
    for (;;) {
        const size_t length = strcspn(part, "/");
        if (length == 0 || length > 200 || strncmp(part, "..", length) == 0) return 0;
        if (part[length] == '\0') return 1;
        part += length + 1;
    }
}

static inline const char* poster_impl_file_name(const char* path) {
    const char* slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Makes the folders that `path` stands in, down from the one whose name ends at `from`. */
static inline void poster_impl_make_folders(char* path, size_t from) {
    char* slash = path + from;
    while ((slash = strchr(slash + 1, '/')) != NULL) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}

#ifdef __linux__
#if !defined(__USE_MISC) && !defined(__cplusplus)
long syscall(long number, ...);
#endif
/* By a clone or inside the kernel, as far as that goes. */
static inline void poster_impl_copy_in_kernel(int from, int to) {
#ifdef FICLONE
    if (ioctl(to, FICLONE, from) == 0) {
        lseek(from, 0, SEEK_END);
        return;
    }
#else
    if (ioctl(to, 0x40049409, from) == 0) {
        lseek(from, 0, SEEK_END);
        return;
    }
#endif
#ifdef SYS_copy_file_range
    while (syscall(SYS_copy_file_range, from, (void*)0, to, (void*)0, (size_t)1 << 30, 0U) > 0) {
    }
#endif
}
#endif

/* 0, or an error. */
static inline int poster_impl_copy_bytes(int from, int to) {
    enum { BLOCK = 1 << 17 };
    char* block = (char*)malloc(BLOCK);
    int error = 0;
    ssize_t got = 0;
    if (!block) return ENOMEM;
#ifdef __linux__
    poster_impl_copy_in_kernel(from, to);
#endif
    while (error == 0 && (got = read(from, block, BLOCK)) != 0) {
        if (got > 0)
            error = poster_impl_write_all(to, block, (size_t)got);
        else if (errno != EINTR)
            error = errno;
    }
    free(block);
    return error;
}

/* A regular file, to read; -1: errno tells why there is none. */
static inline int poster_impl_open_source(const char* path, struct stat* facts) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error = 0;
    if (fd < 0) return -1;
    if (fstat(fd, facts) != 0) error = errno;
    if (error == 0 && !S_ISREG(facts->st_mode)) error = S_ISDIR(facts->st_mode) ? EISDIR : EINVAL;
    if (error == 0) return fd;
    close(fd);
    errno = error;
    return -1;
}

/* Copies what is open as `from` to a file beside `to`, whose name is then in `draft`. 0, or an error. */
static inline int poster_impl_make_draft(int from, const char* to, char* draft, size_t size) {
    const char* name = poster_impl_file_name(to);
    int error, fd;
    snprintf(draft, size, "%.*s.%s.%ld.%u.tmp", (int)(name - to), to, name, (long)getpid(),
             __atomic_fetch_add(&POSTER_IMPL->temporary, 1U, __ATOMIC_RELAXED));
    fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return errno;
    error = poster_impl_copy_bytes(from, fd);
    if (close(fd) != 0 && error == 0) error = errno;
    if (error != 0) unlink(draft);
    return error;
}

/* Gives a draft a name that is free. 0, or an error. */
static inline int poster_impl_publish_new(const char* draft, const char* path) {
    int fd;
    if (link(draft, path) == 0) {
        unlink(draft);
        return 0;
    }
    if (errno == EEXIST) return EEXIST;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600); /* there are no hard links */
    if (fd < 0) return errno;
    close(fd);
    return rename(draft, path) == 0 ? 0 : errno;
}

/* Copies a file in the place of `to`, unless it is that very file. 0, or an error. */
static inline int poster_impl_copy(const char* path, const char* to, long long* bytes) {
    struct poster_impl_guard guard;
    struct stat facts, there;
    char draft[POSTER_IMPL_PATH + 64];
    const int fd = poster_impl_open_source(path, &facts);
    int error = 0;
    if (fd < 0) return errno;
    if (stat(to, &there) != 0 || there.st_dev != facts.st_dev || there.st_ino != facts.st_ino) {
        poster_impl_guard_begin(&guard);
        error = poster_impl_make_draft(fd, to, draft, sizeof draft);
        if (error == 0 && rename(draft, to) != 0) {
            error = errno;
            unlink(draft);
        }
        poster_impl_guard_end(&guard, error);
    }
    close(fd);
    if (error == 0 && stat(to, &there) == 0) *bytes = (long long)there.st_size;
    return error;
}

/* Copies a file to the first free name of BASE.ENDING, BASE-1.ENDING, BASE-2.ENDING …; `to` holds the base and then the
 * name. Counts from *number on, which is then the next. 0, or an error. */
static inline int poster_impl_copy_as_new(const char* path, char* to, size_t size, const char* ending,
                                          unsigned* number) {
    const size_t base = strlen(to);
    struct poster_impl_guard guard;
    struct stat facts;
    char draft[POSTER_IMPL_PATH + 64];
    const int fd = poster_impl_open_source(path, &facts);
    int error;
    if (fd < 0) return errno;
    poster_impl_guard_begin(&guard);
    error = poster_impl_make_draft(fd, to, draft, sizeof draft);
    if (error == 0) {
        do {
            if (*number == 0)
                snprintf(to + base, size - base, ".%s", ending);
            else
                snprintf(to + base, size - base, "-%u.%s", *number, ending);
            ++*number;
        } while ((error = poster_impl_publish_new(draft, to)) == EEXIST);
        if (error != 0) unlink(draft);
    }
    poster_impl_guard_end(&guard, error);
    close(fd);
    return error;
}

/* ---- images: width and height from their headers */

struct poster_impl_image {
    const char* format; /* also the ending; NULL: not known */
    unsigned width, height;
};

static inline unsigned poster_impl_big(const unsigned char* at, int count) {
    unsigned number = 0;
    while (count-- > 0) number = number << 8 | *at++;
    return number;
}

/* A JPEG is a row of segments: FF, type, length, content. The size is in the first "start of frame". */
static inline void poster_impl_read_jpeg(FILE* file, struct poster_impl_image* image) {
    unsigned char segment[9];
    long at = 2;
    while (fseek(file, at, SEEK_SET) == 0 && fread(segment, 1, sizeof segment, file) == sizeof segment) {
        const unsigned type = segment[1];
        if (segment[0] != 0xFF) return;
        if (type >= 0xC0 && type <= 0xCF && type != 0xC4 && type != 0xC8 && type != 0xCC) {
            image->height = poster_impl_big(segment + 5, 2);
            image->width = poster_impl_big(segment + 7, 2);
            return;
        }
        at += type == 0xFF ? 1 : 2 + (long)poster_impl_big(segment + 2, 2);
    }
}

static inline struct poster_impl_image poster_impl_read_image(const char* path) {
    struct poster_impl_image image = {NULL, 0, 0};
    unsigned char head[24] = {0};
    FILE* file = fopen(path, "rb");
    const size_t got = file ? fread(head, 1, sizeof head, file) : 0;
    if (got == sizeof head && memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0) {
        image.format = "png";
        image.width = poster_impl_big(head + 16, 4);
        image.height = poster_impl_big(head + 20, 4);
    } else if (got >= 10 && (memcmp(head, "GIF87a", 6) == 0 || memcmp(head, "GIF89a", 6) == 0)) {
        image.format = "gif";
        image.width = head[6] | (unsigned)head[7] << 8;
        image.height = head[8] | (unsigned)head[9] << 8;
    } else if (got >= 10 && head[0] == 0xFF && head[1] == 0xD8 && head[2] == 0xFF) {
        image.format = "jpg";
        poster_impl_read_jpeg(file, &image);
    } else if (got >= 16 && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WEBP", 4) == 0) {
        image.format = "webp";
    } else if (got >= 10 && memcmp(head, "BM", 2) == 0) {
        image.format = "bmp";
    }
    if (file) fclose(file);
    return image;
}

static inline void poster_impl_log_image(const char* name, const char* path, long long step, const char* caption,
                                         const struct poster_impl_image* image) {
    if (!poster_impl_begin_line("image", poster_impl_room(name) + poster_impl_room(path) + poster_impl_room(caption)))
        return;
    poster_impl_add(POSTER_IMPL->rank_text);
    if (step >= 0) poster_impl_add_int("\"step\":", step);
    poster_impl_add("\"name\":");
    poster_impl_add_text(name);
    poster_impl_add(",\"path\":");
    poster_impl_add_text(path);
    if (caption) {
        poster_impl_add(",\"caption\":");
        poster_impl_add_text(caption);
    }
    poster_impl_add(",");
    if (image->width > 0 && image->height > 0) {
        poster_impl_add_int("\"width\":", image->width);
        poster_impl_add_int("\"height\":", image->height);
    }
    poster_impl_add("\"format\":");
    poster_impl_add_text(image->format);
    poster_impl_end_line("}");
}

/* ==== the interface */

POSTER_API int poster_active(void) {
    return poster_impl_inside();
}

POSTER_API const char* poster_run_id(void) {
    return poster_impl_inside() ? POSTER_IMPL->run_id : "";
}

POSTER_API const char* poster_run_dir(void) {
    return poster_impl_inside() ? POSTER_IMPL->run_dir : "";
}

POSTER_API const char* poster_files_dir(void) {
    return poster_impl_inside() ? POSTER_IMPL->files_dir : "";
}

POSTER_API int poster_attempt(void) {
    return poster_impl_inside() ? POSTER_IMPL->attempt : 0;
}

POSTER_API int poster_resumed(void) {
    return poster_impl_inside() && POSTER_IMPL->resumed;
}

POSTER_API long long poster_rank(void) {
    return poster_impl_inside() ? POSTER_IMPL->rank : 0;
}

POSTER_API const char* poster_checkpoint_dir(void) {
    const int saved = errno;
    if (!poster_impl_inside()) return "";
    mkdir(POSTER_IMPL->checkpoint_dir, 0700);
    errno = saved;
    return POSTER_IMPL->checkpoint_dir;
}

POSTER_API void poster_log_metric(const char* name, double value, long long step) {
    if (poster_impl_inside() && name) poster_impl_log_metrics(1, &name, &value, step, NULL);
}

POSTER_API void poster_log_metrics(size_t count, const char* const* names, const double* values, long long step) {
    if (poster_impl_inside()) poster_impl_log_metrics(count, names, values, step, NULL);
}

POSTER_API void poster_log_epoch_metrics(size_t count, const char* const* names, const double* values, long long step,
                                         double epoch) {
    uint64_t bits;
    memcpy(&bits, &epoch, sizeof bits); /* NaN and infinity are no epochs */
    if (poster_impl_inside())
        poster_impl_log_metrics(count, names, values, step, (bits >> 52 & 0x7FF) == 0x7FF ? NULL : &epoch);
}

POSTER_API void poster_log_message(const char* level, const char* text) {
    const int saved = errno;
    if (!poster_impl_inside() || !text) return;
    if (!level) level = "info";
    if (!poster_impl_is_one_of(level, " debug info warning error ")) {
        poster_impl_warn(POSTER_IMPL_ABOUT_USE, "the level of a message is debug, info, warning or error, not", level,
                         0);
        level = "info";
    }
    if (poster_impl_begin_line("message", poster_impl_room(text))) {
        poster_impl_add(POSTER_IMPL->rank_text);
        poster_impl_add("\"level\":");
        poster_impl_add_text(level);
        poster_impl_add(",\"text\":");
        poster_impl_add_text(text);
        poster_impl_end_line("}");
    }
    errno = saved;
}

POSTER_API void poster_log_messagef(const char* level, const char* format, ...) {
    const int saved = errno;
    va_list arguments;
    char shorter[1024], *text = shorter;
    int length;
    if (!poster_impl_inside()) return;
    va_start(arguments, format);
    length = vsnprintf(shorter, sizeof shorter, format, arguments);
    va_end(arguments);
    if (length < 0) return;
    if ((size_t)length >= sizeof shorter && (text = (char*)malloc((size_t)length + 1)) != NULL) {
        va_start(arguments, format);
        vsnprintf(text, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    poster_log_message(level, text ? text : shorter);
    if (text != shorter) free(text);
    errno = saved;
}

POSTER_API void poster_log_config_string(const char* name, const char* value) {
    poster_impl_value_string("config", name, value);
}

POSTER_API void poster_log_config_double(const char* name, double value) {
    poster_impl_value_double("config", name, value);
}

POSTER_API void poster_log_config_int(const char* name, long long value) {
    poster_impl_value_int("config", name, value);
}

POSTER_API void poster_log_config_bool(const char* name, int value) {
    poster_impl_value_bool("config", name, value);
}

POSTER_API void poster_set_summary_string(const char* name, const char* value) {
    poster_impl_value_string("summary", name, value);
}

POSTER_API void poster_set_summary_double(const char* name, double value) {
    poster_impl_value_double("summary", name, value);
}

POSTER_API void poster_set_summary_int(const char* name, long long value) {
    poster_impl_value_int("summary", name, value);
}

POSTER_API void poster_set_summary_bool(const char* name, int value) {
    poster_impl_value_bool("summary", name, value);
}

POSTER_API void poster_notify(const char* text) {
    const int saved = errno;
    if (text && poster_impl_begin_line("notify", poster_impl_room(text))) {
        poster_impl_add(POSTER_IMPL->rank_text);
        poster_impl_add("\"text\":");
        poster_impl_add_text(text);
        poster_impl_end_line("}");
    }
    errno = saved;
}

POSTER_API int poster_save_file(const char* path, const char* name) {
    const int saved = errno;
    char to[POSTER_IMPL_PATH], below[1024 + sizeof "files/"];
    long long bytes = 0;
    int error;
    if (!poster_impl_inside()) return 0;
    if (path && (!name || !*name)) name = poster_impl_file_name(path);
    if (!path || !poster_impl_is_plain(name)) {
        poster_impl_warn(POSTER_IMPL_ABOUT_USE, "a saved file wants a name without \"..\", not", name ? name : "", 0);
        return -1;
    }
    error = snprintf(to, sizeof to, "%s/%s", POSTER_IMPL->files_dir, name) < (int)sizeof to ? 0 : ENAMETOOLONG;
    if (error == 0) {
        poster_impl_make_folders(to, strlen(POSTER_IMPL->files_dir));
        error = poster_impl_copy(path, to, &bytes);
    }
    if (error != 0) poster_impl_warn(POSTER_IMPL_ABOUT_FILES, "cannot save", path, error);
    if (error == 0 && poster_impl_begin_line("file", 2 * poster_impl_room(name))) {
        poster_impl_add(POSTER_IMPL->rank_text);
        poster_impl_add_int("\"bytes\":", bytes);
        poster_impl_add("\"name\":");
        poster_impl_add_text(name);
        poster_impl_add(",\"path\":");
        snprintf(below, sizeof below, "files/%s", name);
        poster_impl_add_text(below);
        poster_impl_end_line("}");
    }
    errno = saved;
    return error == 0 ? 0 : -1;
}

/* To images/NAME/STEP.png, or image.png where there is no step. `to` then holds the path. 0, or an error. */
static inline int poster_impl_store_image(const char* name, const char* path, long long step, const char* format,
                                          char* to, size_t size) {
    enum { ENDING = 32 };
    unsigned number = 0;
    char base[32] = "image";
    int error;
    if (step >= 0)
        snprintf(base, sizeof base, "%lld", step);
    else
        number = __atomic_load_n(&POSTER_IMPL->next_image, __ATOMIC_RELAXED); /* saves trying those that are taken */
    if (snprintf(to, size, "%s/images/%s/%s", POSTER_IMPL->run_dir, name, base) >= (int)size - ENDING)
        return ENAMETOOLONG;
    poster_impl_make_folders(to, strlen(POSTER_IMPL->run_dir));
    error = poster_impl_copy_as_new(path, to, size, format, &number);
    if (step < 0) __atomic_store_n(&POSTER_IMPL->next_image, number, __ATOMIC_RELAXED);
    return error;
}

POSTER_API int poster_log_image_file(const char* name, const char* path, long long step, const char* caption) {
    const int saved = errno;
    char to[POSTER_IMPL_PATH];
    struct poster_impl_image image;
    int error;
    if (!poster_impl_inside()) return 0;
    if (!path || !name || !poster_impl_is_plain(name)) {
        poster_impl_warn(POSTER_IMPL_ABOUT_USE, "an image wants a name without \"..\", not", name ? name : "", 0);
        return -1;
    }
    image = poster_impl_read_image(path);
    if (image.format)
        error = poster_impl_store_image(name, path, step, image.format, to, sizeof to);
    else
        error = access(path, R_OK) == 0 ? EINVAL : errno;
    if (error == 0)
        poster_impl_log_image(name, to + strlen(POSTER_IMPL->run_dir) + 1, step, caption, &image);
    else
        poster_impl_warn(POSTER_IMPL_ABOUT_FILES, "cannot log, as a PNG, JPEG, GIF, WebP or BMP image,", path, error);
    errno = saved;
    return error == 0 ? 0 : -1;
}

POSTER_API int poster_flush(void) {
    const int saved = errno;
    int error;
    if (!poster_impl_inside() || !poster_impl_lock()) return 0;
    error = poster_impl_write_buffer(poster_impl_now());
    poster_impl_unlock();
    errno = saved;
    return error == 0 ? 0 : -1;
}

#ifdef __cplusplus
} /* extern "C" */

#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>

/* The same for C++11. (Namespace poster is that of poster's own code.) */
namespace poster_client {

constexpr long long no_step = POSTER_NO_STEP;

inline bool active() {
    return poster_active() != 0;
}

inline void log_metric(const char* name, double value, long long step = no_step) {
    poster_log_metric(name, value, step);
}
inline void log_metric(const std::string& name, double value, long long step = no_step) {
    poster_log_metric(name.c_str(), value, step);
}

/* log_metrics({{"loss", 0.3}, {"acc", 0.9}}, step) */
inline void log_metrics(std::initializer_list<std::pair<const char*, double>> metrics, long long step = no_step) {
    enum { most = 64 };
    const char* names[most];
    double values[most];
    std::size_t count = 0;
    if (!active()) return;
    for (const auto& metric : metrics) {
        if (count == most) {
            poster_log_metrics(count, names, values, step);
            count = 0;
        }
        names[count] = metric.first;
        values[count++] = metric.second;
    }
    poster_log_metrics(count, names, values, step);
}

inline void log_message(const std::string& text, const char* level = "info") {
    poster_log_message(level, text.c_str());
}

inline void log_config(const char* name, const char* value) {
    poster_log_config_string(name, value);
}
inline void log_config(const char* name, const std::string& value) {
    poster_log_config_string(name, value.c_str());
}
inline void log_config(const char* name, bool value) {
    poster_log_config_bool(name, value);
}
template <class Number>
typename std::enable_if<std::is_floating_point<Number>::value>::type log_config(const char* name, Number value) {
    poster_log_config_double(name, static_cast<double>(value));
}
template <class Number>
typename std::enable_if<std::is_integral<Number>::value>::type log_config(const char* name, Number value) {
    poster_log_config_int(name, static_cast<long long>(value));
}

inline void set_summary(const char* name, const char* value) {
    poster_set_summary_string(name, value);
}
inline void set_summary(const char* name, const std::string& value) {
    poster_set_summary_string(name, value.c_str());
}
inline void set_summary(const char* name, bool value) {
    poster_set_summary_bool(name, value);
}
template <class Number>
typename std::enable_if<std::is_floating_point<Number>::value>::type set_summary(const char* name, Number value) {
    poster_set_summary_double(name, static_cast<double>(value));
}
template <class Number>
typename std::enable_if<std::is_integral<Number>::value>::type set_summary(const char* name, Number value) {
    poster_set_summary_int(name, static_cast<long long>(value));
}

inline void notify(const std::string& text) {
    poster_notify(text.c_str());
}

inline bool save_file(const std::string& path, const std::string& name = std::string()) {
    return poster_save_file(path.c_str(), name.c_str()) == 0;
}

inline bool log_image_file(const std::string& name, const std::string& path, long long step = no_step,
                           const char* caption = nullptr) {
    return poster_log_image_file(name.c_str(), path.c_str(), step, caption) == 0;
}

inline bool flush() {
    return poster_flush() == 0;
}

} /* namespace poster_client */
#endif

#endif
