/* Two GPUs with fixed values, for the tests of the hardware callback. FAKE_NVML_FAIL makes nvmlInit_v2 fail. */
#include <stdio.h>
#include <stdlib.h>

typedef struct nvmlDevice_st { unsigned index; } *nvmlDevice_t;
static struct nvmlDevice_st devices[2] = {{0}, {1}};

int nvmlInit_v2(void) { return getenv("FAKE_NVML_FAIL") ? 9 : 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int error) { return error == 9 ? "Driver Not Loaded" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { return *count = 2, 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) {
    if (index > 1) return 2;
    return *device = &devices[index], 0;
}
int nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned size) {
    return snprintf(name, size, "Fake GPU %u", device->index), 0;
}
int nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned size) {
    return snprintf(uuid, size, "GPU-fake-%u", device->index), 0;
}
int nvmlDeviceGetUtilizationRates(nvmlDevice_t device, unsigned *rates) {
    if (device->index == 1) return 3; /* not supported, as on a MIG slice */
    rates[0] = 87;
    rates[1] = 40;
    return 0;
}
int nvmlDeviceGetMemoryInfo(nvmlDevice_t device, unsigned long long *memory) {
    memory[0] = 80000000000ULL;
    memory[2] = 1000000000ULL * (device->index + 1);
    memory[1] = memory[0] - memory[2];
    return 0;
}
int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned *value) {
    (void)sensor;
    return *value = 60 + device->index, 0;
}
int nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *milliwatts) {
    (void)device;
    return *milliwatts = 312500, 0;
}
