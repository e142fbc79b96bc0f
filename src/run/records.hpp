#pragma once
// run.json and attempt.json: the C++ types to JSON and back (docs/run-directory.md is the public description).
//
// run.json:     format, id, name, tags, note, group, parent, argv, command, cwd, environment_changes, timeout_s,
// grace_s,
//               program, created_at, zone, host, user, kernel, poster_version, environment; then one section per
//               callback (config, code, python, hardware, files)
// attempt.json: format, attempt, status, host, boot_id, pid, start_ticks, child_pid, child_start_ticks, started_at,
// zone,
//               grace_s; at the end also ended_at, duration_s, exit_code, signal ("SIGTERM"), received_signal, sender
//               {pid, uid, command}, reason, error, out_of_memory, user_s, system_s, peak_memory_bytes, left_behind,
//               log_truncated

#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <poster/run.hpp>

#include <process.hpp>

namespace poster {

inline constexpr int kFormat = 1;

// Secrets are redacted by the caller; these only convert.
nlohmann::json spec_to_json(const RunSpec& spec);
RunSpec spec_from_json(const nlohmann::json& run);
void put_outcome(nlohmann::json& attempt, const Outcome& outcome);       // unknown fields stay
std::optional<Outcome> outcome_from_json(const nlohmann::json& attempt); // nullopt: not ended yet
// The program, path, environment, host, user, kernel and versions of a run about to start; secrets redacted.
nlohmann::json new_run_record(const std::string& id, const RunSpec& spec,
                              const std::optional<std::filesystem::path>& program, const class Redactor& redactor);
nlohmann::json new_attempt_record(int attempt, const RunSpec& spec);

// A record may be of another version, or edited: what is absent or of another type is empty.
const nlohmann::json& member(const nlohmann::json& record, const char* key); // else null
std::string text_of(const nlohmann::json& record, const char* key);
std::optional<double> number_of(const nlohmann::json& record, const char* key);
ProcessIdentity owner_of(const nlohmann::json& record);  // pid, start_ticks: of a poster
ProcessIdentity child_of(const nlohmann::json& attempt); // child_pid, child_start_ticks; 0: it never was, or not yet

// nullopt: not there or not JSON.
std::optional<nlohmann::json> read_json(const std::filesystem::path& path);
std::optional<Outcome> read_outcome(const std::filesystem::path& attempt_dir); // nullopt: not ended yet
void write_json(const std::filesystem::path& path, const nlohmann::json& value, bool to_disk = false);

// The words of an outcome: "finished in 3.2s", "failed with exit code 3 after 4.2s", "killed by SIGTERM from slurmstepd
// (pid 812, uid 0) after 2h 3m", "time limit of 1h reached", "killed by the kernel: out of memory after 3m 20s" …
std::string describe(const Outcome& outcome, std::optional<Milliseconds> time_limit);

} // namespace poster
