#pragma once
// The subcommands, free of command-line parsing: plain structs in, exit status out. Failures are thrown as Error.

#include <optional>
#include <string>
#include <vector>

#include <poster/run.hpp>

namespace poster {

struct RunArguments {
    std::vector<std::string> command;
    std::string name, note;
    std::vector<std::string> tags;
    std::vector<std::string> environment; // K=V
    std::optional<std::string> cwd, store, timeout, grace;
    bool quiet = false, verbose = false, dry_run = false, no_capture = false, scan_metrics = false;
    // Several commands, further attempts
    bool single = false, fail_fast = false, detach = false;
    std::optional<std::size_t> jobs;
    std::optional<std::string> file; // of commands; "-": stdin
    std::vector<std::string> gpus;
    std::size_t retries = 0;
    std::optional<std::vector<Status>> retry_on;
    std::optional<std::string> backoff;
};
struct ContinueArguments {
    std::vector<std::string> runs, extra;
    std::string group;
    std::optional<std::string> store;
    std::optional<std::size_t> jobs;
    bool last_failed = false, force = false, detach = false, quiet = false;
};
struct RerunArguments {
    std::string run = "last";
    std::vector<std::string> extra;
    std::optional<std::string> store;
    bool edit = false, checkout = false, verify = false, detach = false, quiet = false;
};
struct DiffArguments {
    std::string before, after;
    std::optional<std::string> store;
    bool json = false;
};
struct TagArguments {
    std::string run;
    std::vector<std::string> tags;
    std::optional<std::string> store;
    bool remove = false;
};
struct NoteArguments {
    std::string run;
    std::optional<std::string> text; // nullopt: it is printed
    std::optional<std::string> store;
};
struct RemoveArguments {
    std::vector<std::string> runs;
    std::optional<std::string> store;
    bool yes = false;
};
struct CollectArguments {
    std::optional<std::string> older, store; // older: a duration
    std::string from;                        // of one callback's remote alone
    std::uint64_t larger = 0;                // bytes
    bool dry_run = false, delivered = false, remote = false, yes = false;
};
struct FetchArguments {
    std::vector<std::string> words; // a run, then patterns; with `all` patterns alone
    std::string from;               // a callback; empty: whichever has it
    std::optional<std::string> store;
    std::optional<std::size_t> jobs;
    bool all = false, json = false;
};
struct SyncArguments {
    std::vector<std::string> runs, callbacks;
    std::optional<std::string> store;
    std::optional<std::size_t> jobs;
    bool watch = false, dry_run = false, retry_failed = false, json = false;
    bool background = false; // started by a run: patient, and silent but for what goes wrong
};
struct WaitArguments {
    std::vector<std::string> runs;
    std::string group;
    std::optional<std::string> timeout, store;
    bool quiet = false;
};
struct TopArguments {
    std::optional<std::string> interval, store;
    bool json = false;
};
struct ListArguments {
    std::vector<std::string> statuses, tags;
    std::string name, group;
    std::optional<std::string> since, store; // since: a duration ("2d") or a date
    std::string where, sort;                 // an expression; KEY, -KEY, KEY:asc or KEY:desc
    std::string columns;                     // names with commas between them; "+" before the first: beside the usual
    std::optional<std::size_t> limit;        // default: 50 in a table, all with --json
    bool json = false, all_stores = false;
};
struct ShowArguments {
    std::string run = "last";
    std::optional<std::string> store;
    bool json = false;
};
struct LogsArguments {
    std::string run = "last";
    std::optional<std::string> store;
    std::optional<int> attempt;
    bool follow = false, only_stdout = false, only_stderr = false, timestamps = false, raw = false;
};
struct MetricsArguments {
    std::vector<std::string> words; // a run, then names; where the first is no run, they are names of the last run's
    std::optional<std::string> store;
    std::string rank = "0"; // or "all"
    std::optional<int> attempt;
    std::size_t points = 10;
    bool tail = false, csv = false, json = false;
};
struct PlotArguments {
    std::vector<std::string> words; // runs, then metrics
    std::optional<std::string> store, output;
    std::string axis = "step", rank = "0";
    double smooth = 0;
    std::optional<std::pair<int, int>> size; // columns, rows
    bool logarithmic = false;
};
struct FilesArguments {
    std::vector<std::string> words; // a run, then patterns
    std::optional<std::string> store;
    bool all = false, json = false;
};
struct ExportArguments {
    std::vector<std::string> runs, metrics;
    std::string where;
    std::optional<std::string> store, output, tensorboard;
    bool csv = false, jsonl = false;
};
struct ScanArguments {
    std::string file;
    std::vector<std::string> patterns;
    bool json = false;
};
struct LogArguments {
    std::string kind; // metric, message, image, file, config, summary, notify
    std::vector<std::string> words;
    std::optional<std::string> step, epoch, level, caption, name;
};
struct NotifyArguments {
    std::string callback; // empty: all that are on
    bool json = false;
};
struct ClientArguments {
    std::optional<std::string> write;
};
struct StopArguments {
    std::vector<std::string> runs;
    std::optional<std::string> store;
    bool kill = false;
};
struct PlainArguments {
    std::optional<std::string> store;
    bool json = false;
};

// Does not return where the child died of a signal that poster passes on by dying of it.
int run_command(const RunArguments& arguments);
int continue_runs(const ContinueArguments& arguments);
int rerun(const RerunArguments& arguments);
int show_differences(const DiffArguments& arguments);
int tag_runs(const TagArguments& arguments);
int note_run(const NoteArguments& arguments);
int remove_runs(const RemoveArguments& arguments);
int collect_garbage(const CollectArguments& arguments);
int fetch_runs(const FetchArguments& arguments);
int sync_runs(const SyncArguments& arguments);
int wait_for_runs(const WaitArguments& arguments);
int examine(const PlainArguments& arguments);
int show_top(const TopArguments& arguments);
int list_runs(const ListArguments& arguments);
int show_run(const ShowArguments& arguments);
int show_logs(const LogsArguments& arguments);
int show_metrics(const MetricsArguments& arguments);
int plot_metrics(const PlotArguments& arguments);
int list_files(const FilesArguments& arguments);
int export_runs(const ExportArguments& arguments);
int scan_log(const ScanArguments& arguments);
int log_event(const LogArguments& arguments);
int notify(const NotifyArguments& arguments);
int write_client(const ClientArguments& arguments);
int stop_runs(const StopArguments& arguments);
int show_callbacks(const PlainArguments& arguments);
int show_config(const PlainArguments& arguments);
int reindex(const PlainArguments& arguments);
int show_version(const PlainArguments& arguments);

} // namespace poster
