#pragma once
// The parser of one command's words. Flags and help are the command table's; here each is bound to the field that takes
// it. Everything throws UsageError, with a suggestion.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <error.hpp>

#include "command_table.hpp"
#include "parse.hpp"

namespace poster {

using Words = std::vector<std::string>;

class Form {
public:
    explicit Form(std::string_view command);
    ~Form();
    Form(const Form&) = delete;
    Form& operator=(const Form&) = delete;

    void flag(std::string_view name, bool& field);
    // Called with each value that is given.
    void value(std::string_view name, std::function<void(const std::string&)> take);
    void text(std::string_view name, std::string& field);
    void text(std::string_view name, std::optional<std::string>& field);
    void list(std::string_view name, Words& field);
    void duration(std::string_view name, std::optional<std::string>& field);
    void store(std::optional<std::string>& field);

    Words read(const Words& words); // returns the words that are no options
    bool wants_help() const { return help_; }
    TextCommand help() const;
    const CommandText& command() const { return command_; }

private:
    struct Parser;
    const CommandText& command_;
    std::unique_ptr<Parser> parser_;
    bool help_ = false;
};

bool is_option(const std::string& word);
UsageError unknown_option(const CommandText& command, const std::string& word);
UsageError missing_value(const CommandText& command, std::string_view flag);
void refuse_words(const Form& form, const Words& words, std::size_t most);

Milliseconds check_duration(std::string_view option, const std::string& word);
std::size_t check_number(std::string_view option, const std::string& word, std::size_t least);
std::uint64_t check_size(std::string_view option, const std::string& word); // "500k", "20M", "1G": powers of 1000
std::string check_status(const std::string& word);
Words check_list(std::string_view option, const std::string& word); // of comma-separated items, at least one
std::string check_assignment(const std::string& word);              // NAME=VALUE

// The words behind `--` are for the command of a run: takes them off.
Words split_off_extra(Words& words);

// parse_run.cpp: the commands that launch
Command parse_run(const Words& words);
Command parse_rerun(Words words);
Command parse_continue(Words words);

// parse_events.cpp: the commands about what a run logged
Command parse_metrics(const Words& words);
Command parse_plot(const Words& words);
Command parse_files(const Words& words);
Command parse_export(const Words& words);
Command parse_scan(const Words& words);
Command parse_log(const Words& words);
Command parse_notify(const Words& words);
Command parse_client(const Words& words);

} // namespace poster
