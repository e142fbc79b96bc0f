#include "command_table.hpp"

#include <algorithm>
#include <array>

namespace poster {

namespace {

constexpr OptionText kHelp{"-h,--help", "", "show this help"};
constexpr OptionText kStore{"--store", "DIR",
                            "the folder that keeps the runs (default: .poster at the project's root)"};
constexpr OptionText kJson{"--json", "", "print JSON"};

constexpr std::array kRunOptions{
    OptionText{"-n,--name", "NAME", "name the run"},
    OptionText{"-t,--tag", "TAG", "tag the run; may be given several times"},
    OptionText{"--note", "TEXT", "a note kept with the run"},
    OptionText{"--env", "NAME=VALUE", "set a variable for the command; may be given several times"},
    OptionText{"-C,--cwd", "DIR", "run the command in this directory"},
    kStore,
    OptionText{"--timeout", "DURATION", "end the command after this time: 90, 30s, 15m, 1h30m, 2d; 0: no limit"},
    OptionText{"--grace", "DURATION", "time between SIGTERM and SIGKILL when the run is ended (default: 10s)"},
    OptionText{"-j,--jobs", "N", "of several commands, run so many at once (default: one after the other)"},
    OptionText{"--fail-fast", "", "of several commands, end all when one has failed"},
    OptionText{"--single", "", "take the whole line as one command"},
    OptionText{"-f,--file", "FILE", "run the commands in this file, one a line; -: stdin"},
    OptionText{"--gpus", "LIST", "CUDA_VISIBLE_DEVICES, shared out among the runs that run at once: 0,1,2,3"},
    OptionText{"--retries", "N", "when the command fails, make up to N further attempts"},
    OptionText{"--retry-on", "LIST", "the outcomes that are tried again (default: failed,killed,lost)"},
    OptionText{"--backoff", "DURATION", "wait so long before the next attempt"},
    OptionText{"-d,--detach", "", "run in the background, also when the terminal is gone; print the run's id"},
    OptionText{"--no-capture", "", "put no hook into Python programs to read their parameters"},
    OptionText{"--scan-metrics", "", "read metrics from what the program prints"},
    OptionText{"-q,--quiet", "", "say nothing but errors"},
    OptionText{"-v,--verbose", "", "say more: the run's directory, the callbacks"},
    OptionText{"--dry-run", "", "show the command, the environment changes and the callbacks that are on; run nothing"},
    kHelp,
};
constexpr std::array kRunExamples{
    ExampleText{"poster run python train.py --lr 0.1", "run a training as an experiment"},
    ExampleText{"poster run -n baseline -t cifar ./train.sh", "with a name and a tag"},
    ExampleText{"poster run --timeout 2h --env OMP_NUM_THREADS=4 make all", "with a time limit and a variable"},
    ExampleText{"poster run -j 2 python a.py lr=1 \\ python a.py lr=2 \\ python a.py lr=3", "several, two at once"},
    ExampleText{"poster run --retries 3 --backoff 10s python train.py", "with further attempts when it fails"},
    ExampleText{"poster run --dry-run python train.py", "see what would be run"},
};

constexpr std::array kRerunOptions{
    OptionText{"--edit", "", "edit the command first, in $VISUAL or $EDITOR"},
    OptionText{"--checkout", "", "with the code as it was, in a git worktree of the new run"},
    OptionText{"--verify", "", "compare status, saved files and last metrics with the original's; 1 where they differ"},
    OptionText{"-d,--detach", "", "run in the background; print the run's id"},
    OptionText{"-q,--quiet", "", "say nothing but errors"},
    kStore,
    kHelp,
};
constexpr std::array kRerunExamples{
    ExampleText{"poster rerun last", "the last run once more"},
    ExampleText{"poster rerun k7qd -- lr=0.3 --seed 2", "with other arguments"},
    ExampleText{"poster rerun k7qd --checkout --verify", "the same code, and is the result the same?"},
};

constexpr std::array kContinueOptions{
    OptionText{"--last-failed", "", "the newest run that did not finish"},
    OptionText{"--group", "GROUP", "every run of a multirun that has not finished"},
    OptionText{"--force", "", "also a run that has finished, or that another host may still be running"},
    OptionText{"-j,--jobs", "N", "of several runs, so many at once"},
    OptionText{"-d,--detach", "", "run in the background; print the run's id"},
    OptionText{"-q,--quiet", "", "say nothing but errors"},
    kStore,
    kHelp,
};
constexpr std::array kContinueExamples{
    ExampleText{"poster continue k7qd", "its next attempt, in the same directory"},
    ExampleText{"poster continue --last-failed -- --resume", "with one more argument"},
    ExampleText{"poster continue --group 20261124-031142-5amk -j 2", "what is left of a multirun"},
};

constexpr std::array kDiffOptions{kStore, kJson, kHelp};
constexpr std::array kDiffExamples{
    ExampleText{"poster diff last~1 last", "the last two runs"},
    ExampleText{"poster diff baseline k7qd --json", "for scripts"},
};

constexpr std::array kTagOptions{
    OptionText{"-d,--delete", "", "take the tags away"},
    kStore,
    kHelp,
};
constexpr std::array kTagExamples{
    ExampleText{"poster tag last good paper", "add two tags"},
    ExampleText{"poster tag -d baseline good", "take one away"},
};
constexpr std::array kNoteOptions{kStore, kHelp};
constexpr std::array kNoteExamples{
    ExampleText{"poster note last 'diverged at step 300'", "write a note"},
    ExampleText{"poster note last", "print it"},
};
constexpr std::array kRemoveOptions{
    OptionText{"-y,--yes", "", "do not ask"},
    kStore,
    kHelp,
};
constexpr std::array kRemoveExamples{
    ExampleText{"poster rm k7qd", "into the store's trash, which gc empties"},
    ExampleText{"poster ls --status failed --json | jq -r '.[].id' | xargs poster rm -y", "all that failed"},
};
constexpr std::array kCollectOptions{
    OptionText{"--older", "DURATION",
               "what has been in the trash for so long (default: 7d; 0: all of it); with --delivered: files changed so "
               "long ago"},
    OptionText{"--delivered", "", "files of ended runs here that a remote has; `poster fetch` brings them back"},
    OptionText{"--larger", "SIZE", "with --delivered: files of this size or larger: 500k, 20M, 1G"},
    OptionText{"--remote", "", "what broken uploads have left at remotes"},
    OptionText{"--from", "CALLBACK", "with --delivered and --remote: that callback's remote alone"},
    OptionText{"-y,--yes", "", "with --delivered and --remote: delete, do not only say what"},
    OptionText{"--dry-run", "", "say what could be given back; remove nothing"},
    kStore,
    kHelp,
};
constexpr std::array kCollectExamples{
    ExampleText{"poster gc --dry-run", "see what could be given back"},
    ExampleText{"poster gc --older 0", "empty the trash now"},
    ExampleText{"poster gc --delivered --older 30d --larger 100M", "which large files could go, as a remote has them"},
};
constexpr std::array kFetchOptions{
    OptionText{"--all", "", "every run that is not here"},
    OptionText{"--from", "CALLBACK", "from that callback's remote: s3, scp or local (default: whichever has it)"},
    OptionText{"-j,--jobs", "N", "transfers at a time (default: sync.jobs)"},
    kStore,
    kJson,
    kHelp,
};
constexpr std::array kFetchExamples{
    ExampleText{"poster fetch last", "all that is missing here of the last run"},
    ExampleText{"poster fetch k7qd '*.pt'", "some of it"},
    ExampleText{"poster fetch --all --store .poster", "a store from its copies alone"},
};
constexpr std::array kSyncOptions{
    OptionText{"--callback", "NAME", "only what this callback has to deliver (repeatable)"},
    OptionText{"--watch", "", "go on, and deliver what is queued from now on"},
    OptionText{"--dry-run", "", "say what would be delivered; deliver nothing"},
    OptionText{"-j,--jobs", "N", "transfers at a time (default: sync.jobs)"},
    OptionText{"--retry-failed", "", "also what was given up: refused by the remote, for example"},
    kStore,
    kJson,
    kHelp,
};
constexpr std::array kSyncExamples{
    ExampleText{"poster sync", "deliver all that waits in this store"},
    ExampleText{"poster sync --dry-run", "see what waits, and why"},
    ExampleText{"poster sync last --callback s3", "bring the last run to S3, also one from before [s3] was set up"},
};
constexpr std::array kWaitOptions{
    OptionText{"--group", "GROUP", "for every run of a multirun"},
    OptionText{"--timeout", "DURATION", "give up after this time, and exit with 124"},
    OptionText{"-q,--quiet", "", "say nothing but errors"},
    kStore,
    kHelp,
};
constexpr std::array kWaitExamples{
    ExampleText{"poster wait last && echo it worked", "until the last run has ended"},
    ExampleText{"id=$(poster run -d ./train.sh); poster wait $id", "for a run in the background"},
};
constexpr std::array kDoctorExamples{ExampleText{"poster doctor", "is all well here?"}};

constexpr std::array kTopOptions{
    OptionText{"--interval", "DURATION", "look again so often (default: 1s)"},
    kStore,
    kJson,
    kHelp,
};
constexpr std::array kTopExamples{
    ExampleText{"poster top", "watch what is running"},
    ExampleText{"poster top --json", "one look, for scripts"},
};

constexpr std::array kListOptions{
    OptionText{"--status", "STATUS", "runs with this status only; may be given several times: any of them"},
    OptionText{"--tag", "TAG", "runs with this tag only; may be given several times: all of them"},
    OptionText{"--name", "PATTERN", "runs whose name matches, such as 'base*'"},
    OptionText{"--group", "GROUP", "the runs of one multirun"},
    OptionText{"--where", "EXPRESSION", "runs for which it holds: 'config.lr > 0.01 and metrics.loss.min < 0.3'"},
    OptionText{"--sort", "KEY", "by this column, config.…, metrics.… or summary.…; -KEY or KEY:desc: greatest first"},
    OptionText{"--columns", "A,B,…", "shows these columns; with + before them, beside the usual ones"},
    OptionText{"--all-stores", "", "the runs of every store that was used on this machine"},
    OptionText{"--since", "WHEN", "runs started since then: 2d, 12h, 2026-11-20, '2026-11-20 14:00'"},
    OptionText{"--limit", "N", "at most so many runs, 0: all (default: 50, with --json all)"},
    kStore,
    kJson,
    kHelp,
};
constexpr std::array kListExamples{
    ExampleText{"poster ls", "the latest runs"},
    ExampleText{"poster ls --status failed --since 1d", "what failed since yesterday"},
    ExampleText{"poster ls --where 'metrics.loss < 0.3' --sort metrics.loss --columns +config.lr,metrics.loss",
                "the best ones, with their learning rate"},
    ExampleText{"poster ls --json | jq -r '.[].dir'", "for scripts"},
};

constexpr std::array kShowOptions{kStore, kJson, kHelp};
constexpr std::array kShowExamples{
    ExampleText{"poster show", "the last run"},
    ExampleText{"poster show baseline", "a run by its name"},
    ExampleText{"poster show last~1 --json | jq .config", "the run before the last, as JSON"},
};

constexpr std::array kMetricsOptions{
    OptionText{"--tail", "", "the last points only"},
    OptionText{"-p,--points", "N", "with --tail: so many (default: 10)"},
    OptionText{"--rank", "RANK", "of this rank of a distributed program, or all (default: 0)"},
    OptionText{"--attempt", "N", "of this attempt only"},
    OptionText{"--csv", "", "print CSV"},
    kStore,
    kJson,
    kHelp,
};
constexpr std::array kMetricsExamples{
    ExampleText{"poster metrics", "the metrics of the last run: last, min, max, count"},
    ExampleText{"poster metrics baseline loss acc --csv", "two series as a table"},
    ExampleText{"poster metrics last loss --tail", "the last points"},
};

constexpr std::array kPlotOptions{
    OptionText{"-o,--output", "FILE", "write a picture: FILE.png or FILE.svg"},
    OptionText{"-x,--axis", "AXIS", "step, epoch, time or relative (default: step)"},
    OptionText{"--log", "", "a logarithmic axis of values"},
    OptionText{"--smooth", "FACTOR", "smooth: 0 not at all, towards 1 the more"},
    OptionText{"--rank", "RANK", "of this rank of a distributed program, or all (default: 0)"},
    OptionText{"--size", "COLUMNSxROWS", "of the plot (default: the terminal's)"},
    kStore,
    kHelp,
};
constexpr std::array kPlotExamples{
    ExampleText{"poster plot last loss", "a curve in the terminal"},
    ExampleText{"poster plot last~1 last loss acc", "two metrics of two runs"},
    ExampleText{"poster plot baseline loss -o loss.svg", "a picture"},
};

constexpr std::array kFilesOptions{
    OptionText{"--all", "", "every file of the run directory"},
    kStore,
    kJson,
    kHelp,
};
constexpr std::array kFilesExamples{
    ExampleText{"poster files", "what the last run saved"},
    ExampleText{"poster files baseline '*.pt'", "some of it"},
};

constexpr std::array kExportOptions{
    OptionText{"--csv", "", "a table: a line per point"},
    OptionText{"--jsonl", "", "a JSON object per event"},
    OptionText{"--tensorboard", "DIR", "event files for TensorBoard, a folder per run"},
    OptionText{"-m,--metric", "NAME", "these metrics only; may be given several times"},
    OptionText{"--where", "CONDITION", "the runs that ls --where would list"},
    OptionText{"-o,--output", "FILE", "into this file (default: stdout)"},
    kStore,
    kHelp,
};
constexpr std::array kExportExamples{
    ExampleText{"poster export --csv -o all.csv", "the metrics of every run"},
    ExampleText{"poster export baseline k7qd --jsonl", "the events of two runs"},
    ExampleText{"poster export --tensorboard tb", "for TensorBoard"},
};

constexpr std::array kScanOptions{
    OptionText{"--pattern", "REGEX", "one more pattern; named groups are metrics; may be given several times"},
    kJson,
    kHelp,
};
constexpr std::array kScanExamples{
    ExampleText{"poster scan train.log", "what metrics a log would give"},
    ExampleText{"poster logs --raw last | poster scan -", "of a run"},
};

constexpr std::array kLogOptions{
    OptionText{"--step", "N", "the training step"},
    OptionText{"--epoch", "N", "the epoch"},
    OptionText{"--level", "LEVEL", "of a message: debug, info, warning, error (default: info)"},
    OptionText{"--caption", "TEXT", "of an image"},
    OptionText{"--name", "NAME", "of a file, in the run (default: its own)"},
    kHelp,
};
constexpr std::array kLogExamples{
    ExampleText{"poster log metric loss=0.3 acc=0.9 --step 10", "metrics"},
    ExampleText{"poster log message 'half way' --level warning", "a message"},
    ExampleText{"poster log image samples grid.png --step 10", "an image"},
    ExampleText{"poster log file model.pt", "a file or a folder"},
};

constexpr std::array kNotifyOptions{
    OptionText{"--callback", "NAME", "through this one: telegram or email (default: all that are on)"},
    kJson,
    kHelp,
};
constexpr std::array kNotifyExamples{
    ExampleText{"poster notify test", "does it arrive?"},
    ExampleText{"poster notify test --callback telegram", "through one of them"},
};

constexpr std::array kClientOptions{
    OptionText{"--write", "DIR", "write poster.py into this folder"},
    kHelp,
};
constexpr std::array kClientExamples{ExampleText{"poster client --write .", "poster.py into this project"}};

constexpr std::array kLogsOptions{
    OptionText{"-f,--follow", "", "go on until the run has ended"},
    OptionText{"--attempt", "N", "of this attempt (default: the last one)"},
    OptionText{"--stdout", "", "what came on stdout only"},
    OptionText{"--stderr", "", "what came on stderr only"},
    OptionText{"--timestamps", "", "begin each line with the time of its last byte"},
    OptionText{"--raw", "", "the very bytes, with progress bars and cursor moves unfolded"},
    kStore,
    kHelp,
};
constexpr std::array kLogsExamples{
    ExampleText{"poster logs", "the output of the last run"},
    ExampleText{"poster logs -f baseline", "follow a run"},
    ExampleText{"poster logs --stderr --timestamps last~1", "stderr of the run before the last, with times"},
    ExampleText{"poster logs --raw last > output.log", "the bytes as they were written"},
};

constexpr std::array kStopOptions{
    OptionText{"--kill", "", "kill it at once, without a grace period"},
    kStore,
    kHelp,
};
constexpr std::array kStopExamples{
    ExampleText{"poster stop last", "as SIGTERM to its poster: SIGTERM, the grace period, SIGKILL"},
    ExampleText{"poster stop baseline k7qd", "several runs, by name or by the end of an id"},
    ExampleText{"poster stop --kill last", "SIGKILL at once"},
};

constexpr std::array kPlainOptions{kStore, kJson, kHelp};
constexpr std::array kCallbacksExamples{
    ExampleText{"poster callbacks", "which are on, and why"},
    ExampleText{"poster callbacks --json | jq '.[] | select(.on) | .name'", "the names of those that are on"},
};
constexpr std::array kConfigExamples{
    ExampleText{"poster config", "every setting, its value, and where it comes from"},
    ExampleText{"POSTER_RUN_GRACE=30s poster config", "with a variable"},
};

constexpr std::array kReindexOptions{kStore, kHelp};
constexpr std::array kReindexExamples{ExampleText{"poster reindex", "rebuild the index of this store"}};

constexpr std::array kVersionOptions{kJson, kHelp};
constexpr std::array kVersionExamples{ExampleText{"poster version", "print the version"}};

constexpr std::array kCompletionOptions{kHelp};
constexpr std::array kCompletionExamples{
    ExampleText{"source <(poster completion bash)", "for this shell; in ~/.bashrc for each"},
    ExampleText{"poster completion zsh > ~/.zfunc/_poster", "into a folder of $fpath"},
    ExampleText{"poster completion fish > ~/.config/fish/completions/poster.fish", "for fish"},
};

constexpr std::array kHelpOptions{kHelp};
constexpr std::array kHelpExamples{ExampleText{"poster help run", "the help of a command"}};

constexpr std::array kCommands{
    CommandText{
        "run", "[OPTION]… COMMAND [ARGUMENT]…", "Run a command as an experiment",
        "Runs COMMAND exactly as without poster, and records it: command line, code, environment, output, hardware "
        "use and how it ended. poster's own options come before the command; from the first word of the command "
        "on everything belongs to the command. poster exits as the command does.",
        kRunOptions, kRunExamples},
    CommandText{
        "rerun", "[OPTION]… [RUN] [-- ARGUMENT…]", "Run the command of a run again, as a new run",
        "Makes a new run with the command line, working directory, name, tags and environment changes of RUN, and says "
        "first what differs from then. ARGUMENTs are added: key=value and --option value take the place of the same "
        "key or option, everything else is appended.",
        kRerunOptions, kRerunExamples},
    CommandText{
        "continue", "[OPTION]… [RUN…] [-- ARGUMENT…]", "Take up a run again that did not finish",
        "Makes the next attempt of a run: the same id and directory, with POSTER_RESUMED=1 and POSTER_ATTEMPT in the "
        "environment of the command. ARGUMENTs are added as by rerun; so are those of the setting continue.append.",
        kContinueOptions, kContinueExamples},
    CommandText{"diff", "[OPTION]… RUN RUN", "Show what differs between two runs",
                "Compares two runs: command line, config, code, environment, packages, host and outcome.", kDiffOptions,
                kDiffExamples},
    CommandText{"tag", "[OPTION]… RUN TAG…", "Tag a run", "Adds tags to a run, or takes them away.", kTagOptions,
                kTagExamples},
    CommandText{
        "note", "[OPTION]… RUN [TEXT]", "Write a note to a run",
        "Writes the note of a run, in place of an older one; an empty TEXT removes it. Without TEXT it is printed.",
        kNoteOptions, kNoteExamples},
    CommandText{"rm", "[OPTION]… RUN…", "Remove runs",
                "Moves runs into the trash of the store, after asking. A run that is running is refused.",
                kRemoveOptions, kRemoveExamples},
    CommandText{
        "gc", "[OPTION]…", "Give back the space of removed runs",
        "Empties the trash, and removes shared files that no run refers to any more. With --delivered it deletes "
        "files here instead that are, as has just been made sure, at a remote.",
        kCollectOptions, kCollectExamples},
    CommandText{
        "wait", "[OPTION]… RUN…", "Wait until runs have ended",
        "Waits until all of the runs have ended. The exit status is that of the first of them that failed, else 0.",
        kWaitOptions, kWaitExamples},
    CommandText{
        "doctor", "[OPTION]…", "Check that all is well here",
        "Looks at the store, the kernel, the programs and libraries that poster makes use of, and the callbacks. "
        "Exits with 1 where something is bad.",
        kPlainOptions, kDoctorExamples},
    CommandText{
        "top", "[OPTION]…", "Watch the running runs",
        "Shows the running and the queued runs with their CPU, memory, GPU and last line of output, again and "
        "again. Keys: j and k move, Enter shows the log, s stops, a shows ended runs as well, q quits. Where there "
        "is no terminal it prints one look.",
        kTopOptions, kTopExamples},
    CommandText{"ls", "[OPTION]…", "List runs, newest first", "Lists the runs of the store, newest first.",
                kListOptions, kListExamples},
    CommandText{
        "show", "[OPTION]… [RUN]", "Show a run",
        "Shows a run: how it ended and why, its configuration, code, environment and files. RUN is an id, a unique "
        "beginning or end of one, a unique name, last (the default), or last~1 for the one before.",
        kShowOptions, kShowExamples},
    CommandText{"logs", "[OPTION]… [RUN]", "Print what a run wrote",
                "Prints the output of a run, its progress bars folded to what a terminal shows at the end.",
                kLogsOptions, kLogsExamples},
    CommandText{"metrics", "[OPTION]… [RUN] [METRIC…]", "Print the metrics of a run",
                "Without names: the metrics of a run with their last, smallest and largest values. With names: the "
                "series, a line per step. METRIC may be a pattern.",
                kMetricsOptions, kMetricsExamples},
    CommandText{"plot", "[OPTION]… [RUN…] METRIC…", "Plot metrics",
                "Plots metrics of one or several runs in the terminal, or into a picture.", kPlotOptions,
                kPlotExamples},
    CommandText{"files", "[OPTION]… [RUN] [PATTERN…]", "List what a run saved",
                "Lists the files and images that a run saved, with their sizes.", kFilesOptions, kFilesExamples},
    CommandText{"export", "[OPTION]… [RUN…]", "Export metrics and events of runs",
                "Writes the metrics of runs (all of the store, unless some are named) as CSV, their events as JSON "
                "lines, or both for TensorBoard.",
                kExportOptions, kExportExamples},
    CommandText{"scan", "[OPTION]… FILE", "Show which metrics a log would give",
                "Reads a log as `poster run --scan-metrics` reads what a program prints, and shows what it finds.",
                kScanOptions, kScanExamples},
    CommandText{"log", "metric|message|image|file|config|summary|notify [OPTION]… WORD…", "Log from within a run",
                "For shell scripts and programs in any language: appends to the events of the run that this process "
                "belongs to. Outside a run it does nothing.",
                kLogOptions, kLogExamples},
    CommandText{
        "notify", "test [OPTION]…", "Send a test message",
        "Sends a message through each messenger that is configured, now, and says what became of it. Exits with "
        "1 where one did not arrive.",
        kNotifyOptions, kNotifyExamples},
    CommandText{"client", "[OPTION]…", "Print or write the Python client",
                "Prints poster.py, the client that `import poster` finds in a run, or writes it into a folder so that "
                "the script works without poster as well.",
                kClientOptions, kClientExamples},
    CommandText{
        "stop", "[OPTION]… RUN…", "End runs",
        "Ends runs as SIGTERM to their poster does: the command gets SIGTERM, and SIGKILL when the grace period is "
        "over. Waits until they have ended.",
        kStopOptions, kStopExamples},
    CommandText{"sync", "[OPTION]… [RUN…]", "Deliver what waits in outboxes",
                "Carries out what runs have queued for others: copies of their directories, messages. Without RUN: of "
                "all runs with something that waits. What was delivered is never delivered again; what could not be is "
                "kept. Exits with 1 where something is left.",
                kSyncOptions, kSyncExamples},
    CommandText{"fetch", "[OPTION]… RUN [PATTERN…]", "Bring files of a run back from its copies",
                "Brings what is missing here of a run from where its copies are, verified. PATTERNs say which files. "
                "What is here stays: a file that differs from its copy is named and kept.",
                kFetchOptions, kFetchExamples},
    CommandText{"callbacks", "[OPTION]…", "Show which callbacks are on, and why",
                "Lists the callbacks, whether each is on, and the reason.", kPlainOptions, kCallbacksExamples},
    CommandText{
        "config", "[OPTION]…", "Show the settings and where they come from",
        "Prints every setting with its value and its source: the default, poster.toml, the user's config.toml, a "
        "POSTER_ variable or an option. Secrets are redacted.",
        kPlainOptions, kConfigExamples},
    CommandText{"reindex", "[OPTION]…", "Rebuild the index of a store",
                "Rebuilds the index from the run directories. It is never needed for correctness: a damaged index is "
                "rebuilt by itself.",
                kReindexOptions, kReindexExamples},
    CommandText{
        "completion", "bash|zsh|fish", "Print the completion of a shell",
        "Prints a script by which the shell completes poster's commands, options and values, and the ids, names, "
        "tags and groups of runs.",
        kCompletionOptions, kCompletionExamples},
    CommandText{"version", "[OPTION]…", "Print the version", "Prints the version of poster.", kVersionOptions,
                kVersionExamples},
    CommandText{"help", "[COMMAND]", "Show help", "Shows the help of poster or of one of its commands.", kHelpOptions,
                kHelpExamples},
};

} // namespace

std::span<const CommandText> command_table() {
    return kCommands;
}

const CommandText* find_command(std::string_view name) {
    auto found = std::find_if(kCommands.begin(), kCommands.end(), [&](const auto& it) { return it.name == name; });
    return found == kCommands.end() ? nullptr : &*found;
}

std::string_view long_flag(const OptionText& option) {
    auto comma = option.flags.find(',');
    return comma == std::string_view::npos ? option.flags : option.flags.substr(comma + 1);
}

std::string_view short_flag(const OptionText& option) {
    auto comma = option.flags.find(',');
    return comma == std::string_view::npos ? std::string_view() : option.flags.substr(0, comma);
}

const OptionText* find_option(const CommandText& command, std::string_view flag) {
    for (const auto& option : command.options) {
        auto brief = short_flag(option);
        if (flag == long_flag(option) || (!brief.empty() && (flag == brief || flag == brief.substr(1)))) return &option;
    }
    return nullptr;
}

} // namespace poster
