// `poster log`: one line in the event log of the run that this process belongs to. It starts thousands of times in a
// shell's loop, and therefore reads nothing but its environment: no settings, no store, no index.

#include "commands.hpp"

#include <time.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <characters.hpp>
#include <copy_file.hpp>
#include <error.hpp>
#include <files.hpp>
#include <image_header.hpp>
#include <process.hpp>
#include <redact.hpp>

#include "table.hpp"

namespace poster {

namespace {

using Json = nlohmann::ordered_json;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

// ---- values

// JSON has no word for some numbers: docs/events.md says how they are told.
Json json_number(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return number;
}

std::optional<Json> parse_number(std::string_view word) {
    if (word.starts_with('+')) word.remove_prefix(1);
    const char* begin = word.data();
    const char* end = begin + word.size();
    std::int64_t whole = 0;
    if (auto [stop, error] = std::from_chars(begin, end, whole); error == std::errc{} && stop == end)
        return Json(whole);
    double number = 0;
    const auto [stop, error] = std::from_chars(begin, end, number); // takes nan, inf and infinity, in any case
    if (stop != end || error == std::errc::invalid_argument) return {};
    if (error == std::errc::result_out_of_range) number = std::strtod(std::string(word).c_str(), nullptr);
    return json_number(number);
}

struct Assignment {
    std::string name, value;
};

// `at`: where the equals sign is.
Assignment split_assignment(const std::string& word, std::size_t at, std::string_view example) {
    if (at == std::string::npos || at == 0)
        throw UsageError(fmt::format("NAME=VALUE is wanted, not '{}'", printable(word)),
                         fmt::format("for example {}", example));
    return {word.substr(0, at), word.substr(at + 1)};
}

Json metric_values(const std::vector<std::string>& words) {
    Json values = Json::object();
    for (const auto& word : words) {
        auto [name, value] = split_assignment(word, word.rfind('='), "poster log metric loss=0.3 --step 10");
        const auto number = parse_number(value);
        if (!number)
            throw UsageError(fmt::format("metric '{}' wants a number, not '{}'", printable(name), printable(value)),
                             "for example 0.3, 1e-4, nan or inf");
        values[name] = *number;
    }
    return values;
}

bool is_digits(std::string_view word) {
    if (word.starts_with('-')) word.remove_prefix(1);
    return !word.empty() && std::all_of(word.begin(), word.end(), is_digit);
}

// What reads as JSON is taken as that, unless digits would be lost; any other word is a text.
Json any_value(const std::string& word) {
    Json parsed = Json::parse(word, nullptr, false);
    if (!parsed.is_discarded()) return parsed.is_number_float() && is_digits(word) ? Json(word) : parsed;
    const auto number = parse_number(word);
    return number && number->is_string() ? *number : Json(word); // nan and inf
}

Json named_values(const std::vector<std::string>& words, const std::string& kind) {
    const Redactor redactor;
    Json values = Json::object();
    for (const auto& word : words) {
        auto [name, value] = split_assignment(word, word.find('='), fmt::format("poster log {} lr=0.1", kind));
        Json typed = any_value(redactor.value(name, value));
        if (typed.is_string()) typed = redactor.text(typed.get<std::string>());
        values[name] = std::move(typed);
    }
    return values;
}

// ---- the words, checked also where there is no run

struct KindRules {
    const char* kind;
    std::set<std::string_view> options;
    std::size_t least, most; // words
    const char* usage;
};

const KindRules& rules_of(const LogArguments& arguments) {
    constexpr std::size_t kAny = std::size_t(-1);
    static const std::array<KindRules, 7> kRules{{
        {"metric", {"--step", "--epoch"}, 1, kAny, "NAME=NUMBER… [--step N] [--epoch N]"},
        {"message", {"--level"}, 1, kAny, "TEXT [--level LEVEL]"},
        {"image", {"--step", "--caption"}, 2, 2, "NAME FILE [--step N] [--caption TEXT]"},
        {"file", {"--name"}, 1, kAny, "FILE… [--name NAME]"},
        {"config", {}, 1, kAny, "NAME=VALUE…"},
        {"summary", {}, 1, kAny, "NAME=VALUE…"},
        {"notify", {}, 1, kAny, "TEXT"},
    }};
    return *std::find_if(kRules.begin(), kRules.end(), [&](const auto& rules) { return arguments.kind == rules.kind; });
}

void check_words(const LogArguments& arguments) {
    const KindRules& rules = rules_of(arguments);
    const std::string usage = fmt::format("usage: poster log {} {}", rules.kind, rules.usage);
    const std::pair<const char*, bool> given[] = {{"--step", arguments.step.has_value()},
                                                  {"--epoch", arguments.epoch.has_value()},
                                                  {"--level", arguments.level.has_value()},
                                                  {"--caption", arguments.caption.has_value()},
                                                  {"--name", arguments.name.has_value()}};
    for (const auto& [option, is_given] : given)
        if (is_given && !rules.options.contains(option))
            throw UsageError(fmt::format("poster log {} takes no {}", rules.kind, option), usage);
    if (arguments.words.size() < rules.least) throw UsageError("what to log?", usage);
    if (arguments.words.size() > rules.most)
        throw UsageError(fmt::format("poster log {} does not know what to do with '{}'", rules.kind,
                                     printable(arguments.words[rules.most])),
                         usage);
    if (arguments.name && arguments.words.size() > 1) throw UsageError("--name is for one file", usage);
}

std::optional<std::int64_t> step_of(const LogArguments& arguments) {
    if (!arguments.step) return {};
    std::int64_t step = 0;
    const char* end = arguments.step->data() + arguments.step->size();
    const auto [stop, error] = std::from_chars(arguments.step->data(), end, step);
    if (error != std::errc{} || stop != end || step < 0)
        throw UsageError(fmt::format("--step wants a whole number from 0 on, not '{}'", printable(*arguments.step)));
    return step;
}

std::optional<Json> epoch_of(const LogArguments& arguments) {
    if (!arguments.epoch) return {};
    auto number = parse_number(*arguments.epoch);
    if (!number || !number->is_number())
        throw UsageError(fmt::format("--epoch wants a number, not '{}'", printable(*arguments.epoch)));
    return number;
}

std::string text_of(const std::vector<std::string>& words) {
    return Redactor().text(fmt::format("{}", fmt::join(words, " "))); // quotes are easily forgotten
}

// A name in the run's folders, which may have folders in it and cannot lead out of them.
fs::path check_name(const std::string& name) {
    const fs::path path = fs::path(name).lexically_normal();
    if (path.empty() || path.is_absolute() || !path.has_filename() || *path.begin() == ".." || path == ".")
        throw UsageError(fmt::format("'{}' is no name for something in the run", printable(name)),
                         "a name such as model.pt or checkpoints/10.pt, without '..'");
    return path;
}

// "ckpt/", "." and ".." have names, too.
fs::path own_name(const fs::path& file) {
    const fs::path plain = file.has_filename() ? file : file.parent_path();
    if (plain.filename() != "." && plain.filename() != "..") return plain.filename();
    std::error_code missing;
    return fs::canonical(file, missing).filename();
}

// ---- the lines

Json begin_line(const std::string& kind) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    constexpr double kMicro = 1e6;
    return Json{{"kind", kind}, {"time", double(now.tv_sec) + std::round(double(now.tv_nsec) / 1e3) / kMicro}};
}

void add_rank(Json& line) {
    for (const char* name : {"RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"}) {
        const std::string rank = variable(name);
        if (rank.empty() || !is_digits(rank) || rank[0] == '-') continue;
        line["rank"] = std::strtoll(rank.c_str(), nullptr, 10);
        return;
    }
}

// All calls on this host share a file: each is a process of its own, and ten thousand files serve nobody.
void append_event(const Json& line) {
    append_line(fs::path(variable("POSTER_EVENTS_DIR")) / (host_name() + ".log.jsonl"),
                line.dump(-1, ' ', false, Json::error_handler_t::replace));
}

fs::path folder_of_run(const char* name) {
    const std::string folder = variable(name);
    if (folder.empty()) throw Error(fmt::format("{} is not set", name), "poster run sets it for what it runs");
    return folder;
}

Json file_line(const fs::path& from, const fs::path& name) {
    const fs::path to = folder_of_run("POSTER_FILES_DIR") / name;
    const bool is_folder = fs::is_directory(fs::status(from));
    std::vector<fs::path> left_out;
    const Copied copied = is_folder ? clone_folder(from, to, left_out) : clone_file(from, to);
    for (const auto& path : left_out) say(fmt::format("warning: {} is left out", printable(path.native())));
    Json line = begin_line("file");
    add_rank(line);
    line["name"] = name.native();
    line["path"] = (fs::path("files") / name).native();
    line["bytes"] = copied.bytes;
    if (is_folder) {
        line["directory"] = true;
        line["files"] = copied.files;
    }
    return line;
}

Json image_line(const fs::path& from, const fs::path& name, std::optional<std::int64_t> step,
                const std::optional<std::string>& caption) {
    const auto header = read_image_header(from);
    if (!header) {
        if (::access(from.c_str(), R_OK) != 0) throw_errno("read " + from.native(), errno);
        throw Error(printable(from.native()) + " is not an image that poster knows",
                    "PNG, JPEG, GIF, WebP or BMP; `poster log file` takes any file");
    }
    Json line = begin_line("image");
    if (step) line["step"] = *step;
    add_rank(line);
    const fs::path base = fs::path("images") / name / (step ? std::to_string(*step) : "image");
    const fs::path stored = clone_file_as_new(from, folder_of_run("POSTER_RUN_DIR") / base, header->format);
    line["name"] = name.native();
    line["path"] = (base.parent_path() / stored.filename()).native();
    if (caption) line["caption"] = *caption;
    if (header->width > 0 && header->height > 0) {
        line["width"] = header->width;
        line["height"] = header->height;
    }
    line["format"] = header->format;
    return line;
}

Json values_line(const LogArguments& arguments, Json values) {
    Json line = begin_line(arguments.kind);
    if (const auto step = step_of(arguments)) line["step"] = *step;
    if (const auto epoch = epoch_of(arguments)) line["epoch"] = *epoch;
    add_rank(line);
    line["values"] = std::move(values);
    return line;
}

Json text_line(const LogArguments& arguments) {
    Json line = begin_line(arguments.kind);
    add_rank(line);
    if (arguments.kind == "message") line["level"] = arguments.level.value_or("info");
    line["text"] = text_of(arguments.words);
    return line;
}

int log_files(const LogArguments& arguments, bool in_run) {
    std::vector<fs::path> names;
    for (const auto& word : arguments.words)
        names.push_back(arguments.name ? check_name(*arguments.name) : own_name(word));
    for (std::size_t i = 0; in_run && i < names.size(); ++i)
        append_event(file_line(arguments.words[i], check_name(names[i])));
    return 0;
}

int log_image(const LogArguments& arguments, bool in_run) {
    const auto step = step_of(arguments);
    const fs::path name = check_name(arguments.words[0]);
    if (in_run) append_event(image_line(arguments.words[1], name, step, arguments.caption));
    return 0;
}

} // namespace

int log_event(const LogArguments& arguments) {
    check_words(arguments);
    const bool in_run = !variable("POSTER_EVENTS_DIR").empty();
    if (arguments.kind == "file") return log_files(arguments, in_run);
    if (arguments.kind == "image") return log_image(arguments, in_run);
    Json line;
    if (arguments.kind == "metric")
        line = values_line(arguments, metric_values(arguments.words));
    else if (arguments.kind == "config" || arguments.kind == "summary")
        line = values_line(arguments, named_values(arguments.words, arguments.kind));
    else
        line = text_line(arguments);
    if (in_run) append_event(line);
    return 0;
}

} // namespace poster
