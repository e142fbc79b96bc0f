// The experiment's parameters: what the hooks inside the child told, else what its framework left in files, else what
// its command line says (docs/capture.md).

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include <poster/callback.hpp>
#include <redact_values.hpp>

#include "argv_config.hpp"
#include "captured_config.hpp"
#include "command_words.hpp"
#include "fire_literal.hpp"
#include "hydra_files.hpp"
#include "hydra_override.hpp"
#include "python_imports.hpp"

namespace poster {

namespace {

using nlohmann::json;

// Each member of the section by what it is.
json redacted_section(const Redactor& redactor, const json& section) {
    json safe = json::object();
    for (const auto& [key, value] : section.items()) {
        const bool words = key == "overrides" || key == "extra" || key == "positionals";
        const bool records = key == "jobs" || key == "commands" || key == "also";
        if (words) {
            safe[key] = redacted_words(redactor, value);
        } else if (records && value.is_array()) {
            safe[key] = json::array();
            for (const auto& record : value) safe[key].push_back(redacted_section(redactor, record));
        } else if (value.is_string()) {
            safe[key] = redactor.text(value.get_ref<const std::string&>());
        } else {
            safe[key] = redacted_values(redactor, "", value);
        }
    }
    return safe;
}

// As the hook calls the program: the script's name, or the module's.
std::string program_name(const std::vector<std::string>& argv) {
    const CommandWords words = find_own_words(argv);
    const std::string& word = argv[words.script.value_or(0)];
    if (!words.is_module) return std::filesystem::path(word).filename();
    const std::string_view main = ".__main__";
    return word.ends_with(main) ? word.substr(0, word.size() - main.size()) : word;
}

class Config : public Callback {
public:
    explicit Config(const Settings& settings)
        : redactor_(settings.list("capture.redact"), settings.list("capture.keep")) {}

    void on_start(const Run& run) override {
        if (run.attempt == 1) record(run, section_now(run, false));
    }

    bool wants(std::string_view kind) const override { return kind == "capture" || kind == "config"; }

    void on_event(const Run&, const Event& event) override {
        if (event.kind() == "capture")
            captured_.add(event.writer(), event.data());
        else
            captured_.add_logged(event.data());
        changed_ = true;
    }

    void on_step(const Run& run, const Step&) override {
        if (std::exchange(changed_, false)) record(run, section_now(run, false));
    }

    void on_end(const Run& run, const Outcome&, Deadline) override {
        json section = section_now(run, true);
        // A further attempt that told nothing leaves what the one before told.
        if (run.attempt == 1 || section["rung"] != "argv") record(run, section);
        keep_hydra_files(run, section, redactor_);
    }

private:
    json section_now(const Run& run, bool ended) {
        if (!looked_) look(run);
        json section = captured_.section(ended);
        if (section.is_null() && ended) section = config_from_hydra_files(run, imports_.hydra);
        if (section.is_null()) section = from_argv(run);
        add_logged(section);
        return section;
    }

    void look(const Run& run) {
        looked_ = true;
        const auto entry = python_entry(run.spec.argv, run.spec.cwd);
        if (!entry) return;
        captured_.set_program(program_name(run.spec.argv));
        imports_ = python_imports(*entry, run.spec.cwd);
    }

    json from_argv(const Run& run) const {
        std::vector<std::string> argv = redactor_.arguments(run.spec.argv);
        std::erase_if(argv, [](const std::string& word) { return word == kOwnRunDir || word == kOwnSweepDir; });
        if (!imports_.fire) return config_from_argv(argv);
        argv.erase(argv.begin(), argv.begin() + std::ptrdiff_t(find_own_words(run.spec.argv).first_own));
        return config_from_fire_words(argv, imports_.parameters);
    }

    // What the program logged is more certain than a guess, and less than what its parser said.
    void add_logged(json& section) const {
        const json& logged = captured_.logged();
        if (logged.empty()) return;
        section["logged"] = logged;
        const bool guessed = section["rung"] == "argv";
        if (guessed && section["values"].empty()) section["source"] = section["rung"] = "logged";
        for (const auto& [name, value] : logged.items())
            if (guessed || !section["values"].contains(name)) section["values"][name] = value;
    }

    void record(const Run& run, const json& section) {
        if (section == written_) return;
        written_ = section;
        json safe = redacted_section(redactor_, section);
        if (run.attempt > 1) safe["attempt"] = run.attempt;
        run.replace("config", safe); // what an earlier rung wrote goes
    }

    Redactor redactor_;
    CapturedConfig captured_;
    PythonImports imports_;
    json written_; // before it was redacted
    bool looked_ = false, changed_ = false;
};

} // namespace

extern const CallbackEntry config_callback;
const CallbackEntry config_callback =
    callback_entry<Config>("config", "the parameters of the program, as typed values", {},
                           [](const Settings&) { return Activation{true, "always"}; });

} // namespace poster
