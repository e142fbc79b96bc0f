#pragma once
// A store in a temporary directory, with runs written as `poster run` writes them.

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "clock.hpp"
#include "files.hpp"
#include "process.hpp"
#include "records.hpp"
#include "store.hpp"

namespace poster {

using nlohmann::json;

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string name = (fs::temp_directory_path() / "poster-unit-XXXXXX").native();
        if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
        path_ = name;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    const fs::path& path() const { return path_; }

private:
    fs::path path_;
};

// Sets a variable for as long as it lives.
class Variable {
public:
    Variable(std::string name, const std::string& value) : name_(std::move(name)) {
        if (const char* before = ::getenv(name_.c_str())) before_ = before;
        ::setenv(name_.c_str(), value.c_str(), 1);
    }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;
    ~Variable() {
        if (before_)
            ::setenv(name_.c_str(), before_->c_str(), 1);
        else
            ::unsetenv(name_.c_str());
    }

private:
    std::string name_;
    std::optional<std::string> before_;
};

struct StoreFixture {
    TemporaryDirectory place;
    Variable cache{"XDG_CACHE_HOME", (place.path() / "cache").native()};
    Store store{place.path() / ".poster"};

    StoreFixture() { store.create(); }

    static json run_record(const std::string& id, const std::string& name = "") {
        RunSpec spec;
        spec.argv = {"python", "train.py", "--lr", "0.1"};
        spec.cwd = "/home/me/project";
        spec.name = name;
        spec.tags = {"cifar", "night"};
        json record = spec_to_json(spec);
        record["format"] = kFormat;
        record["id"] = id;
        record["host"] = host_name();
        record["environment"] = {{"A", "} \" {"}, {"PATH", "/bin"}};
        return record;
    }
    static json attempt_record() {
        json record = new_attempt_record(1, RunSpec{});
        record["child_pid"] = 0;
        return record;
    }
    fs::path attempt_dir(const std::string& id, int attempt = 1) const {
        return store.run_dir(id) / "attempts" / std::to_string(attempt);
    }

    void write(const std::string& id, const json& run, const json& attempt) const {
        make_directories(attempt_dir(id, attempt.value("attempt", 1)));
        write_json(store.run_dir(id) / "run.json", run);
        write_json(attempt_dir(id, attempt.value("attempt", 1)) / "attempt.json", attempt);
    }
    enum class Announce { no, yes };
    // Finished unless `outcome` says otherwise; nothing is announced or marked but on demand.
    void add(const std::string& id, const std::string& name = "", Announce announce = Announce::yes) const {
        json attempt = attempt_record();
        Outcome outcome;
        outcome.exit_code = 0;
        outcome.reason = "finished in 3.2s";
        outcome.duration = Milliseconds{3200};
        outcome.ended_at = wall_now();
        put_outcome(attempt, outcome);
        write(id, run_record(id, name), attempt);
        if (announce == Announce::yes) store.announce(run_record(id, name), attempt);
    }
};

// Forks; the child ends with what `work` returns.
inline pid_t in_child(const std::function<int()>& work) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    int status = 99;
    try {
        status = work();
    } catch (const std::exception&) {
        status = 98;
    }
    ::_exit(status);
}

inline int exit_status(pid_t pid) {
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
}

} // namespace poster
