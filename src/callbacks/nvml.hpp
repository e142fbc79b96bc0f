#pragma once
// NVIDIA GPUs, through the driver's own library loaded at run time: never linked, never needed.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace poster {

struct GpuSample {
    int index = 0;
    std::string name, uuid;
    double utilization_percent = 0;
    std::uint64_t memory_used_bytes = 0, memory_total_bytes = 0;
    double temperature_c = 0, power_w = 0;
};

class GpuReader {
public:
    virtual ~GpuReader() = default;
    virtual std::vector<GpuSample> sample() = 0;
};

// nullptr: no driver here, with the reason in `why`. POSTER_NVML_LIBRARY names another library than libnvidia-ml.so.1.
std::unique_ptr<GpuReader> open_nvml(std::string& why);

} // namespace poster
