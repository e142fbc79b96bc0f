#pragma once
// NVIDIA GPUs, through the driver's own library loaded at run time: never linked, never needed.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace poster {

// nullopt: the device does not tell it (a MIG slice its utilisation, say).
struct GpuSample {
    int index = 0;
    std::string name, uuid;
    std::optional<double> utilization_percent, temperature_c, power_w;
    std::optional<std::uint64_t> memory_used_bytes, memory_total_bytes;
};

class GpuReader {
public:
    virtual ~GpuReader() = default;
    virtual std::vector<GpuSample> sample() = 0;
};

// nullptr: no driver here, with the reason in `why`. POSTER_NVML_LIBRARY names another library than libnvidia-ml.so.1.
std::unique_ptr<GpuReader> open_nvml(std::string& why);

} // namespace poster
