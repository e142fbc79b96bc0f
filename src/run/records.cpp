#include "records.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "clock.hpp"
#include "files.hpp"
#include "process.hpp"
#include "redact.hpp"
#include "text.hpp"

namespace poster {

using nlohmann::json;

namespace {

double to_seconds(Milliseconds duration) {
    return double(duration.count()) / 1000;
}

json optional_text(const std::string& text) {
    return text.empty() ? json{} : json(text);
}

json optional_signal(std::optional<int> signal) {
    return signal ? json(signal_name(*signal)) : json{};
}

std::optional<Milliseconds> seconds_at(const json& object, const char* key) {
    const auto seconds = number_of(object, key);
    return seconds ? std::optional{Milliseconds{std::llround(*seconds * 1000)}} : std::nullopt;
}

template <typename Number>
std::optional<Number> integer_at(const json& object, const char* key) {
    const json& value = member(object, key);
    return value.is_number_integer() ? std::optional{value.get<Number>()} : std::nullopt;
}

bool flag_at(const json& object, const char* key) {
    const json& value = member(object, key);
    return value.is_boolean() && value.get<bool>();
}

std::optional<int> signal_at(const json& object, const char* key) {
    const std::string name = text_of(object, key);
    return name.empty() ? std::nullopt : signal_from_name(name);
}

std::vector<std::string> texts_at(const json& object, const char* key) {
    std::vector<std::string> texts;
    const json& value = member(object, key);
    if (!value.is_array()) return texts;
    for (const auto& element : value) {
        if (element.is_string()) texts.push_back(element.get<std::string>());
    }
    return texts;
}

// Not getpwuid: that loads libraries, and on some clusters asks a directory server.
std::string user_name() {
    for (const char* variable : {"USER", "LOGNAME"}) {
        if (const char* name = std::getenv(variable); name && *name) return name;
    }
    std::string uid = std::to_string(::geteuid());
    for (const auto& line : split(read_file("/etc/passwd").value_or(""), '\n')) {
        const auto name_end = line.find(':'); // name:x:uid:…; the password may be empty
        const auto uid_begin = name_end == std::string::npos ? name_end : line.find(':', name_end + 1);
        if (uid_begin == std::string::npos) continue;
        if (line.compare(uid_begin + 1, uid.size() + 1, uid + ':') == 0) return line.substr(0, name_end);
    }
    return uid;
}

std::string kernel_name() {
    utsname facts{};
    if (::uname(&facts) != 0) return "Linux";
    return std::string{facts.sysname} + ' ' + facts.release;
}

// The environment of the child, without what poster itself adds.
json redacted_environment(const RunSpec& spec, const Redactor& redactor) {
    json environment = json::object();
    const auto put = [&](std::string_view name, std::string_view value) {
        environment[valid_utf8(name)] = valid_utf8(redactor.value(name, value));
    };
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view assignment{*entry};
        const auto equals = assignment.find('=');
        if (equals != std::string_view::npos) put(assignment.substr(0, equals), assignment.substr(equals + 1));
    }
    for (const auto& [name, value] : spec.environment) put(name, value);
    return environment;
}

RunSpec redacted_spec(RunSpec spec, const Redactor& redactor) {
    spec.argv = redactor.arguments(spec.argv);
    spec.note = redactor.text(spec.note);
    for (auto& [name, value] : spec.environment) value = redactor.value(name, value);
    return spec;
}

json sender_to_json(const std::optional<Sender>& sender) {
    if (!sender) return {};
    return {{"pid", sender->pid}, {"uid", sender->uid}, {"command", valid_utf8(sender->command)}};
}

std::optional<Sender> sender_from_json(const json& attempt) {
    const json& sender = member(attempt, "sender");
    if (!sender.is_object()) return {};
    return Sender{integer_at<pid_t>(sender, "pid").value_or(0), integer_at<uid_t>(sender, "uid").value_or(0),
                  text_of(sender, "command")};
}

ProcessIdentity identity_in(const json& record, const char* pid, const char* ticks) {
    return {integer_at<pid_t>(record, pid).value_or(0), integer_at<std::uint64_t>(record, ticks).value_or(0)};
}

} // namespace

const json& member(const json& record, const char* key) {
    static const json kNone;
    if (!record.is_object()) return kNone;
    const auto found = record.find(key);
    return found == record.end() ? kNone : *found;
}

std::string text_of(const json& record, const char* key) {
    const json& value = member(record, key);
    return value.is_string() ? value.get<std::string>() : std::string{};
}

std::optional<double> number_of(const json& record, const char* key) {
    const json& value = member(record, key);
    return value.is_number() ? std::optional{value.get<double>()} : std::nullopt;
}

ProcessIdentity owner_of(const json& record) {
    return identity_in(record, "pid", "start_ticks");
}

ProcessIdentity child_of(const json& attempt) {
    return identity_in(attempt, "child_pid", "child_start_ticks");
}

json spec_to_json(const RunSpec& spec) {
    json changes = json::array();
    for (const auto& [name, value] : spec.environment) changes.push_back(name + '=' + value);
    json run{{"name", optional_text(spec.name)},
             {"tags", spec.tags},
             {"note", optional_text(spec.note)},
             {"group", optional_text(spec.group)},
             {"parent", optional_text(spec.parent)},
             {"argv", spec.argv},
             {"command", shell_join(spec.argv)},
             {"cwd", spec.cwd.native()},
             {"environment_changes", std::move(changes)},
             {"timeout_s", spec.timeout ? json(to_seconds(*spec.timeout)) : json{}},
             {"grace_s", to_seconds(spec.grace)}};
    if (spec.scan_metrics) run["scan_metrics"] = true;
    return run;
}

