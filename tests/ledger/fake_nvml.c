/* NVML's C interface as far as the ledger's meter calls it: two devices, GPU-1 and GPU-2.
 *
 * Each reading of a device's energy counter is 5 J (GPU-1) or 7 J (GPU-2) higher than the one before; it is at 80 % and
 * at 40 %. FAKE_NVML_MUTE=energy, utilisation or init: that call is not supported.
 */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6 };
typedef struct { unsigned int gpu, memory; } utilization_t;
typedef struct { unsigned long long millijoules, step; unsigned int percent; } device_t;

static device_t devices[2] = {{1000000, 5000, 80}, {2000000, 7000, 40}};

static int mute(const char *call) {
    const char *told = getenv("FAKE_NVML_MUTE");
    return told != NULL && strcmp(told, call) == 0;
}

int nvmlInitWithFlags(unsigned int flags) { return mute("init") ? NOT_SUPPORTED : SUCCESS; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == NOT_FOUND ? "Not Found" : "Not Supported"; }

int nvmlDeviceGetHandleByUUID(const char *uuid, device_t **device) {
    if (strcmp(uuid, "GPU-1") != 0 && strcmp(uuid, "GPU-2") != 0) return NOT_FOUND;
    *device = &devices[uuid[4] - '1'];
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(device_t *device, unsigned long long *millijoules) {
    if (mute("energy")) return NOT_SUPPORTED;
    *millijoules = device->millijoules;
    device->millijoules += device->step;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(device_t *device, utilization_t *rates) {
    if (mute("utilisation")) return NOT_SUPPORTED;
    rates->gpu = device->percent;
    rates->memory = 0;
    return SUCCESS;
}
