// The only file that includes CLI11.

#include "form.hpp"

#include <algorithm>
#include <charconv>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <clock.hpp>
#include <error.hpp>
#include <table.hpp>
#include <text.hpp>

#include "help.hpp"

namespace poster {

namespace {

std::string flags_of(const CommandText& command, std::string_view name) {
    return std::string(find_option(command, name)->flags);
}

// "--note=" is an empty value; CLI11 would take the next word instead.
Words with_values_apart(const CommandText& command, const Words& words) {
    Words out;
    for (const auto& word : words) {
        auto equals = word.find('=');
        const OptionText* option = nullptr;
        if (word.starts_with("--") && equals + 1 == word.size()) option = find_option(command, word.substr(0, equals));
        if (option == nullptr || option->value.empty()) {
            out.push_back(word);
            continue;
        }
        out.push_back(word.substr(0, equals));
        out.emplace_back();
    }
    return out;
}

} // namespace

struct Form::Parser {
    CLI::App app;
};

bool is_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-';
}

UsageError unknown_option(const CommandText& command, const std::string& word) {
    std::string flag = word.substr(0, word.find('='));
    Words known;
    for (const auto& option : command.options) known.emplace_back(long_flag(option));
    std::string near = flag.starts_with("--") ? closest(flag, known) : closest("-" + flag, known);
    std::string help = near.empty() ? fmt::format("poster {} --help lists its options", command.name)
                                    : fmt::format("did you mean '{}'?", near);
    return UsageError(fmt::format("unknown option '{}' of poster {}", printable(flag), command.name), help);
}

UsageError missing_value(const CommandText& command, std::string_view flag) {
    const OptionText* option = find_option(command, flag);
    if (option == nullptr) return UsageError(fmt::format("an option of poster {} lacks its value", command.name));
    return UsageError(fmt::format("{} lacks its value", flag),
                      fmt::format("{} {}: {}", long_flag(*option), option->value, option->help));
}

Form::Form(std::string_view command) : command_(*find_command(command)), parser_(std::make_unique<Parser>()) {
    parser_->app.set_help_flag();
    parser_->app.allow_extras();
    flag("--help", help_);
}

Form::~Form() = default;

void Form::flag(std::string_view name, bool& field) {
    parser_->app.add_flag_function(flags_of(command_, name), [&field](std::int64_t count) { field = count > 0; });
}

void Form::value(std::string_view name, std::function<void(const std::string&)> take) {
    auto take_all = [take = std::move(take)](const CLI::results_t& results) {
        for (const auto& result : results) take(result);
        return true;
    };
    // Exactly one word each time: CLI11 would read "[a,b]" as a list otherwise.
    parser_->app.add_option(flags_of(command_, name), CLI::callback_t(take_all))
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void Form::text(std::string_view name, std::string& field) {
    value(name, [&field](const std::string& word) { field = word; });
}

void Form::text(std::string_view name, std::optional<std::string>& field) {
    value(name, [&field](const std::string& word) { field = word; });
}

void Form::list(std::string_view name, Words& field) {
    value(name, [&field](const std::string& word) { field.push_back(word); });
}

// NOLINTBEGIN(clang-analyzer-cplusplus.NewDeleteLeaks): the parser owns the function
void Form::duration(std::string_view name, std::optional<std::string>& field) {
    value(name, [name, &field](const std::string& word) {
        check_duration(name, word);
        field = word;
    });
}
// NOLINTEND(clang-analyzer-cplusplus.NewDeleteLeaks)

void Form::store(std::optional<std::string>& field) {
    value("--store", [&field](const std::string& word) {
        if (word.empty()) throw UsageError("--store wants a directory, not an empty word");
        field = word;
    });
}

Words Form::read(const Words& words) {
    Words reversed = with_values_apart(command_, words);
    std::reverse(reversed.begin(), reversed.end()); // as CLI11 wants them
    try {
        parser_->app.parse(std::move(reversed));
    } catch (const CLI::ArgumentMismatch& error) {
        std::string text = error.what();
        throw missing_value(command_, std::string_view(text).substr(0, text.find(':')));
    } catch (const CLI::ParseError& error) {
        throw UsageError(error.what(), fmt::format("poster {} --help", command_.name));
    }
    Words rest = parser_->app.remaining();
    if (help_) return {};
    for (const auto& word : rest)
        if (is_option(word)) throw unknown_option(command_, word);
    return rest;
}

TextCommand Form::help() const {
    return {help_of(command_)};
}

void refuse_words(const Form& form, const Words& words, std::size_t most) {
    if (words.size() > most)
        throw UsageError(
            fmt::format("poster {} does not know what to do with '{}'", form.command().name, printable(words[most])),
            "usage: " + usage_of(form.command()));
}

Milliseconds check_duration(std::string_view option, const std::string& word) {
    auto duration = parse_duration(word);
    if (!duration)
        throw UsageError(fmt::format("{} wants a duration, not '{}'", option, printable(word)),
                         "for example 90, 30s, 15m, 1h30m or 2d");
    return *duration;
}

std::size_t check_number(std::string_view option, const std::string& word, std::size_t least) {
    std::size_t number = 0;
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc{} || end != word.data() + word.size() || number < least || number > 1'000'000'000)
        throw UsageError(fmt::format("{} wants a whole number from {} on, not '{}'", option, least, printable(word)));
    return number;
}

std::uint64_t check_size(std::string_view option, const std::string& word) {
    double number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    std::string unit(end, word.data() + word.size());
    if (unit.ends_with('B') || unit.ends_with('b')) unit.pop_back();
    constexpr std::pair<const char*, double> kUnits[] = {{"", 1},    {"k", 1e3}, {"K", 1e3},
                                                         {"M", 1e6}, {"G", 1e9}, {"T", 1e12}};
    if (error == std::errc{} && number >= 0)
        for (const auto& [name, factor] : kUnits)
            if (unit == name && number * factor < 1e18) return std::uint64_t(number * factor);
    throw UsageError(fmt::format("{} wants a size, not '{}'", option, printable(word)), "such as 500k, 20M, 1.5G");
}

std::string check_status(const std::string& word) {
    if (status_from(word)) return word;
    Words known;
    for (Status status : {Status::queued, Status::running, Status::finished, Status::failed, Status::killed,
                          Status::timeout, Status::preempted, Status::lost})
        known.emplace_back(to_string(status));
    std::string near = closest(word, known), all;
    for (const auto& status : known) all += (all.empty() ? "" : ", ") + status;
    throw UsageError(fmt::format("unknown status '{}'", printable(word)),
                     near.empty() ? "it is one of " + all : fmt::format("did you mean '{}'?", near));
}

Words check_list(std::string_view option, const std::string& word) {
    Words items = split(word, ',');
    if (items.empty()) throw UsageError(fmt::format("{} wants a list such as 0,1", option));
    return items;
}

std::string check_assignment(const std::string& word) {
    auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
        throw UsageError("--env wants NAME=VALUE", "for example --env OMP_NUM_THREADS=4");
    return word;
}

Words split_off_extra(Words& words) {
    auto dashes = std::find(words.begin(), words.end(), "--");
    if (dashes == words.end()) return {};
    Words extra(dashes + 1, words.end());
    words.erase(dashes, words.end());
    return extra;
}

} // namespace poster
