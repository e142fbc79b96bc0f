#include "nvml.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

namespace poster {

namespace {

// What of nvml.h is used. All functions return 0 for success.
using Device = struct nvmlDevice_st*;
struct Utilization {
    unsigned int gpu, memory;
};
struct Memory {
    unsigned long long total, free, used;
};
constexpr int kTemperatureOfGpu = 0;

struct Library {
    void* handle = nullptr;
    int (*init)() = nullptr;
    int (*shutdown)() = nullptr;
    int (*count)(unsigned int*) = nullptr;
    int (*by_index)(unsigned int, Device*) = nullptr;
    int (*name)(Device, char*, unsigned int) = nullptr;
    int (*uuid)(Device, char*, unsigned int) = nullptr;
    int (*utilization)(Device, Utilization*) = nullptr;
    int (*memory)(Device, Memory*) = nullptr;
    int (*temperature)(Device, int, unsigned int*) = nullptr;
    int (*power)(Device, unsigned int*) = nullptr;
    const char* (*words)(int) = nullptr;

    template <typename Function>
    void find(Function& function, const char* symbol) const {
        function = reinterpret_cast<Function>(::dlsym(handle, symbol));
    }
};

class Nvml : public GpuReader {
public:
    explicit Nvml(const Library& library) : lib_(library) {}
    ~Nvml() override {
        if (lib_.shutdown != nullptr) lib_.shutdown();
    }
    Nvml(const Nvml&) = delete;
    Nvml& operator=(const Nvml&) = delete;

    std::vector<GpuSample> sample() override {
        unsigned int count = 0;
        std::vector<GpuSample> samples;
        if (lib_.count(&count) != 0) return samples;
        for (unsigned int i = 0; i < count; ++i) {
            Device device = nullptr;
            if (lib_.by_index(i, &device) == 0) samples.push_back(sample_of(static_cast<int>(i), device));
        }
        return samples;
    }

private:
    GpuSample sample_of(int index, Device device) const {
        GpuSample gpu;
        gpu.index = index;
        char text[96] = {};
        if (lib_.name != nullptr && lib_.name(device, text, sizeof text) == 0) gpu.name = text;
        if (lib_.uuid != nullptr && lib_.uuid(device, text, sizeof text) == 0) gpu.uuid = text;
        Utilization utilization{};
        if (lib_.utilization != nullptr && lib_.utilization(device, &utilization) == 0)
            gpu.utilization_percent = utilization.gpu;
        Memory memory{};
        if (lib_.memory != nullptr && lib_.memory(device, &memory) == 0) {
            gpu.memory_used_bytes = memory.used;
            gpu.memory_total_bytes = memory.total;
        }
        unsigned int value = 0;
        if (lib_.temperature != nullptr && lib_.temperature(device, kTemperatureOfGpu, &value) == 0)
            gpu.temperature_c = value;
        if (lib_.power != nullptr && lib_.power(device, &value) == 0) gpu.power_w = value / 1000.0; // milliwatts
        return gpu;
    }

    Library lib_;
};

Library load(void* handle) {
    Library library;
    library.handle = handle;
    library.find(library.init, "nvmlInit_v2");
    library.find(library.shutdown, "nvmlShutdown");
    library.find(library.count, "nvmlDeviceGetCount_v2");
    library.find(library.by_index, "nvmlDeviceGetHandleByIndex_v2");
    library.find(library.name, "nvmlDeviceGetName");
    library.find(library.uuid, "nvmlDeviceGetUUID");
    library.find(library.utilization, "nvmlDeviceGetUtilizationRates");
    library.find(library.memory, "nvmlDeviceGetMemoryInfo");
    library.find(library.temperature, "nvmlDeviceGetTemperature");
    library.find(library.power, "nvmlDeviceGetPowerUsage");
    library.find(library.words, "nvmlErrorString");
    return library;
}

} // namespace

std::unique_ptr<GpuReader> open_nvml(std::string& why) {
    const char* wanted = std::getenv("POSTER_NVML_LIBRARY");
    if (wanted == nullptr && ::access("/proc/driver/nvidia", F_OK) != 0 && ::access("/dev/nvidiactl", F_OK) != 0) {
        why = "no NVIDIA driver";
        return nullptr;
    }
    void* handle = ::dlopen(wanted != nullptr ? wanted : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        why = "the NVML library cannot be loaded";
        return nullptr;
    }
    Library library = load(handle);
    if (library.init == nullptr || library.count == nullptr || library.by_index == nullptr) {
        why = "the NVML library lacks what is needed";
        ::dlclose(handle);
        return nullptr;
    }
    if (int error = library.init(); error != 0) {
        why = "NVML does not start: error " + std::to_string(error);
        const char* words = library.words != nullptr ? library.words(error) : nullptr;
        if (words != nullptr) why += std::string(" (") + words + ")";
        ::dlclose(handle);
        return nullptr;
    }
    return std::make_unique<Nvml>(library);
}

} // namespace poster
