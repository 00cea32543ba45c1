// What tch does not bind of libtorch, one function each. No logic and no state of its own; no exception leaves it: a
// function gives null, or the exception's text, which the caller frees with coretune_free_text.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/record_function.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <string>
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

// Operators of this thread that no other operator called, by name, while a count is under way.
thread_local int depth = 0;
thread_local std::map<std::string, long> calls;
thread_local at::CallbackHandle handle = 0;

std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction& function) {
  if (depth++ == 0) {
    calls[function.name()] += 1;
  }
  return nullptr;
}

void leave(const at::RecordFunction&, at::ObserverContext*) {
  depth -= 1;
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

char* coretune_fused_adamw(
    at::Tensor* const* weights,
    at::Tensor* const* gradients,
    at::Tensor* const* first_moments,
    at::Tensor* const* second_moments,
    at::Tensor* const* steps,
    size_t count,
    double rate,
    double beta1,
    double beta2,
    double weight_decay,
    double epsilon) {
  return guarded([&] {
    at::_fused_adamw_(
        list(weights, count), list(gradients, count), list(first_moments, count), list(second_moments, count), {},
        list(steps, count), rate, beta1, beta2, weight_decay, epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}

char* coretune_add_scaled(at::Tensor* target, const at::Tensor* source, double factor) {
  return guarded([&] { target->add_(*source, factor); });
}

char* coretune_begin_count() {
  return guarded([&] {
    depth = 0;
    calls.clear();
    auto callback = at::RecordFunctionCallback(enter, leave).scopes({at::RecordScope::FUNCTION});
    handle = at::addThreadLocalCallback(callback);
  });
}

// Lines of a name, a tab and a number.
char* coretune_end_count() {
  at::removeCallback(handle);
  std::string lines;
  for (const auto& [name, count] : calls) {
    lines += name + "\t" + std::to_string(count) + "\n";
  }
  return strdup(lines.c_str());
}

}  // extern "C"
