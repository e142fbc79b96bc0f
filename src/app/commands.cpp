// The small commands: callbacks, config, reindex, version; and what all reading commands begin with.

#include "commands.hpp"
#include "background_sync.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <index.hpp>
#include <liveness.hpp>
#include <process.hpp>
#include <records.hpp>
#include <redact.hpp>
#include <registry.hpp>
#include <secret_setting.hpp>

#include "reading.hpp"
#include "recover.hpp"
#include "stores.hpp"
#include "table.hpp"
#include "workspace.hpp"

namespace poster {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr double kWorryAfterSeconds = 60; // a heartbeat comes every 10 s

void print_json(const ordered_json& value) {
    print_out(value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

std::string shown_value(const std::string& key, const std::string& text, const Settings& settings,
                        const Redactor& redactor) {
    if (!text.empty() && is_secret_setting(settings, key)) return std::string(kRedacted);
    return redactor.value(key, text);
}

ordered_json to_json(const Option& option, const Settings& settings, const Redactor& redactor) {
    auto value = settings.values().find(option.key);
    std::string text = value == settings.values().end() ? option.fallback : value->second.text;
    return {{"key", option.key},
            {"default", option.fallback},
            {"value", shown_value(option.key, text, settings, redactor)},
            {"help", option.help}};
}

// A line on stderr that redraws itself; nothing where stderr is no terminal.
class ProgressBar {
public:
    void show(std::size_t done, std::size_t total) {
        auto now = std::chrono::steady_clock::now();
        if (!on_ || total == 0 || (now - drawn_ < 50ms && done < total)) return;
        drawn_ = now;
        std::size_t filled = std::min(done, total) * kWidth / total;
        std::string bar;
        for (std::size_t i = 0; i < kWidth; ++i) bar += i < filled ? "█" : "░";
        fmt::print(stderr, "\rposter: {} {} of {} runs\033[K", bar, done, total);
        std::fflush(stderr);
    }
    ~ProgressBar() {
        if (on_) fmt::print(stderr, "\r\033[K");
    }
    ProgressBar() = default;
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

private:
    static constexpr std::size_t kWidth = 30;
    bool on_ = ::isatty(STDERR_FILENO) == 1;
    std::chrono::steady_clock::time_point drawn_{};
};

} // namespace

std::string no_store_message(const Workspace& workspace) {
    return fmt::format("no store here (looked for {})", workspace.store.dir().string());
}

Reading read_store(const std::optional<std::string>& store_flag) {
    Reading reading{open_workspace(store_flag), nullptr};
    if (!reading.workspace.store.exists()) return reading;
    remember_store(reading.workspace.store.dir());
    recover_abandoned_runs(reading.workspace);
    tell_undelivered(reading.workspace.store);
    reading.index = std::make_unique<Index>(reading.workspace.store);
    reading.index->refresh();
    return reading;
}

Reading read_existing_store(const std::optional<std::string>& store_flag) {
    Reading reading = read_store(store_flag);
    if (!reading.index)
        throw Error(no_store_message(reading.workspace), "`poster run COMMAND` makes one; --store DIR names another");
    return reading;
}

std::vector<RunRow> find_runs(const Reading& reading, const std::vector<std::string>& words) {
    std::vector<RunRow> rows;
    for (const auto& word : words) {
        RunRow row = reading.index->find(word);
        bool is_new = std::none_of(rows.begin(), rows.end(), [&](const RunRow& it) { return it.id == row.id; });
        if (is_new) rows.push_back(std::move(row));
    }
    return rows;
}

std::vector<std::pair<int, json>> read_attempts(const std::filesystem::path& run_dir) {
    std::vector<std::pair<int, json>> attempts;
    std::error_code failure;
    for (const auto& entry : std::filesystem::directory_iterator(run_dir / "attempts", failure)) {
        std::string name = entry.path().filename();
        int number = 0;
        auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
        if (error != std::errc{} || end != name.data() + name.size() || number < 1) continue;
        auto record = read_json(entry.path() / "attempt.json");
        if (record && record->is_object()) attempts.emplace_back(number, std::move(*record));
    }
    std::sort(attempts.begin(), attempts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return attempts;
}

std::string worry_about(const std::filesystem::path& attempt_dir, const json& attempt) {
    // On this host there is certainty, and recovery has just made use of it.
    if (text_of(attempt, "host") == host_name()) return {};
    LifeSign sign = look_for_life(attempt_dir, attempt);
    double age_s = sign.heartbeat_age_s.value_or(0);
    if (sign.life != Life::unknown || age_s < kWorryAfterSeconds) return {};
    auto minutes = std::chrono::minutes(long(age_s / 60));
    std::string age = minutes < 1h ? fmt::format("{}m", minutes.count()) : format_duration(minutes);
    return fmt::format("no sign of life for {}", age);
}

int show_callbacks(const PlainArguments& arguments) {
    Workspace workspace = open_workspace(arguments.store);
    const Settings& settings = workspace.settings;
    Redactor redactor = redactor_of(settings);
    if (arguments.json) {
        ordered_json all = ordered_json::array();
        for (const auto* entry : registry()) {
            Activation activation = activation_of(*entry, settings);
            ordered_json options = ordered_json::array();
            for (const auto& option : entry->options) options.push_back(to_json(option, settings, redactor));
            all.push_back({{"name", entry->name},
                           {"on", activation.on},
                           {"reason", activation.reason},
                           {"help", entry->help},
                           {"options", std::move(options)}});
        }
        print_json(all);
        return 0;
    }
    Table table({{"NAME"}, {"STATE"}, {"REASON", 12}, {"WHAT IT DOES", 16}});
    for (const auto* entry : registry()) {
        Activation activation = activation_of(*entry, settings);
        table.add({{entry->name, Colour::none},
                   {activation.on ? "on" : "off", activation.on ? Colour::green : Colour::dim},
                   {printable(activation.reason), Colour::none},
                   {entry->help, Colour::none}});
    }
    print_out(table.render(stdout_terminal()));
    return 0;
}

int show_config(const PlainArguments& arguments) {
    Workspace workspace = open_workspace(arguments.store);
    Redactor redactor = redactor_of(workspace.settings);
    ordered_json all = ordered_json::array();
    Table table({{"KEY"}, {"VALUE", 10}, {"FROM", 10}});
    for (const auto& [key, value] : workspace.settings.values()) {
        std::string text = shown_value(key, value.text, workspace.settings, redactor);
        all.push_back({{"key", key}, {"value", text}, {"source", value.source}});
        bool usual = value.source == "default";
        table.add({{key, Colour::none},
                   {text.empty() ? "-" : printable(text), usual ? Colour::dim : Colour::bold},
                   {printable(value.source), usual ? Colour::dim : Colour::none}});
    }
    if (arguments.json)
        print_json(all);
    else
        print_out(table.render(stdout_terminal()));
    return 0;
}

int reindex(const PlainArguments& arguments) {
    Workspace workspace = open_workspace(arguments.store);
    if (!workspace.store.exists()) throw Error(no_store_message(workspace), "--store DIR names another");
    recover_abandoned_runs(workspace);
    Index index(workspace.store);
    auto begin = std::chrono::steady_clock::now();
    {
        ProgressBar bar;
        index.rebuild([&](std::size_t done, std::size_t total) { bar.show(done, total); });
    }
    auto took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begin);
    std::size_t runs = index.count({});
    say(fmt::format("{} {} indexed in {}", runs, runs == 1 ? "run" : "runs", format_duration(took)));
    return 0;
}

int show_version(const PlainArguments& arguments) {
    if (arguments.json)
        print_json({{"version", POSTER_VERSION}, {"format", kFormat}});
    else
        print_out("poster " POSTER_VERSION "\n");
    return 0;
}

} // namespace poster