RunSpec spec_from_json(const json& run) {
    RunSpec spec;
    spec.argv = texts_at(run, "argv");
    spec.cwd = text_of(run, "cwd");
    for (const auto& change : texts_at(run, "environment_changes")) {
        const auto equals = change.find('=');
        if (equals != std::string::npos)
            spec.environment.emplace_back(change.substr(0, equals), change.substr(equals + 1));
    }
    spec.name = text_of(run, "name");
    spec.tags = texts_at(run, "tags");
    spec.note = text_of(run, "note");
    spec.group = text_of(run, "group");
    spec.parent = text_of(run, "parent");
    spec.scan_metrics = flag_at(run, "scan_metrics");
    spec.timeout = seconds_at(run, "timeout_s");
    spec.grace = seconds_at(run, "grace_s").value_or(spec.grace);
    return spec;
}

void put_outcome(json& attempt, const Outcome& outcome) {
    if (!attempt.is_object()) attempt = json::object();
    attempt["status"] = std::string{to_string(outcome.status)};
    attempt["ended_at"] = iso8601(outcome.ended_at);
    attempt["duration_s"] = to_seconds(outcome.duration);
    attempt["exit_code"] = outcome.exit_code ? json(*outcome.exit_code) : json{};
    attempt["signal"] = optional_signal(outcome.signal);
    attempt["received_signal"] = optional_signal(outcome.received_signal);
    attempt["sender"] = sender_to_json(outcome.sender);
    attempt["reason"] = valid_utf8(outcome.reason);
    attempt["error"] = optional_text(valid_utf8(outcome.error));
    attempt["out_of_memory"] = outcome.out_of_memory;
    attempt["user_s"] = std::round(outcome.user_seconds * 1e6) / 1e6;
    attempt["system_s"] = std::round(outcome.system_seconds * 1e6) / 1e6;
    attempt["peak_memory_bytes"] = outcome.peak_memory_bytes;
    attempt["left_behind"] = outcome.left_behind;
    attempt["log_truncated"] = outcome.log_truncated;
}

std::optional<Outcome> outcome_from_json(const json& attempt) {
    const auto status = status_from(text_of(attempt, "status"));
    if (!status || *status == Status::queued || *status == Status::running) return {};
    Outcome outcome;
    outcome.status = *status;
    outcome.exit_code = integer_at<int>(attempt, "exit_code");
    outcome.signal = signal_at(attempt, "signal");
    outcome.received_signal = signal_at(attempt, "received_signal");
    outcome.sender = sender_from_json(attempt);
    outcome.reason = text_of(attempt, "reason");
    outcome.error = text_of(attempt, "error");
    outcome.out_of_memory = flag_at(attempt, "out_of_memory");
    outcome.ended_at = parse_iso8601(text_of(attempt, "ended_at")).value_or(WallTime{});
    outcome.duration = seconds_at(attempt, "duration_s").value_or(Milliseconds{0});
    outcome.user_seconds = number_of(attempt, "user_s").value_or(0);
    outcome.system_seconds = number_of(attempt, "system_s").value_or(0);
    outcome.peak_memory_bytes = integer_at<std::uint64_t>(attempt, "peak_memory_bytes").value_or(0);
    outcome.left_behind = integer_at<int>(attempt, "left_behind").value_or(0);
    outcome.log_truncated = flag_at(attempt, "log_truncated");
    return outcome;
}

json new_run_record(const std::string& id, const RunSpec& spec, const std::optional<std::filesystem::path>& program,
                    const Redactor& redactor) {
    json run = spec_to_json(redacted_spec(spec, redactor));
    run["format"] = kFormat;
    run["id"] = id;
    run["program"] = program ? json(program->native()) : json{};
    run["created_at"] = iso8601(wall_now());
    run["zone"] = local_zone();
    run["host"] = host_name();
    run["user"] = user_name();
    run["kernel"] = kernel_name();
    run["poster_version"] = POSTER_VERSION;
    run["environment"] = redacted_environment(spec, redactor);
    return run;
}

json new_attempt_record(int attempt, const RunSpec& spec) {
    const ProcessIdentity self = self_identity();
    return {{"format", kFormat},
            {"attempt", attempt},
            {"status", std::string{to_string(Status::running)}},
            {"host", host_name()},
            {"boot_id", boot_id()},
            {"pid", self.pid},
            {"start_ticks", self.start_ticks},
            {"child_pid", json{}},
            {"child_start_ticks", json{}},
            {"started_at", iso8601(wall_now())},
            {"zone", local_zone()},
            {"grace_s", to_seconds(spec.grace)}};
}

std::optional<json> read_json(const std::filesystem::path& path) {
    const auto content = read_file(path);
    if (!content) return {};
    json value = json::parse(*content, nullptr, false);
    if (value.is_discarded()) return {};
    return value;
}

std::optional<Outcome> read_outcome(const std::filesystem::path& attempt_dir) {
    return outcome_from_json(read_json(attempt_dir / "attempt.json").value_or(json{}));
}

void write_json(const std::filesystem::path& path, const json& value, bool to_disk) {
    replace_file(path, value.dump(2, ' ', false, json::error_handler_t::replace) + '\n',
                 to_disk ? Durability::disk : Durability::page_cache);
}

} // namespace poster
