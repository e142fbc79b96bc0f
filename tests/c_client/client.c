/* What test_c_client.py runs: `client MODE [ARGUMENT]…`. With second.c it is one program of two files. */

#include <poster/poster.h>

#include <dlfcn.h>
#include <locale.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "second.h"

static void check(int condition, const char* what) {
    if (condition) return;
    fprintf(stderr, "client: wrong: %s\n", what);
    _exit(99);
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void log_many(const char* name, long count) {
    for (long i = 0; i < count; ++i) poster_log_metric(name, 0.1 * (double)i, i);
}

/* ---- everything once */

static int everything(char** arguments) {
    const char* names[] = {"loss", "a\"b\\c\n\x01", "bad\xff\xc0\x80\xed\xa0\x80",
                           "\xc3\xbc\xe2\x82\xac\xf0\x9f\x8c\x8d"};
    const double values[] = {0.1, -0.0, 1e300, -12345678};
    const double zero = 0, special[] = {zero / zero, 1 / zero, -1 / zero, 5e-324};
    char* longer = (char*)malloc(200001);
    memset(longer, 'x', 200000);
    longer[200000] = '\0';
    errno = 12345;
    poster_log_metric("loss", 0.30000000000000004, 0);
    poster_log_metric("loss", 3, POSTER_NO_STEP);
    poster_log_metrics(4, names, values, 10);
    poster_log_metrics(4, names, special, 1000000000000LL);
    poster_log_epoch_metrics(1, names, values, 11, 1.5);
    poster_log_epoch_metrics(1, names, values, 12, zero / zero);
    poster_log_metrics(0, names, values, 10);
    poster_log_message("warning", "a message");
    poster_log_message(NULL, longer);
    poster_log_message("loud", "level");
    poster_log_messagef("error", "%d%s", 7, longer);
    poster_log_config_string("optimizer", "adam");
    poster_log_config_string("api_key", "hunter2");
    poster_log_config_string("db.password", "hunter2");
    poster_log_config_string("openaiToken", "hunter2");
    poster_log_config_string("max_tokens", "12");
    poster_log_config_string("tokenizer", "bpe");
    poster_log_config_string("password_file", "/etc/x");
    poster_log_config_string("nothing", NULL);
    poster_log_config_double("lr", 1e-4);
    poster_log_config_int("seed", -9223372036854775807LL - 1);
    poster_log_config_bool("amp", 1);
    poster_set_summary_string("verdict", "good");
    poster_set_summary_double("best", 0.97);
    poster_set_summary_int("epochs", 90);
    poster_set_summary_bool("converged", 0);
    poster_notify("done");
    check(poster_save_file(arguments[0], "sub/copy.bin") == 0, "save a file");
    check(poster_save_file(arguments[0], NULL) == 0, "save a file by its own name");
    check(poster_log_image_file("samples/a", arguments[1], 10, "a \"caption\"") == 0, "log an image");
    check(poster_log_image_file("samples/a", arguments[1], 10, NULL) == 0, "log it again");
    check(poster_log_image_file("samples/a", arguments[1], POSTER_NO_STEP, NULL) == 0, "log it without a step");
    check(errno == 12345, "errno is kept");
    second_file("second", 2);
    free(longer);
    return 0;
}

static int facts(char** arguments) {
    (void)arguments;
    printf("%d|%s|%s|%s|%d|%d|%lld|%s\n", poster_active(), poster_run_id(), poster_run_dir(), poster_files_dir(),
           poster_attempt(), poster_resumed(), poster_rank(), poster_checkpoint_dir());
    return 0;
}

/* Each with the name of a file, and wrong: nothing may come of it but a warning. */
static int wrong(char** arguments) {
    const char* names[] = {"../x", "/x", "", "a/../x", "a//x", "."};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        if (*names[i]) check(poster_save_file(arguments[0], names[i]) == -1, names[i]);
        check(poster_log_image_file(names[i], arguments[0], 1, NULL) == -1, names[i]);
    }
    check(poster_save_file("/nowhere/x", NULL) == -1, "a file that is not there");
    check(poster_save_file("/dev/null", NULL) == -1, "a device");
    check(poster_save_file("/", "root") == -1, "a folder");
    check(poster_log_image_file("a", arguments[0], 1, NULL) == -1, "no image");
    poster_log_metric(NULL, 1, 1);
    poster_log_message("info", NULL);
    poster_log_message("", "empty level");
    return 0;
}

/* ---- threads and processes */

static void* thread_logs(void* name) {
    log_many((const char*)name, 20000);
    return NULL;
}

static void* thread_logs_for_ever(void* name) {
    for (;;) {
        log_many((const char*)name, 100);
        pthread_testcancel();
    }
    return NULL;
}

static int threads(char** arguments) {
    static char names[8][8];
    pthread_t ids[8];
    (void)arguments;
    for (int i = 0; i < 8; ++i) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        pthread_create(&ids[i], NULL, thread_logs, names[i]);
    }
    for (int i = 0; i < 8; ++i) pthread_join(ids[i], NULL);
    return 0;
}

static int fork_while_logging(char** arguments) {
    static char name[] = "thread";
    pthread_t id;
    (void)arguments;
    log_many("parent", 100);
    pthread_create(&id, NULL, thread_logs, name);
    for (int i = 0; i < 50; ++i) {
        const pid_t child = fork();
        int status = 0;
        if (child == 0) {
            log_many("child", 200);
            exit(0);
        }
        waitpid(child, &status, 0);
        check(status == 0, "the child ends well");
    }
    pthread_join(id, NULL);
    return 0;
}

