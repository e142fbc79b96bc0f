#pragma once
// What the hooks inside the child told of its parameters, event by event, put together to one configuration.
//
// A run may have many Python processes: the script itself, its workers, launchers around it. One of them speaks for the
// run: that whose program is the script, else the one that calls itself main, of the lowest rank, the first to speak.
// Of what it said the last word counts: a parser that runs twice is one record.

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace poster {

nlohmann::json common_values(const std::vector<nlohmann::json>& jobs); // what all jobs of a sweep have in common
nlohmann::json given_names(const nlohmann::json& overrides);           // of Hydra's overrides

class CapturedConfig {
public:
    // A `capture` event; `writer` names the file it stands in.
    void add(std::string_view writer, const nlohmann::json& event);
    // A `config` event: what the program logged itself.
    void add_logged(const nlohmann::json& event);

    // The file name of the run's script; empty: not known.
    void set_program(std::string program) { program_ = std::move(program); }
    const nlohmann::json& logged() const { return logged_; }
    // The section `config` of run.json, secrets and all; null where no hook spoke. `ended`: jobs without an end were
    // cut short.
    nlohmann::json section(bool ended) const;

private:
    struct Call { // of one command; a chain has several
        std::string command;
        nlohmann::json values = nlohmann::json::object(), given = nlohmann::json::array();
        nlohmann::json defaults = nlohmann::json::object(), extra = nlohmann::json::array();
    };
    struct Record { // of one framework
        std::string framework;
        std::vector<Call> calls;
        nlohmann::json start = nlohmann::json::object(); // Hydra's run_start
        std::vector<nlohmann::json> jobs;                // Hydra's
    };
    struct Process {
        bool is_main = false;
        std::optional<long> rank;
        std::string program;
        std::vector<Record> records;
    };

    static void add_call(Record& record, const nlohmann::json& event);
    static void add_phase(Record& record, const nlohmann::json& event);
    static void put_calls(const Record& record, nlohmann::json& section);
    void put_jobs(const Record& record, bool ended, nlohmann::json& section) const;
    static Record& record_of(Process& process, const std::string& framework);
    const Process& speaker() const;
    static const Record& main_record(const Process& process);
    static nlohmann::json other_records(const Process& process, const Record& main);
    std::vector<nlohmann::json> jobs_of(const Record& record) const;

    std::string program_;
    std::vector<std::pair<std::string, Process>> processes_; // in the order in which they spoke first
    nlohmann::json logged_ = nlohmann::json::object();
};

} // namespace poster
