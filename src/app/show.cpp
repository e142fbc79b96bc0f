// `poster show`: one run with its attempts, for people or as JSON.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <metric_totals.hpp>
#include <outbox.hpp>
#include <pending.hpp>
#include <records.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "config_page.hpp"
#include "reading.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using Attempts = std::vector<std::pair<int, json>>;

constexpr std::size_t kMostLines = 24; // of one section
constexpr std::size_t kFewElements = 8;
constexpr std::size_t kShortCommit = 12;

const json& section(const json& run, const char* key) {
    static const json kNone = json::object();
    auto found = run.find(key);
    return found == run.end() || found->is_null() ? kNone : *found;
}

std::string local_time(WallTime time) {
    std::time_t seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    char text[32];
    if (::localtime_r(&seconds, &parts) == nullptr) return iso8601(time);
    return std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) > 0 ? text : iso8601(time);
}

std::string seconds_text(double seconds) {
    return format_duration(Milliseconds(std::llround(seconds * 1000)));
}

// The page, line by line: titles, and labels with values aligned beside them.
class Page {
public:
    explicit Page(Terminal terminal) : terminal_(terminal) {}

    void line(const std::string& text = {}) { out_ += text + "\n"; }
    void title(const std::string& text) { out_ += "\n" + paint(text, Colour::bold, terminal_) + "\n"; }
    void field(const std::string& label, const std::string& value) {
        if (!value.empty()) fields_.emplace_back(printable(label), printable(value));
    }
    // Writes the fields since the last call, aligned.
    void end_fields() {
        std::size_t width = 0;
        for (const auto& [label, value] : fields_)
            width = std::max(width, std::min<std::size_t>(display_width(label), 40));
        std::size_t shown = 0;
        for (const auto& [label, value] : fields_) {
            if (++shown > kMostLines) {
                line(fmt::format("  … {} more: poster show --json", fields_.size() - kMostLines));
                break;
            }
            std::size_t used = display_width(label);
            std::string gap(width > used ? width - used : 0, ' ');
            line(fmt::format("  {}{}  {}", paint(label, Colour::dim, terminal_), gap, value));
        }
        fields_.clear();
    }
    std::string paint_status(Status status) const { return paint(to_string(status), colour_of(status), terminal_); }
    const Terminal& terminal() const { return terminal_; }
    const std::string& text() const { return out_; }

private:
    Terminal terminal_;
    std::string out_;
    std::vector<std::pair<std::string, std::string>> fields_;
};

std::string scalar_text(const json& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool is_size(std::string_view key) {
    return key == "bytes" || key.ends_with("_bytes");
}

// {"cpu": {"model": "X", "cores": 8}} is two fields, cpu.model and cpu.cores.
void flatten(Page& page, const std::string& path, const json& value) {
    if (value.is_object()) {
        for (const auto& [key, element] : value.items())
            flatten(page, path.empty() ? key : fmt::format("{}.{}", path, key), element);
    } else if (value.is_array()) {
        bool simple = std::none_of(value.begin(), value.end(), [](const json& it) { return it.is_structured(); });
        if (!simple && value.size() <= kFewElements) {
            for (std::size_t i = 0; i < value.size(); ++i) flatten(page, fmt::format("{}.{}", path, i), value[i]);
        } else if (simple && value.size() <= kFewElements) {
            std::string list;
            for (const auto& element : value) list += (list.empty() ? "" : ", ") + scalar_text(element);
            page.field(path, list);
        } else {
            page.field(path, fmt::format("{} entries", value.size()));
        }
    } else if (value.is_number_unsigned() && is_size(path)) {
        page.field(path.substr(0, path.find_last_of("_.")), format_bytes(value.get<std::uint64_t>()));
    } else if (!value.is_null()) {
        page.field(path, scalar_text(value));
    }
}

void show_section(Page& page, const std::string& title, const json& content) {
    if (content.empty()) return;
    page.title(title);
    flatten(page, "", content);
    page.end_fields();
}

void show_config(Page& page, const json& config) {
    const LabelledValues values = config_values(config), jobs = config_jobs(config);
    const auto show = [&](const std::string& title, const LabelledValues& rows) {
        if (std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.second.empty(); })) return;
        page.title(title);
        for (const auto& [label, value] : rows) page.field(label, value);
        page.end_fields();
    };
    show(config_title(config), values);
    show("Jobs", jobs);
}

