// `poster rerun`: a new run from the spec of an older one.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <records.hpp>
#include <run_id.hpp>
#include <text.hpp>

#include "checkout.hpp"
#include "commands.hpp"
#include "differences.hpp"
#include "execute.hpp"
#include "fetch_evicted.hpp"
#include "reading.hpp"
#include "repeat.hpp"
#include "table.hpp"

namespace poster {

namespace {

using nlohmann::json;

// ---- --edit

// The command as the user's editor leaves it. Throws Error where it was given up.
std::vector<std::string> edited(const std::vector<std::string>& argv) {
    const char* editor = std::getenv("VISUAL");
    if (editor == nullptr || *editor == '\0') editor = std::getenv("EDITOR");
    if (editor == nullptr || *editor == '\0') editor = "vi";
    std::string file = (fs::temp_directory_path() / "poster-rerun-XXXXXX").string();
    Fd fd(check_syscall("make a temporary file", ::mkstemp(file.data())));
    if (!write_all(fd.get(), shell_join(argv) + "\n")) throw_errno("write " + file, errno);
    // Through a shell, as EDITOR may hold options.
    pid_t child = check_syscall("fork", ::fork());
    if (child == 0) {
        std::string command = std::string(editor) + " \"$1\"";
        ::execlp("sh", "sh", "-c", command.c_str(), "sh", file.c_str(), nullptr);
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    std::string text = read_file(file).value_or("");
    ::unlink(file.c_str());
    if (status != 0) throw Error(fmt::format("the editor {} failed; nothing was run", editor));
    std::replace(text.begin(), text.end(), '\n', ' ');
    auto words = shell_split(text);
    if (!words) throw UsageError("a quote or a backslash is left open in the command; nothing was run");
    if (words->empty()) throw UsageError("the command is empty; nothing was run");
    return *words;
}

// ---- --checkout

// Words that name a file of the old tree name it in the new one.
void move_into(const fs::path& old_root, const fs::path& new_root, RunSpec& spec) {
    for (auto& word : spec.argv) {
        if (!word.starts_with(old_root.string() + "/")) continue;
        fs::path moved = new_root / word.substr(old_root.string().size() + 1);
        std::error_code failure;
        if (fs::exists(moved, failure)) word = moved.string();
    }
}

// A new run whose code is rebuilt within its directory.
AttemptPlan check_out(const Workspace& workspace, const json& parent, const fs::path& parent_dir, RunSpec spec) {
    fetch_evicted(workspace, text_of(parent, "id"), "code");
    check_rebuildable(parent, parent_dir);
    const Store& store = workspace.store;
    AttemptPlan plan;
    plan.id = store.new_queued_run(wall_now());
    const fs::path target = store.run_dir(plan.id) / "worktree";
    const json& code = parent.at("code");
    const std::string below = text_of(code, "subdirectory");
    spec.cwd = below.empty() || below == "." ? target : target / below;
    try {
        rebuild_code(parent, parent_dir, target);
        move_into(text_of(code, "root"), target, spec);
        check_runnable(spec);
    } catch (const Error&) {
        const fs::path repository = repository_of(target);
        std::error_code ignored;
        fs::remove_all(store.run_dir(plan.id), ignored);
        forget_worktrees(repository);
        throw;
    }
    plan.spec = std::move(spec);
    return plan;
}

// ---- --verify

struct Proof {
    std::string status;
    Values files;   // path to hash
    Values metrics; // name to its last value
};

Proof proof_of(const Store& store, const std::string& id) {
    Proof proof;
    const fs::path run_dir = store.run_dir(id);
    auto attempts = read_attempts(run_dir);
    if (attempts.empty()) return proof;
    const json& attempt = attempts.back().second;
    for (const char* key : {"status", "exit_code", "signal"})
        if (attempt.contains(key) && !attempt[key].is_null())
            proof.status += (proof.status.empty() ? "" : ", ") + attempt[key].dump();
    const json run = read_json(run_dir / "run.json").value_or(json::object());
    for (const auto& file : run.value("files", json::array())) {
        const std::string path = text_of(file, "path");
        if (path.starts_with("files/") || path.starts_with("images/")) proof.files[path] = text_of(file, "sha256");
    }
    proof.metrics = last_metrics(run_dir);
    return proof;
}

// Repeats the run and compares what came out.
int verify(const Workspace& workspace, AttemptPlan plan, const LaunchOptions& options, const std::string& parent) {
    std::vector<AttemptPlan> plans;
    plans.push_back(std::move(plan));
    LaunchResult result = launch_all(workspace, std::move(plans), options);
    const std::string& id = result.runs.front();
    Proof before = proof_of(workspace.store, parent);
    Proof after = proof_of(workspace.store, id);
    std::vector<Difference> found;
    if (before.status != after.status) found.push_back({"status", before.status, after.status});
    for (auto more : {compare("file", before.files, after.files), compare("metric", before.metrics, after.metrics)})
        found.insert(found.end(), more.begin(), more.end());
    if (found.empty()) {
        say(fmt::format("verified: run {} did as {} had: status, {} files, {} metrics", id, parent, after.files.size(),
                        after.metrics.size()));
        return 0;
    }
    say(fmt::format("run {} did not do as {} had:\n{}", id, parent,
                    render_differences(found, terminal_on(STDERR_FILENO), parent, id)));
    return 1;
}

} // namespace

int rerun(const RerunArguments& arguments) {
    Reading reading = read_existing_store(arguments.store);
    const std::string parent = reading.index->find(arguments.run).id;
    reading.index.reset();
    const Workspace& workspace = reading.workspace;
    const fs::path parent_dir = workspace.store.run_dir(parent);
    const RunView before = view_of(parent_dir);
    RunSpec spec = repeatable_spec(before.run, arguments.extra);
    if (arguments.edit) spec.argv = edited(spec.argv);
    spec.parent = parent;
    spec.group.clear();
    AttemptPlan plan;
    if (arguments.checkout)
        plan = check_out(workspace, before.run, parent_dir, spec);
    else
        plan.spec = spec;
    check_runnable(plan.spec);
    if (!arguments.quiet) {
        auto found = differences(before, present_view(workspace, plan.spec), false);
        // In its worktree the code is the same, and elsewhere on purpose.
        if (arguments.checkout)
            std::erase_if(found, [](const Difference& it) { return it.what == "working directory"; });
        say(found.empty() ? fmt::format("nothing that poster knows of differs from run {}", parent)
                          : render_differences(found, terminal_on(STDERR_FILENO), parent, "now"));
    }
    LaunchOptions options;
    options.quiet = arguments.quiet;
    if (arguments.verify) {
        options.queue = new_run_id(wall_now());
        return verify(workspace, std::move(plan), options, parent);
    }
    std::vector<AttemptPlan> plans;
    plans.push_back(std::move(plan));
    execute_plans(workspace, std::move(plans), options, arguments.detach);
}

} // namespace poster
