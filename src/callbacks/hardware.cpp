// The machine: what it is, once; how busy it and the child's process tree are, every interval.

#include <nlohmann/json.hpp>

#include <clock.hpp>
#include <files.hpp>
#include <poster/callback.hpp>

#include "machine.hpp"
#include "nvml.hpp"

namespace poster {

namespace {

using nlohmann::json;

template <typename Value>
json or_null(const std::optional<Value>& value) {
    return value ? json(*value) : json(nullptr);
}

class Hardware : public Callback {
public:
    explicit Hardware(const Settings& settings) : interval_(settings.duration("hardware.interval")) {}

    Milliseconds interval() const override { return interval_; }

    void on_start(const Run& run) override {
        json machine = describe_machine();
        machine["file_system"] = file_system_name(run.dir);
        if (auto free = free_bytes(run.dir)) machine["disk_free_bytes"] = *free;
        run.record("hardware", machine);
        before_ = read_counters(run.child);
    }

    void on_tick(const Run& run) override {
        Counters now = read_counters(run.child);
        run.note_peak_memory(now.tree_rss);
        if (before_.at == Counters{}.at) { // a host that was started again: no rate without an earlier reading
            before_ = now;
            return;
        }
        json sample = sample_between(before_, now);
        before_ = now;
        sample["time"] = iso8601(wall_now());
        if (auto free = free_bytes(run.dir)) sample["machine"]["disk_free_bytes"] = *free;
        sample["gpus"] = sample_gpus(run);
        append_line(run.attempt_dir() / "hardware.jsonl", sample.dump(-1, ' ', false, json::error_handler_t::replace));
    }

private:
    // NVML can take seconds to start: short runs never wait for it.
    json sample_gpus(const Run& run) {
        bool first = !looked_for_gpus_;
        if (first) gpus_ = open_nvml(no_gpus_);
        looked_for_gpus_ = true;
        json samples = json::array();
        json facts = json::array();
        if (gpus_) {
            for (const auto& gpu : gpus_->sample()) {
                samples.push_back({{"index", gpu.index},
                                   {"name", gpu.name},
                                   {"utilization_percent", or_null(gpu.utilization_percent)},
                                   {"memory_used_bytes", or_null(gpu.memory_used_bytes)},
                                   {"memory_total_bytes", or_null(gpu.memory_total_bytes)},
                                   {"temperature_c", or_null(gpu.temperature_c)},
                                   {"power_w", or_null(gpu.power_w)}});
                facts.push_back(
                    {{"name", gpu.name}, {"uuid", gpu.uuid}, {"memory_total_bytes", or_null(gpu.memory_total_bytes)}});
            }
        }
        if (first && !facts.empty()) run.record("hardware", {{"gpus", facts}});
        if (first && !no_gpus_.empty()) run.record("hardware", {{"gpu_sampling", no_gpus_}});
        return samples;
    }

    Milliseconds interval_;
    Counters before_;
    std::unique_ptr<GpuReader> gpus_;
    std::string no_gpus_;
    bool looked_for_gpus_ = false;
};

Activation activate(const Settings& settings) {
    if (settings.duration("hardware.interval") <= Milliseconds{0}) return {false, "hardware.interval is not positive"};
    return {true, "sampled every " + format_duration(settings.duration("hardware.interval"))};
}

} // namespace

extern const CallbackEntry hardware_callback;
const CallbackEntry hardware_callback = callback_entry<Hardware>(
    "hardware", "the machine, its load and the child's process tree; NVIDIA GPUs",
    {{"hardware.interval", OptionType::duration, "10s", "time between two samples"}}, activate);

} // namespace poster