void show_code(Page& page, const json& code) {
    if (code.empty()) return;
    page.title("Code");
    json rest = code;
    std::string commit = text_of(code, "commit");
    if (!commit.empty()) {
        std::string branch = text_of(code, "branch");
        auto dirty = code.find("dirty");
        bool is_dirty = dirty != code.end() && dirty->is_boolean() && dirty->get<bool>();
        page.field("commit", commit.substr(0, kShortCommit) + (branch.empty() ? "" : " on " + branch) +
                                 (is_dirty ? ", with uncommitted changes" : ""));
        for (const char* key : {"commit", "branch", "dirty"}) rest.erase(key);
    }
    if (auto diff = rest.find("diff"); diff != rest.end() && diff->is_object()) {
        if (auto bytes = number_of(*diff, "bytes"))
            page.field("diff", fmt::format("{}, {}", text_of(*diff, "file"), format_bytes(std::uint64_t(*bytes))));
        rest.erase(diff);
    }
    if (auto untracked = rest.find("untracked"); untracked != rest.end() && untracked->is_array()) {
        if (!untracked->empty()) page.field("untracked", fmt::format("{} files", untracked->size()));
        rest.erase(untracked);
    }
    flatten(page, "", rest);
    page.end_fields();
}

void show_python(Page& page, const json& python) {
    if (python.empty()) return;
    page.title("Python");
    for (const auto& [key, value] : python.items()) {
        if (key == "packages" && value.is_object())
            page.field("packages",
                       fmt::format("{} in {}", number_of(value, "count").value_or(0), text_of(value, "file")));
        else
            flatten(page, key, value);
    }
    page.end_fields();
}

void show_files(Page& page, const json& files, const std::map<std::string, Evicted>& evicted) {
    if (!files.is_array() || files.empty()) return;
    page.title("Files");
    for (const auto& file : files) {
        const auto bytes = number_of(file, "bytes");
        const auto found = evicted.find(text_of(file, "path"));
        page.field(text_of(file, "path"), (bytes ? format_bytes(std::uint64_t(*bytes)) : "?") +
                                              (found == evicted.end() ? "" : " at " + found->second.destination));
    }
    page.end_fields();
}

// "0.25  0.125 at step 40 … 2.3 at step 1, 500 values".
std::string metric_words(const json& metric) {
    const auto number = [&](const char* key) {
        const json value = metric.value(key, json());
        return value.is_number() ? text_of(Value{value.get<double>()}) : text_of(metric, key);
    };
    const auto at_step = [&](const char* key) {
        const auto step = number_of(metric, key);
        return step ? fmt::format(" at step {:.0f}", *step) : "";
    };
    std::string words = number("last") + at_step("last_step");
    const auto count = number_of(metric, "count").value_or(0);
    if (count < 2) return words;
    words += fmt::format("  ({} values", std::uint64_t(count));
    if (!number("min").empty())
        words += fmt::format(", least {}{}, greatest {}{}", number("min"), at_step("min_step"), number("max"),
                             at_step("max_step"));
    return words + ")";
}

void show_metrics_of(Page& page, const json& metrics) {
    if (metrics.empty()) return;
    page.title("Metrics");
    for (const auto& [name, metric] : metrics.items()) page.field(name, metric_words(metric));
    page.end_fields();
}

