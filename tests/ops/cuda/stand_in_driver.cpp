// A libcuda.so.1 for machines without a device: what ops/cuda/driver.py calls, written out as it arrives. Contexts are
// 0x100 and the ordinal of their device.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>

namespace {

void* current[16];
int depth;

}  // namespace

#define CALL extern "C" __attribute__((visibility("default"))) int

CALL cuInit(unsigned) { return 0; }
CALL cuGetExportTable(const void** table, const void*) {
  *table = nullptr;
  return 1;
}
CALL cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}
CALL cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}
CALL cuDeviceGetAttribute(int* value, int attribute, int device) {
  *value = 1000 * attribute + device;
  return 0;
}
CALL cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = (void*)(uintptr_t)(0x100 + device);
  return 0;
}
CALL cuCtxGetCurrent(void** context) {
  *context = current[depth];
  return 0;
}
CALL cuCtxPushCurrent_v2(void* context) {
  current[++depth] = context;
  printf("push %p\n", context);
  return 0;
}
CALL cuCtxPopCurrent_v2(void** context) {
  *context = current[depth--];
  printf("pop %p\n", *context);
  return 0;
}
CALL cuModuleLoadData(void** module, const void* image) {
  *module = (void*)((uintptr_t)current[depth] + 0x1000);
  printf("load %.3s in %p\n", (const char*)image + 1, current[depth]);
  return 0;
}
CALL cuModuleGetFunction(void** function, void* module, const char* name) {
  *function = (void*)((uintptr_t)module + 0x1000);
  printf("find %s in %p\n", name, module);
  return 0;
}
CALL cuFuncSetAttribute(void* function, int attribute, int value) {
  printf("set %d of %p to %d\n", attribute, function, value);
  return 0;
}
CALL cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                    unsigned block_y, unsigned block_z, unsigned shared_bytes, void* stream, void** parameters,
                    void** extra) {
  const long long* const words = (const long long*)parameters[0];
  printf("launch %p on %u %u %u of %u %u %u, %u bytes, stream %lu, words %lld %lld %lld, extra %d\n", function, grid_x,
         grid_y, grid_z, block_x, block_y, block_z, shared_bytes, (unsigned long)(uintptr_t)stream, words[0], words[1],
         words[2], extra != nullptr);
  fflush(stdout);
  return words[0] == 0 ? 1 : 0;
}

// The bindings look every function up here, by its name without the version.
CALL cuGetProcAddress_v2(const char* name, void** function, int, uint64_t, int* found) {
  Dl_info own;
  dladdr((void*)cuInit, &own);
  void* const library = dlopen(own.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  char second[256];
  snprintf(second, sizeof second, "%s_v2", name);
  *function = dlsym(library, second);
  if (!*function) *function = dlsym(library, name);
  if (found) *found = *function ? 0 : 1;
  return *function ? 0 : 500;
}
