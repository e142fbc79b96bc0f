#pragma once
// The files that the child writes for some other tool, found without its help: what it and its descendants have open
// for writing, which is exact; and what has changed in some folders since the attempt began, where no other run can
// have done it. Each file is told of once.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <poster/run.hpp>

namespace poster {

class ChildFiles {
public:
    using Matches = std::function<bool(const std::filesystem::path&)>;

    // `places`: the folders, from the likeliest on; relative ones are below the working directories of the processes.
    ChildFiles(const Run& run, Matches matches, std::vector<std::filesystem::path> places);

    void know(const std::filesystem::path& file) { known_.insert(file); } // from an earlier host: not told of again
    // With a descriptor open for writing in the process tree.
    std::vector<std::filesystem::path> open_files();
    // Changed since the start of the attempt, the oldest first. Looks at no more than `entries` entries of folders, for
    // no longer than `time`.
    std::vector<std::filesystem::path> changed_files(std::size_t entries, Milliseconds time);

private:
    bool others_run_here();
    void know_processes_by_events();
    bool is_ours_by_name(const std::filesystem::path& file) const;
    std::vector<std::filesystem::path> roots() const;

    const Run& run_;
    Matches matches_;
    std::vector<std::filesystem::path> places_;
    std::set<std::filesystem::path> known_, working_directories_;
    std::set<pid_t> processes_; // of the tree, as far as they were seen
    std::set<std::string> judged_runs_;
    bool others_seen_ = false;
};

// Existing folders that the arguments of a command name: --logdir X, --output-dir=X, hydra.run.dir=X …
std::vector<std::filesystem::path> directories_in_arguments(const RunSpec& spec);
// A variable as the child has it: from the spec, or else from this process; empty: it has none.
std::string environment_of_child(const RunSpec& spec, const std::string& name);

} // namespace poster