void show_outcome(Page& page, const json& attempt) {
    auto started = parse_iso8601(text_of(attempt, "started_at")), ended = parse_iso8601(text_of(attempt, "ended_at"));
    WallTime now = wall_now();
    if (started) page.field("started", fmt::format("{} ({})", local_time(*started), format_ago(*started, now)));
    if (ended) page.field("ended", local_time(*ended));
    if (auto seconds = number_of(attempt, "duration_s"))
        page.field("duration", seconds_text(*seconds));
    else if (started && !ended)
        page.field("duration", format_duration(now - *started) + " so far");
    auto user = number_of(attempt, "user_s"), system = number_of(attempt, "system_s");
    if (user && system) page.field("CPU time", seconds_text(*user) + " user, " + seconds_text(*system) + " system");
    if (auto bytes = number_of(attempt, "peak_memory_bytes"); bytes && *bytes > 0)
        page.field("peak memory", format_bytes(std::uint64_t(*bytes)));
    if (auto code = number_of(attempt, "exit_code")) page.field("exit code", fmt::format("{}", int(*code)));
    page.field("signal", text_of(attempt, "signal"));
    if (auto left = number_of(attempt, "left_behind"); left && *left > 0)
        page.field("left behind", fmt::format("{} background processes", int(*left)));
    if (attempt.value("log_truncated", json(false)) == json(true)) page.field("log", "incomplete");
}

void show_identity(Page& page, const json& run, const RunRow& row, const std::vector<RunRow>& children) {
    std::string kernel = text_of(run, "kernel");
    page.field("host", text_of(run, "host") + (kernel.empty() ? "" : " (" + kernel + ")"));
    page.field("user", text_of(run, "user"));
    page.field("cwd", text_of(run, "cwd"));
    page.field("program", text_of(run, "program"));
    std::string tags;
    for (const auto& tag : row.tags) tags += (tags.empty() ? "" : ", ") + tag;
    page.field("tags", tags);
    page.field("note", text_of(run, "note"));
    page.field("group", text_of(run, "group"));
    page.field("parent", text_of(run, "parent"));
    std::string repeats;
    for (const auto& child : children) repeats += (repeats.empty() ? "" : ", ") + child.id;
    page.field("repeated by", repeats);
    if (auto limit = number_of(run, "timeout_s")) page.field("time limit", seconds_text(*limit));
    page.field("directory", row.dir);
}

void show_attempts(Page& page, const Attempts& attempts) {
    if (attempts.size() < 2) return;
    page.title("Attempts");
    for (const auto& [number, attempt] : attempts)
        page.field(std::to_string(number),
                   fmt::format("{}  {}", text_of(attempt, "started_at"),
                               text_of(attempt, "ended_at").empty() ? text_of(attempt, "status")
                                                                    : text_of(attempt, "reason")));
    page.end_fields();
}

// By callback: what is outstanding, or that nothing is.
json deliveries_of(const Workspace& workspace, const RunRow& row) {
    json all = json::object();
    if (!Outbox(workspace.store.run_dir(row.id)).exists()) return all;
    for (const auto& pending : pending_of(workspace.store, row.id, workspace.settings)) {
        json& one = all[pending.callback];
        one["messages_pending"] = pending.messages.size();
        one["files_pending"] = pending.files.size();
        if (!pending.destination.empty()) one["destination"] = pending.destination;
        if (!pending.files.empty() && !pending.copying.error.empty()) one["error"] = pending.copying.error;
        for (const auto& message : pending.messages)
            if (!message.state.error.empty()) one["error"] = message.state.error;
        if (!pending.on) one["off"] = pending.off_reason;
    }
    return all;
}

void show_deliveries(Page& page, const json& deliveries) {
    if (deliveries.empty()) return;
    page.title("Deliveries");
    for (const auto& [callback, state] : deliveries.items()) {
        const auto messages = std::size_t(number_of(state, "messages_pending").value_or(0));
        const auto files = std::size_t(number_of(state, "files_pending").value_or(0));
        std::string words;
        if (messages > 0) words = fmt::format("{} messages wait", messages);
        if (files > 0) words += fmt::format("{}{} files wait", words.empty() ? "" : ", ", files);
        if (words.empty()) words = "all delivered";
        if (const auto to = text_of(state, "destination"); !to.empty()) words += " (" + to + ")";
        if (const auto error = text_of(state, "error"); !error.empty()) words += ": " + error;
        if (const auto off = text_of(state, "off"); !off.empty()) words += "; it is off: " + off;
        page.field(callback, words);
    }
    page.end_fields();
}

