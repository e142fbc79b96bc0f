#include "ledger.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <text.hpp>

namespace poster {

using nlohmann::json;

namespace {

constexpr int kMostBegins = 2;

std::string text_in(const json& entry, const char* key) {
    auto found = entry.find(key);
    return found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
}

} // namespace

Ledger::Ledger(const std::filesystem::path& attempt_dir, std::string run_id, int attempt)
    : prefix_(fmt::format("{}/{}", run_id, attempt)) {
    auto path = attempt_dir / "hooks.jsonl";
    std::string text = read_file(path).value_or("");
    for (const auto& line : split(text, '\n')) {
        json entry = json::parse(line, nullptr, false);
        if (!entry.is_object()) continue;
        remember(text_in(entry, "callback"), text_in(entry, "hook"), text_in(entry, "state"));
    }
    try {
        file_ = open_append(path);
        if (!text.empty() && text.back() != '\n') write_all(file_.get(), "\n"); // a half line of a crash
    } catch (const Error&) {
        file_.close();
    }
}

void Ledger::remember(const std::string& callback, const std::string& hook, const std::string& state) {
    Entry& entry = entries_[{callback, hook}];
    if (state == "begin") ++entry.begins;
    entry.mark = state == "begin" ? std::max(entry.mark, Mark::begun) : Mark::ended;
}

void Ledger::settle_begun(bool faulted) {
    std::vector<std::pair<std::string, std::string>> crashed;
    for (auto& [hook, entry] : entries_) {
        if (entry.mark != Mark::begun) continue;
        const bool too_late = hook.second == "prepare"; // the child may have been started
        if (faulted || too_late || entry.begins >= kMostBegins) crashed.push_back(hook);
        entry.mark = Mark::none;
    }
    for (const auto& [callback, hook] : crashed)
        write(callback, hook, "crashed", "the callback host died in this hook");
}

Ledger::Mark Ledger::mark(const std::string& callback, const std::string& hook) const {
    std::lock_guard lock(mutex_);
    auto found = entries_.find({callback, hook});
    return found == entries_.end() ? Mark::none : found->second.mark;
}

void Ledger::write(const std::string& callback, const std::string& hook, const std::string& state,
                   const std::string& error) {
    json entry{{"time", iso8601(wall_now())},
               {"callback", callback},
               {"hook", hook},
               {"state", state},
               {"key", fmt::format("{}/{}/{}", prefix_, callback, hook)}};
    if (!error.empty()) entry["error"] = error;
    std::string line = entry.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    std::lock_guard lock(mutex_);
    remember(callback, hook, state);
    if (file_) write_all(file_.get(), line);
}

} // namespace poster
