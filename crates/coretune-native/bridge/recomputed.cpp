// Activation checkpointing: a step of a network whose activations are dropped, and computed again in the backward pass.

#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "guarded.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the caller computes: called without graph, and again with one. It is dropped with the graph.
struct Work : torch::CustomClassHolder {
  // Gives null and a new tensor, or a text that is freed here.
  using Compute = char* (*)(const void* state, const at::Tensor* input, bool again, at::Tensor** output);
  using Drop = void (*)(void* state);

  void* state;
  Compute compute;
  Drop drop;
  variable_list weights;

  Work(void* state, Compute compute, Drop drop) : state(state), compute(compute), drop(drop) {}

  ~Work() override {
    drop(state);
  }

  at::Tensor run(const at::Tensor& input, bool again) const {
    at::Tensor* output = nullptr;
    if (char* text = compute(state, &input, again, &output)) {
      std::string error(text);
      std::free(text);
      throw std::runtime_error(error);
    }
    at::Tensor result = *output;
    delete output;
    return result;
  }
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  static at::Tensor forward(AutogradContext* context, c10::intrusive_ptr<Work> work, at::Tensor input, at::TensorList) {
    context->saved_data["work"] = c10::IValue::make_capsule(work);
    context->save_for_backward({input});
    return work->run(input, /*again=*/false);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    auto work = c10::static_intrusive_pointer_cast<Work>(context->saved_data["work"].toCapsule());
    auto saved = context->get_saved_variables()[0];
    at::AutoGradMode with_graph(true);
    auto input = saved.detach();
    input.requires_grad_(saved.requires_grad());
    auto output = work->run(input, /*again=*/true);
    variable_list wanted;
    if (input.requires_grad()) {
      wanted.push_back(input);
    }
    wanted.insert(wanted.end(), work->weights.begin(), work->weights.end());
    auto found = torch::autograd::grad(
        {output}, wanted, {gradients[0]}, /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
    // Of the work, then of the input.
    variable_list result(1);
    if (!input.requires_grad()) {
      result.emplace_back();
    }
    result.insert(result.end(), found.begin(), found.end());
    return result;
  }
};

}  // namespace

extern "C" {

char* coretune_recomputed(
    void* state,
    Work::Compute compute,
    Work::Drop drop,
    const at::Tensor* input,
    at::Tensor* const* weights,
    size_t count,
    at::Tensor** result) {
  return guarded([&] {
    auto work = c10::make_intrusive<Work>(state, compute, drop);
    for (size_t i = 0; i < count; ++i) {
      work->weights.push_back(*weights[i]);
    }
    *result = new at::Tensor(Recomputed::apply(work, *input, at::TensorList(work->weights)));
  });
}

}  // extern "C"
