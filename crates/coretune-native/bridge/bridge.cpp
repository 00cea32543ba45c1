// What tch does not bind of libtorch, one function each. No logic and no state of its own; no exception leaves it: a
// function gives null, or the exception's text, which the caller frees with coretune_free_text.

#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <vector>

namespace {

template <typename Work>
char* guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception without text");
  }
}

std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    result.push_back(*tensors[i]);
  }
  return result;
}

}  // namespace

extern "C" {

void coretune_free_text(char* text) {
  std::free(text);
}

char* coretune_scale_each(at::Tensor* const* tensors, size_t count, const at::Tensor* factor) {
  return guarded([&] { at::_foreach_mul_(list(tensors, count), *factor); });
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

char* coretune_add_scaled(at::Tensor* target, const at::Tensor* source, double factor) {
  return guarded([&] { target->add_(*source, factor); });
}

}  // extern "C"
