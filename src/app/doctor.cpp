// `poster doctor`: what is installed, writable and on; and what is wrong, with what to do.

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <error.hpp>
#include <files.hpp>
#include <nvml.hpp>
#include <process.hpp>
#include <registry.hpp>
#include <secret_setting.hpp>
#include <subprocess.hpp>
#include <text.hpp>

#include "commands.hpp"
#include "reading.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::ordered_json;

constexpr std::uint64_t kLittleSpace = 1'000'000'000;

enum class Verdict { good, warning, bad };

struct Finding {
    std::string what;
    Verdict verdict = Verdict::good;
    std::string found;
    std::string help{};
};

std::string_view word_of(Verdict verdict) {
    switch (verdict) {
    case Verdict::good: return "ok";
    case Verdict::warning: return "warning";
    case Verdict::bad: return "bad";
    }
    return "bad";
}

Colour colour_of(Verdict verdict) {
    return verdict == Verdict::good ? Colour::green : verdict == Verdict::warning ? Colour::yellow : Colour::red;
}

// The nearest folder that is there: where a store would be made.
fs::path existing_parent(fs::path dir) {
    std::error_code failure;
    while (!fs::exists(dir, failure) && dir.has_relative_path()) dir = dir.parent_path();
    return dir;
}

class Examination {
public:
    explicit Examination(const Workspace& workspace) : workspace_(workspace) {}

    std::vector<Finding> examine() {
        add({"poster", Verdict::good, POSTER_VERSION});
        examine_store();
        examine_index();
        examine_kernel();
        examine_programs();
        examine_gpus();
        examine_callbacks();
        return std::move(findings_);
    }

private:
    void add(Finding finding) { findings_.push_back(std::move(finding)); }

    void examine_store() {
        const fs::path& dir = workspace_.store.dir();
        const fs::path place = existing_parent(dir);
        bool writable = ::access(place.c_str(), W_OK | X_OK) == 0;
        std::string state = workspace_.store.exists() ? dir.string() : dir.string() + ", made by the first run";
        add({"store", writable ? Verdict::good : Verdict::bad, state + (writable ? "" : ": not writable"),
             writable ? "" : "--store DIR, or the setting store, names another place"});
        std::string system = file_system_name(place);
        if (on_shared_file_system(place)) system += ", shared between hosts: nothing is locked there";
        add({"file system", Verdict::good, system});
        if (auto bytes = free_bytes(place))
            add({"free space", *bytes < kLittleSpace ? Verdict::warning : Verdict::good, format_bytes(*bytes),
                 *bytes < kLittleSpace ? "logs stop when the disk is full; the command goes on" : ""});
    }

    void examine_index() {
        if (!workspace_.store.exists()) return;
        try {
            Index index(workspace_.store);
            index.refresh();
            add({"index", Verdict::good, fmt::format("{} runs", index.count({}))});
        } catch (const Error& error) {
            add({"index", Verdict::bad, error.what(), "poster reindex"});
        }
    }

    void examine_kernel() {
        utsname facts{};
        ::uname(&facts);
        add({"kernel", Verdict::good, fmt::format("{} {}", facts.sysname, facts.release)});
        bool proc = ::access("/proc/self/stat", R_OK) == 0;
        add({"/proc", proc ? Verdict::good : Verdict::bad, proc ? "mounted" : "not mounted",
             proc ? "" : "without it a tree of processes cannot be ended or measured"});
        Fd self{int(::syscall(SYS_pidfd_open, ::getpid(), 0))};
        if (!self) add({"pidfd", Verdict::warning, "not offered by this kernel", "signals go by pid alone"});
        bool subreaper = ::prctl(PR_SET_CHILD_SUBREAPER, 0) == 0;
        if (!subreaper) add({"subreaper", Verdict::bad, "refused", "orphans of a command cannot be ended"});
    }

    void examine_programs() {
        struct Program {
            const char *name, *use;
        };
        for (const auto& [name, use] : {Program{"git", "captures the state of the code"},
                                        Program{"python3", "tells the packages of Python commands"}}) {
            auto path = find_program(name, workspace_.cwd);
            add({name, path ? Verdict::good : Verdict::warning, path ? path->string() : "not found",
                 path ? "" : fmt::format("it {}", use)});
        }
    }

    void examine_gpus() {
        std::string why;
        auto reader = open_nvml(why);
        if (!reader) return add({"GPUs", Verdict::good, "none: " + why});
        std::string names;
        for (const auto& gpu : reader->sample()) names += (names.empty() ? "" : ", ") + gpu.name;
        add({"GPUs", Verdict::good, names.empty() ? "none" : names});
    }

    void examine_callbacks() {
        for (const auto* entry : registry()) {
            Activation activation = activation_of(*entry, workspace_.settings);
            add({fmt::format("callback {}", entry->name), Verdict::good,
                 fmt::format("{}: {}", activation.on ? "on" : "off", activation.reason)});
        }
        for (const auto& warning : plain_secrets(workspace_.settings)) add({"secret", Verdict::warning, warning});
    }

    const Workspace& workspace_;
    std::vector<Finding> findings_;
};

void print_table(const std::vector<Finding>& findings) {
    Table table({{""}, {"WHAT"}, {"FOUND", 20}, {"HELP", 10}});
    for (const auto& it : findings)
        table.add({{std::string(word_of(it.verdict)), colour_of(it.verdict)},
                   {it.what, Colour::none},
                   {printable(it.found), Colour::none},
                   {printable(it.help), Colour::none}});
    print_out(table.render(stdout_terminal()));
}

} // namespace

int examine(const PlainArguments& arguments) {
    Workspace workspace = open_workspace(arguments.store); // wrong settings are told of by this
    auto findings = Examination(workspace).examine();
    if (arguments.json) {
        ordered_json all = ordered_json::array();
        for (const auto& it : findings)
            all.push_back(
                {{"what", it.what}, {"verdict", word_of(it.verdict)}, {"found", it.found}, {"help", it.help}});
        print_out(all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    } else {
        print_table(findings);
    }
    for (const auto& it : findings)
        if (it.verdict == Verdict::bad) return 1;
    return 0;
}

} // namespace poster