std::string page_of(const RunRow& row, const json& run, const Attempts& attempts, const json& metrics,
                    const json& deliveries, const std::string& worry, const std::vector<RunRow>& children) {
    Page page(stdout_terminal());
    json attempt = attempts.empty() ? json::object() : attempts.back().second;
    std::string name = printable(row.name);
    page.line(page.paint_status(row.status) + "  " + paint(row.id, Colour::bold, page.terminal()) +
              (name.empty() ? "" : "  " + paint(name, Colour::bold, page.terminal())));
    page.line("  " + printable(row.command));
    page.line();
    std::string reason = text_of(attempt, "reason");
    if (reason.empty() && row.status != Status::running) reason = row.reason;
    if (!reason.empty()) page.line("  " + printable(reason));
    if (!worry.empty()) page.line("  " + paint(worry, Colour::yellow, page.terminal()));
    if (std::string error = text_of(attempt, "error"); !error.empty())
        page.line("  " + paint(printable(error), Colour::red, page.terminal()));
    if (!reason.empty() || !worry.empty()) page.line();
    show_outcome(page, attempt);
    show_identity(page, run, row, children);
    page.end_fields();
    show_attempts(page, attempts);
    show_config(page, section(run, "config"));
    show_metrics_of(page, metrics);
    show_section(page, "Summary", section(run, "summary"));
    show_code(page, section(run, "code"));
    show_python(page, section(run, "python"));
    show_section(page, "Hardware", section(run, "hardware"));
    show_files(page, section(run, "files"), Outbox(row.dir).evicted());
    show_deliveries(page, deliveries);
    return page.text();
}

void print_json_page(const RunRow& row, const json& run, const Attempts& attempts, const json& metrics,
                     const json& deliveries, const std::vector<RunRow>& children) {
    ordered_json out{{"id", row.id}, {"status", std::string(to_string(row.status))}, {"dir", row.dir}};
    for (const auto& [key, value] : run.items())
        if (!out.contains(key)) out[key] = value;
    out["metrics"] = metrics;
    if (!deliveries.empty()) out["deliveries"] = deliveries;
    out["children"] = ordered_json::array();
    for (const auto& child : children) out["children"].push_back(child.id);
    out["attempts"] = ordered_json::array();
    for (const auto& [number, attempt] : attempts) out["attempts"].push_back(ordered_json(attempt));
    print_out(out.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

} // namespace

int show_run(const ShowArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    RunRow row = reading.index->find(arguments.run);
    auto dir = reading.workspace.store.run_dir(row.id);
    if (row.dir.empty()) row.dir = dir.string();
    auto run = read_json(dir / "run.json");
    if (!run || !run->is_object()) throw Error(fmt::format("run {} has no readable run.json in {}", row.id, row.dir));
    Attempts attempts = read_attempts(dir);
    if (!attempts.empty())
        if (auto status = status_from(text_of(attempts.back().second, "status"))) row.status = *status;
    RunFilter filter;
    filter.parent = row.id;
    auto children = reading.index->list(filter);
    const json metrics = metrics_of_run(dir);
    if (arguments.json) {
        print_json_page(row, *run, attempts, metrics, deliveries_of(reading.workspace, row), children);
        return 0;
    }
    std::string worry;
    if (row.status == Status::running && !attempts.empty())
        worry = worry_about(reading.workspace.store.attempt_dir(row.id, attempts.back().first), attempts.back().second);
    print_out(page_of(row, *run, attempts, metrics, deliveries_of(reading.workspace, row), worry, children));
    return 0;
}

} // namespace poster
