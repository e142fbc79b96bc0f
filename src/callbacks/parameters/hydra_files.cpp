#include "hydra_files.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <error.hpp>
#include <files.hpp>
#include <objects.hpp>
#include <records.hpp>
#include <redact.hpp>
#include <text.hpp>

#include "captured_config.hpp"
#include "command_words.hpp"
#include "hydra_override.hpp"
#include "yaml_value.hpp"

namespace poster {

namespace {

using nlohmann::json;
using std::chrono::seconds;

constexpr std::array<const char*, 3> kFiles{"config.yaml", "overrides.yaml", "hydra.yaml"};
constexpr std::uintmax_t kMostBytes = 4'000'000;
constexpr std::size_t kMostEntries = 20'000; // of the folders looked through
constexpr int kDeepest = 4;                  // outputs/DATE/TIME/.hydra, multirun/DATE/TIME/JOB/.hydra
constexpr seconds kClockSlack{2};            // of a file server

const json& member(const json& object, std::initializer_list<const char*> path) {
    static const json kNone;
    const json* at = &object;
    for (const char* key : path) {
        if (!at->is_object() || !at->contains(key)) return kNone;
        at = &(*at)[key];
    }
    return *at;
}

bool has_all(const fs::path& folder) {
    std::error_code failure;
    return std::all_of(kFiles.begin(), kFiles.end(),
                       [&](const char* name) { return fs::is_regular_file(folder / name, failure); });
}

std::optional<json> read_yaml(const fs::path& file) {
    std::error_code failure;
    if (fs::file_size(file, failure) > kMostBytes || failure) return std::nullopt;
    auto text = read_file(file);
    return text ? parse_yaml(*text) : std::nullopt;
}

WallTime modified_at(const fs::path& file) {
    struct stat facts{};
    if (::stat(file.c_str(), &facts) != 0) return {};
    return wall_time(facts.st_mtim);
}

struct Found {
    fs::path output_dir;
    WallTime time;
    json config, overrides, hydra;
};

// All output directories below `top` whose files were written since then.
class Search {
public:
    explicit Search(WallTime since) : since_(since - kClockSlack) {}

    void below(const fs::path& top, int depth = 0) {
        std::error_code failure;
        if (auto folder = hydra_folder(top)) take(top, *folder);
        if (depth >= kDeepest) return;
        for (const auto& entry : fs::directory_iterator(top, failure)) {
            if (++entries_ > kMostEntries) return;
            const bool hidden = entry.path().filename().native().starts_with('.');
            if (!hidden && entry.is_directory(failure) && !entry.is_symlink(failure)) below(entry.path(), depth + 1);
        }
    }
    std::vector<Found> take_all() {
        std::sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) { return a.time < b.time; });
        return std::move(found_);
    }

private:
    void take(const fs::path& output_dir, const fs::path& folder) {
        const WallTime time = modified_at(folder / "config.yaml");
        const bool known =
            std::any_of(found_.begin(), found_.end(), [&](const Found& it) { return it.output_dir == output_dir; });
        if (time < since_ || known) return;
        auto config = read_yaml(folder / "config.yaml"), overrides = read_yaml(folder / "overrides.yaml");
        auto hydra = read_yaml(folder / "hydra.yaml");
        if (config && config->is_object() && overrides && overrides->is_array() && hydra)
            found_.push_back({output_dir, time, *config, *overrides, *hydra});
    }

    WallTime since_;
    std::size_t entries_ = 0;
    std::vector<Found> found_;
};

struct WantedJob {
    std::vector<std::string> overrides; // of the job, without those of Hydra itself
    std::vector<fs::path> tops;
    bool is_multirun = false;
};

WantedJob wanted_job(const Run& run) {
    const auto& argv = run.spec.argv;
    const fs::path& cwd = run.spec.cwd;
    WantedJob wanted;
    const std::size_t first = find_own_words(argv).first_own;
    const std::vector<std::string> own(argv.begin() + std::ptrdiff_t(first), argv.end());
    const HydraWords words = read_hydra_words(own);
    wanted.is_multirun = words.is_multirun;
    wanted.tops = {cwd / "outputs", cwd / "multirun", run.dir / "hydra"};
    for (std::size_t i : words.overrides) {
        const auto parsed = parse_hydra_override(own[i]);
        if (!parsed) continue;
        const std::string& path = parsed->path;
        if (!path.starts_with("hydra.") && !path.starts_with("hydra/")) wanted.overrides.push_back(own[i]);
        if (path != "hydra.run.dir" && path != "hydra.sweep.dir") continue;
        std::string folder = parsed->value.value_or("");
        const auto is_quote = [](char c) { return c == '\'' || c == '"'; };
        folder.erase(std::remove_if(folder.begin(), folder.end(), is_quote), folder.end());
        if (folder.find('$') == std::string::npos) wanted.tops.push_back(cwd / folder);
    }
    return wanted;
}

