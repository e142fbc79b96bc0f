#pragma once
// Calls the hooks of one callback as the host would, on a run in a temporary directory.

#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include <files.hpp>
#include <load_settings.hpp>
#include <nlohmann/json.hpp>
#include <poster/callback.hpp>
#include <registry.hpp>

namespace poster {

class CallbackFixture {
public:
    explicit CallbackFixture(std::vector<std::string> argv) {
        std::string pattern = "/tmp/poster-unit-XXXXXX";
        root = ::mkdtemp(pattern.data());
        std::vector<Option> options = core_options();
        for (auto& option : callback_options()) options.push_back(option);
        settings = load_settings({{}, {}, false}, options);
        run.id = "20261123-070213-k7qd";
        run.store = root / "store";
        run.dir = run.store / "runs" / run.id;
        run.spec.argv = std::move(argv);
        run.spec.cwd = root / "project";
        run.child = ::getpid();
        run.record = [this](std::string_view section, const nlohmann::json& value) {
            auto& target = record[std::string(section)];
            if (target.is_object() && value.is_object())
                target.update(value);
            else
                target = value;
        };
        run.replace = [this](std::string_view section, const nlohmann::json& value) {
            record[std::string(section)] = value;
            ++replaced;
        };
        run.note_peak_memory = [this](std::uint64_t bytes) { peak = std::max(peak, bytes); };
        run.queue = [this](OutboxEntry entry) { queued.push_back(std::move(entry)); };
        run.interrupt_first = [this] { interrupts_first = true; };
        make_directories(run.attempt_dir() / "events");
        make_directories(run.spec.cwd);
    }
    ~CallbackFixture() {
        std::error_code failure;
        fs::remove_all(root, failure);
    }
    CallbackFixture(const CallbackFixture&) = delete;
    CallbackFixture& operator=(const CallbackFixture&) = delete;

    std::unique_ptr<Callback> make(const std::string& name) const {
        for (const auto* entry : registry())
            if (entry->name == name) return entry->create(settings);
        return nullptr;
    }
    void shell(const std::string& command) const {
        std::string line = "cd '" + run.spec.cwd.string() + "' && { " + command + "; } >/dev/null 2>&1";
        if (std::system(line.c_str()) != 0) throw std::runtime_error("failed: " + command);
    }

    fs::path root;
    Settings settings;
    Run run;
    nlohmann::json record = nlohmann::json::object();
    int replaced = 0; // times
    std::vector<OutboxEntry> queued;
    std::uint64_t peak = 0;
    bool interrupts_first = false;
};

} // namespace poster
