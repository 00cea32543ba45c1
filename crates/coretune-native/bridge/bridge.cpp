// What tch does not bind of libtorch, one function each. No logic and no state of its own; no exception leaves it: a
// function gives null, or the exception's text, which the caller frees with coretune_free_text.

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "guarded.h"

namespace {

std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    result.push_back(*tensors[i]);
  }
  return result;
}

// Calls of operators at the outermost level of their thread, by name.
std::mutex calls_lock;
std::map<std::string, uint64_t> calls;
thread_local int depth = 0;

// Nodes of the backward pass have the same scope as operators; they count through the operators that they call.
bool is_operator(const at::RecordFunction& call) {
  return std::string_view(call.name()).substr(0, 6) == "aten::";
}

std::unique_ptr<at::ObserverContext> begin_call(const at::RecordFunction& call) {
  if (is_operator(call) && depth++ == 0) {
    std::lock_guard<std::mutex> held(calls_lock);
    ++calls[call.name()];
  }
  return nullptr;
}

void end_call(const at::RecordFunction& call, at::ObserverContext*) {
  if (is_operator(call)) {
    --depth;
  }
}

}  // namespace

extern "C" {

void coretune_free_text(char* text) {
  std::free(text);
}

char* coretune_scale_each(at::Tensor* const* tensors, size_t count, const at::Tensor* factor) {
  return guarded([&] { at::_foreach_mul_(list(tensors, count), *factor); });
}

char* coretune_add_one_to_each(at::Tensor* const* tensors, size_t count) {
  return guarded([&] { at::_foreach_add_(list(tensors, count), 1); });
}

char* coretune_fused_sgd(
    at::Tensor* const* weights,
    at::Tensor* const* gradients,
    at::Tensor* const* momenta,
    size_t count,
    double rate,
    double weight_decay,
    double momentum,
    bool nesterov) {
  return guarded([&] {
    auto buffers = momentum == 0.0 ? std::vector<at::Tensor>() : list(momenta, count);
    at::_fused_sgd_(
        list(weights, count), list(gradients, count), buffers, weight_decay, momentum, rate,
        /*dampening=*/0.0, nesterov, /*maximize=*/false, /*is_first_step=*/false);
  });
}

char* coretune_page_locked(int64_t bytes, at::Tensor** result) {
  return guarded([&] {
    *result = new at::Tensor(at::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true)));
  });
}

char* coretune_is_page_locked(const at::Tensor* tensor, bool* result) {
  return guarded([&] { *result = tensor->is_pinned(); });
}

char* coretune_peak_device_memory(int8_t device, uint64_t* peak) {
  return guarded([&] {
    auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(c10::kCUDA));
    if (allocator == nullptr || !allocator->initialized()) {
      return;
    }
    auto stats = allocator->getDeviceStats(device);
    auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    *peak = stats.allocated_bytes[all].peak;
  });
}

char* coretune_copy_to_host(const at::Tensor* values, at::Tensor** host, void** event) {
  return guarded([&] {
    auto copy = at::empty(values->sizes(), values->options().device(at::kCPU).pinned_memory(true));
    copy.copy_(*values, /*non_blocking=*/true);
    auto device = values->device();
    auto done = std::make_unique<c10::Event>(device.type());
    done->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
    *event = done.release();
    *host = new at::Tensor(std::move(copy));
  });
}

char* coretune_wait(void* event) {
  return guarded([&] { static_cast<c10::Event*>(event)->synchronize(); });
}

void coretune_free_event(void* event) {
  delete static_cast<c10::Event*>(event);
}

char* coretune_count_calls(uint64_t* handle) {
  return guarded([&] {
    auto callback = at::RecordFunctionCallback(begin_call, end_call).scopes({at::RecordScope::FUNCTION});
    *handle = at::addGlobalCallback(callback);
  });
}

char* coretune_take_calls(uint64_t handle, void (*take)(const char*, uint64_t, void*), void* into) {
  return guarded([&] {
    at::removeCallback(handle);
    std::lock_guard<std::mutex> held(calls_lock);
    for (const auto& [name, count] : calls) {
      take(name.c_str(), count, into);
    }
    calls.clear();
  });
}

char* coretune_add_scaled(at::Tensor* target, const at::Tensor* source, double factor) {
  return guarded([&] { target->add_(*source, factor); });
}

}  // extern "C"