// ${a.b} stands for the value of that name; what resolvers do only Hydra knows.
const json* named(const json& config, const std::string& word) {
    if (!word.starts_with("${") || word.find('}') != word.size() - 1) return nullptr;
    const json* at = &config;
    for (const auto& part : split(word.substr(2, word.size() - 3), '.')) {
        if (!at->is_object() || !at->contains(part)) return nullptr;
        at = &(*at)[part];
    }
    return word.size() > 3 && word[2] != '.' ? at : nullptr;
}

json resolved(const json& config, const json& value, int depth = 0) {
    constexpr int kMost = 40;
    if (depth > kMost) return value;
    json whole = value;
    if (value.is_structured())
        for (auto& element : whole) element = resolved(config, element, depth + 1);
    if (!value.is_string()) return whole;
    const json* target = named(config, value.get<std::string>());
    return target == nullptr || target->is_structured() ? value : resolved(config, *target, depth + 1);
}

json job_of(const Found& found) {
    json job{{"values", resolved(found.config, found.config)},
             {"raw", found.config},
             {"overrides", found.overrides},
             {"output_dir", found.output_dir.string()}};
    const json& choices = member(found.hydra, {"hydra", "runtime", "choices"});
    if (choices.is_object()) job["choices"] = choices;
    job["number"] = member(found.hydra, {"hydra", "job", "num"});
    return job;
}

void copy_files(const fs::path& from, const fs::path& to, const Run& run, const Redactor& redactor) {
    for (const char* name : kFiles) {
        std::error_code failure;
        if (fs::file_size(from / name, failure) > kMostBytes || failure) continue;
        auto text = read_file(from / name);
        if (!text) continue;
        make_directories(to);
        store_object(run.store, redactor.text(*text), to / name);
    }
}

} // namespace

std::optional<fs::path> hydra_folder(const fs::path& output_dir) {
    if (has_all(output_dir / ".hydra")) return output_dir / ".hydra";
    constexpr std::size_t kFew = 200;
    std::error_code failure;
    std::size_t seen = 0;
    for (const auto& entry : fs::directory_iterator(output_dir, failure)) {
        if (++seen > kFew) break;
        if (entry.is_directory(failure) && has_all(entry.path())) return entry.path();
    }
    return std::nullopt;
}

json config_from_hydra_files(const Run& run, bool is_hydra) {
    const WantedJob wanted = wanted_job(run);
    if (!is_hydra && wanted.overrides.empty()) return {};
    Search search(run.started_at);
    for (const auto& top : wanted.tops) search.below(top);
    std::vector<json> jobs;
    json version;
    bool is_multirun = wanted.is_multirun;
    for (const auto& found : search.take_all()) {
        const bool of_sweep = member(found.hydra, {"hydra", "mode"}) == json("MULTIRUN");
        if (is_multirun ? !of_sweep : of_sweep || json(wanted.overrides) != found.overrides) continue;
        jobs.push_back(job_of(found));
        version = member(found.hydra, {"hydra", "runtime", "version"});
        if (!is_multirun) break; // another run's, later and with the same words
    }
    if (jobs.empty()) return {};
    json section{{"source", "files"}, {"rung", "files"}, {"framework", "hydra"}};
    section["mode"] = is_multirun ? "MULTIRUN" : "RUN";
    if (version.is_string()) section["version"] = version;
    if (is_multirun) {
        section["jobs"] = jobs;
        section["values"] = common_values(jobs);
        section["overrides"] = wanted.overrides;
    } else {
        section.update(jobs.front());
        section.erase("number");
    }
    section["given"] = given_names(section["overrides"]);
    return section;
}

void keep_hydra_files(const Run& run, const json& section, const Redactor& redactor) {
    const fs::path kept = run.dir / "config" / ("attempt-" + std::to_string(run.attempt));
    const auto keep = [&](const json& job, const fs::path& to) {
        const std::string output_dir = text_of(job, "output_dir");
        if (output_dir.empty() || output_dir.front() != '/') return;
        if (auto folder = hydra_folder(output_dir)) copy_files(*folder, to, run, redactor);
    };
    keep(section, kept);
    if (!section.contains("jobs") || !section["jobs"].is_array()) return;
    for (const auto& job : section["jobs"])
        keep(job, kept / std::to_string(long(number_of(job, "number").value_or(0))));
}

} // namespace poster