/* As daemon() does it. */
static int go_on_in_a_child(char** arguments) {
    (void)arguments;
    log_many("main", 10);
    if (fork() > 0) _exit(0);
    log_many("child", 10);
    return 0;
}

static int cancel(char** arguments) {
    static char name[] = "cancelled";
    (void)arguments;
    for (int i = 0; i < 100; ++i) {
        pthread_t id;
        pthread_create(&id, NULL, thread_logs_for_ever, name);
        usleep((useconds_t)(i * 7 % 500));
        pthread_cancel(id);
        pthread_join(id, NULL);
    }
    poster_log_metric("after", 1, 1);
    return 0;
}

/* ---- signals */

static volatile sig_atomic_t handled;

static void log_in_handler(int number) {
    poster_log_metric("handler", number, 1);
    handled = 1;
}

static void exit_in_handler(int number) {
    (void)number;
    exit(3);
}

static void alarm_after(void (*handler)(int), long first, long interval) {
    struct sigaction action;
    struct itimerval timer = {{0, interval}, {0, first}};
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

static int handlers(char** arguments) {
    (void)arguments;
    alarm_after(log_in_handler, 100, 100);
    log_many("main", 100000);
    handled = 0;
    while (!handled) continue; /* in the loop above all may have come in the middle of a call */
    alarm_after(SIG_IGN, 0, 0);
    return 0;
}

static int exit_in_signal_handler(char** arguments) {
    log_many("main", 1);
    alarm_after(exit_in_handler, atol(arguments[0]), 0);
    for (;;) log_many("main", 1000);
    return 0;
}

/* ---- the end */

static void log_at_exit(void) {
    poster_log_metric("at_exit", 1, 1);
}

static int late(char** arguments) {
    (void)arguments;
    atexit(log_at_exit); /* before poster's own: runs after it */
    log_many("main", 10);
    return 0;
}

/* Logs a few lines and goes on without logging. */
static int quiet(char** arguments) {
    (void)arguments;
    log_many("main", 10);
    puts("logged");
    fflush(stdout);
    for (;;) pause();
    return 0;
}

/* As fast as it can, for ever. In the file that is mapped: which step was the last to be logged in each millisecond. */
static int storm(char** arguments) {
    enum { SLOTS = 100000 };
    const int fd = open(arguments[0], O_RDWR | O_CREAT, 0600);
    const int pause_us = atoi(arguments[1]);
    int64_t* slots;
    check(fd >= 0 && ftruncate(fd, SLOTS * 8) == 0, "make the progress file");
    slots = (int64_t*)mmap(NULL, SLOTS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(slots != MAP_FAILED, "map it");
    for (int64_t i = 1;; ++i) {
        poster_log_metric("loss", 1.0 / (double)i, i);
        slots[nanoseconds() / 1000000 % SLOTS] = i;
        if (pause_us > 0) usleep((useconds_t)pause_us);
    }
    return 0;
}

/* ---- misfortune */

static int full(char** arguments) {
    errno = 12345;
    log_many("main", atol(arguments[0]));
    poster_flush();
    poster_save_file(arguments[1], NULL);
    check(errno == 12345, "errno is kept");
    puts("alive");
    return 0;
}

/* A program that closes every descriptor and opens a file of its own in the place of one. */
static int closing(char** arguments) {
    log_many("before", 10);
    poster_flush();
    for (int fd = 3; fd < 100; ++fd) close(fd);
    const int mine = open(arguments[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    log_many("after", 10);
    poster_flush();
    check(write(mine, "mine", 4) == 4, "write to the file");
    return 0;
}

static int in_locale(char** arguments) {
    (void)arguments;
    check(setlocale(LC_ALL, "") != NULL && *localeconv()->decimal_point == ',', "a locale with a decimal comma");
    poster_log_epoch_metrics(1, (const char* const[]){"loss"}, (const double[]){1234567.25}, 1234567, 0.5);
    poster_log_config_double("lr", 1e-7);
    return 0;
}

/* A library that logs is loaded and unloaded while its flusher lives. */
static int plugin(char** arguments) {
    for (int i = 0; i < 20; ++i) {
        void* library = dlopen(arguments[0], RTLD_NOW | RTLD_LOCAL);
        void (*log_from_plugin)(void);
        check(library != NULL, "load the library");
        *(void**)&log_from_plugin = dlsym(library, "log_from_plugin");
        log_from_plugin();
        log_many("main", 10);
        dlclose(library);
    }
    usleep(120000); /* a thread whose code is gone would die here */
    return 0;
}

static const struct {
    const char* name;
    int (*run)(char** arguments);
} modes[] = {
    {"everything", everything},
    {"facts", facts},
    {"wrong", wrong},
    {"threads", threads},
    {"fork", fork_while_logging},
    {"daemon", go_on_in_a_child},
    {"cancel", cancel},
    {"handlers", handlers},
    {"exit_in_handler", exit_in_signal_handler},
    {"late", late},
    {"quiet", quiet},
    {"storm", storm},
    {"full", full},
    {"closing", closing},
    {"locale", in_locale},
    {"plugin", plugin},
};

int main(int argc, char** argv) {
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof *modes; ++i)
        if (strcmp(argv[1], modes[i].name) == 0) return modes[i].run(argv + 2);
    return 98;
}
