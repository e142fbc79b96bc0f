// The commands about what a run logged.

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "form.hpp"
#include "help.hpp"

namespace poster {

namespace {

std::string check_rank(const std::string& word) {
    if (word != "all") check_number("--rank", word, 0);
    return word;
}

std::string check_one_of(std::string_view option, const std::string& word, std::initializer_list<const char*> known) {
    if (std::find(known.begin(), known.end(), word) != known.end()) return word;
    throw UsageError(fmt::format("{} is one of {}, not '{}'", option, fmt::join(known, ", "), word));
}

double check_real(std::string_view option, const std::string& word, double least, double below) {
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || !(value >= least && value < below))
        throw UsageError(fmt::format("{} wants a number from {} to below {}, not '{}'", option, least, below, word));
    return value;
}

std::pair<int, int> check_size(const std::string& word) {
    int columns = 0, rows = 0;
    const char* end = word.data() + word.size();
    const auto [cross, error] = std::from_chars(word.data(), end, columns);
    const bool crossed = error == std::errc{} && cross != end && *cross == 'x';
    const auto rest = crossed ? std::from_chars(cross + 1, end, rows) : std::from_chars_result{cross, error};
    if (!crossed || rest.ec != std::errc{} || rest.ptr != end || columns < 10 || rows < 4)
        throw UsageError(fmt::format("--size wants COLUMNSxROWS such as 80x20, not '{}'", word));
    return {columns, rows};
}

} // namespace

Command parse_metrics(const Words& words) {
    MetricsArguments arguments;
    Form form("metrics");
    form.flag("--tail", arguments.tail);
    form.value("--points", [&](const std::string& word) {
        arguments.points = check_number("--points", word, 1);
        arguments.tail = true;
    });
    form.value("--rank", [&](const std::string& word) { arguments.rank = check_rank(word); });
    form.value("--attempt",
               [&](const std::string& word) { arguments.attempt = int(check_number("--attempt", word, 1)); });
    form.flag("--csv", arguments.csv);
    form.store(arguments.store);
    form.flag("--json", arguments.json);
    arguments.words = form.read(words);
    if (form.wants_help()) return form.help();
    if (arguments.csv && arguments.json) throw UsageError("--csv and --json exclude each other");
    return arguments;
}

Command parse_plot(const Words& words) {
    PlotArguments arguments;
    Form form("plot");
    form.text("--output", arguments.output);
    form.value("--axis", [&](const std::string& word) {
        arguments.axis = check_one_of("--axis", word, {"step", "epoch", "time", "relative"});
    });
    form.flag("--log", arguments.logarithmic);
    form.value("--smooth", [&](const std::string& word) { arguments.smooth = check_real("--smooth", word, 0, 1); });
    form.value("--rank", [&](const std::string& word) { arguments.rank = check_rank(word); });
    form.value("--size", [&](const std::string& word) { arguments.size = check_size(word); });
    form.store(arguments.store);
    arguments.words = form.read(words);
    if (form.wants_help()) return form.help();
    if (arguments.words.empty()) throw UsageError("no metric to plot", "usage: " + usage_of(form.command()));
    return arguments;
}

Command parse_files(const Words& words) {
    FilesArguments arguments;
    Form form("files");
    form.flag("--all", arguments.all);
    form.store(arguments.store);
    form.flag("--json", arguments.json);
    arguments.words = form.read(words);
    if (form.wants_help()) return form.help();
    return arguments;
}

Command parse_export(const Words& words) {
    ExportArguments arguments;
    Form form("export");
    form.flag("--csv", arguments.csv);
    form.flag("--jsonl", arguments.jsonl);
    form.text("--tensorboard", arguments.tensorboard);
    form.list("--metric", arguments.metrics);
    form.text("--where", arguments.where);
    form.text("--output", arguments.output);
    form.store(arguments.store);
    arguments.runs = form.read(words);
    if (form.wants_help()) return form.help();
    if (int(arguments.csv) + int(arguments.jsonl) + int(arguments.tensorboard.has_value()) != 1)
        throw UsageError("one of --csv, --jsonl and --tensorboard is wanted", "usage: " + usage_of(form.command()));
    return arguments;
}

Command parse_scan(const Words& words) {
    ScanArguments arguments;
    Form form("scan");
    form.list("--pattern", arguments.patterns);
    form.flag("--json", arguments.json);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 1);
    if (rest.empty()) throw UsageError("no log to scan", "usage: " + usage_of(form.command()) + "; -: stdin");
    arguments.file = rest.front();
    return arguments;
}

Command parse_log(const Words& words) {
    LogArguments arguments;
    Form form("log");
    form.text("--step", arguments.step);
    form.text("--epoch", arguments.epoch);
    form.value("--level", [&](const std::string& word) {
        arguments.level = check_one_of("--level", word, {"debug", "info", "warning", "error"});
    });
    form.text("--caption", arguments.caption);
    form.text("--name", arguments.name);
    Words front = words;
    const Words behind = split_off_extra(front); // a text may begin with a dash
    Words rest = form.read(front);
    if (form.wants_help()) return form.help();
    rest.insert(rest.end(), behind.begin(), behind.end());
    if (rest.empty())
        throw UsageError("what to log?",
                         "usage: " + usage_of(form.command()) + "; `poster logs` prints what a run wrote");
    arguments.kind = check_one_of("what to log", rest.front(),
                                  {"metric", "message", "image", "file", "config", "summary", "notify"});
    arguments.words.assign(rest.begin() + 1, rest.end());
    return arguments;
}

Command parse_notify(const Words& words) {
    NotifyArguments arguments;
    Form form("notify");
    form.text("--callback", arguments.callback);
    form.flag("--json", arguments.json);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    if (rest.size() != 1 || rest.front() != "test")
        throw UsageError("`poster notify test` is all that it does",
                         "from within a run, `poster log notify TEXT` sends a message");
    return arguments;
}

Command parse_client(const Words& words) {
    ClientArguments arguments;
    Form form("client");
    form.text("--write", arguments.write);
    Words rest = form.read(words);
    if (form.wants_help()) return form.help();
    refuse_words(form, rest, 0);
    return arguments;
}

} // namespace poster
