// What the ranks of torch.distributed exchange: c10d's TCPStore and its process group over gloo, one function each. No
// exception leaves a function (guarded.h). What waits, waits in slices, between which it reads the caller's flag: once
// that is set, it gives up the operation, and the group is of no more use.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>
#include <c10/util/Logging.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "guarded.h"

namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds SLICE{200};
// Who waits is ended by the flag, not by gloo.
constexpr Milliseconds FOREVER{std::chrono::hours{24 * 365}};

struct Store {
  c10::intrusive_ptr<c10d::TCPStore> tcp;
};

// What c10d logs of a store that does not answer, with its stack, is in the error that the caller gets. TORCH_CPP_LOG_LEVEL shows
// it all the same.
void keep_c10d_quiet() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") != nullptr) {
    c10::initLogging();
  } else {
    FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  }
}

// What went through a group so far. An operation counts the bytes of its result.
struct Traffic {
  std::atomic<uint64_t> operations{0};
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> nanoseconds{0};
};

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
  const std::atomic<bool>* ended;
  // Whether an operation failed, in a backward pass too.
  mutable std::atomic<bool> broken{false};
  mutable Traffic traffic;
};

void wait_for(const Group& group, const c10::intrusive_ptr<c10d::Work>& work) {
  while (true) {
    try {
      work->wait(SLICE);
      return;
    } catch (const std::exception&) {
      if (work->isCompleted()) {
        work->wait();
        return;
      }
      if (group.ended->load()) {
        throw std::runtime_error("the other ranks are not waited for any longer");
      }
    }
  }
}

void finish(const Group& group, const c10::intrusive_ptr<c10d::Work>& work, size_t bytes) {
  const auto began = std::chrono::steady_clock::now();
  try {
    wait_for(group, work);
    const auto took = std::chrono::steady_clock::now() - began;
    group.traffic.operations += 1;
    group.traffic.bytes += bytes;
    group.traffic.nanoseconds += std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  } catch (...) {
    group.broken.store(true);
    throw;
  }
}

void sum(const Group& group, at::Tensor tensor) {
  const size_t bytes = tensor.nbytes();
  std::vector<at::Tensor> tensors{std::move(tensor)};
  finish(group, group.gloo->allreduce(tensors), bytes);
}

// The sum of a tensor over all ranks, as a part of the graph: its gradient is the sum of the gradients of all ranks.
struct SumOverRanks : torch::autograd::Function<SumOverRanks> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& tensor, int64_t group) {
    context->saved_data["group"] = group;
    auto total = tensor.detach().clone().contiguous();
    sum(*reinterpret_cast<const Group*>(group), total);
    return total;
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    auto total = gradients[0].clone().contiguous();
    sum(*reinterpret_cast<const Group*>(context->saved_data["group"].toInt()), total);
    return {total, at::Tensor()};
  }
};

}  // namespace

extern "C" {

char* coretune_store_open(const char* host, uint16_t port, bool serves, uint64_t timeout_ms, Store** store) {
  return guarded([&] {
    keep_c10d_quiet();
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves;
    options.waitWorkers = false;
    options.timeout = Milliseconds{timeout_ms};
    *store = new Store{c10::make_intrusive<c10d::TCPStore>(host, options)};
  });
}

uint16_t coretune_store_port(const Store* store) {
  return store->tcp->getPort();
}

char* coretune_store_set(Store* store, const char* key, const uint8_t* bytes, size_t count) {
  return guarded([&] { store->tcp->set(key, std::vector<uint8_t>(bytes, bytes + count)); });
}

// The value of a key, freed with std::free; null if the key does not exist.
char* coretune_store_get(Store* store, const char* key, uint8_t** bytes, size_t* count) {
  return guarded([&] {
    *bytes = nullptr;
    if (!store->tcp->check({key})) {
      return;
    }
    auto value = store->tcp->get(key);
    *count = value.size();
    *bytes = static_cast<uint8_t*>(std::malloc(value.size() + 1));
    std::copy(value.begin(), value.end(), *bytes);
  });
}

void coretune_free_bytes(uint8_t* bytes) {
  std::free(bytes);
}

char* coretune_store_add(Store* store, const char* key, int64_t value, int64_t* result) {
  return guarded([&] { *result = store->tcp->add(key, value); });
}

void coretune_store_close(Store* store) {
  guarded([&] { delete store; });
}

char* coretune_group_open(
    Store* store,
    const char* prefix,
    const char* address,
    int rank,
    int ranks,
    uint64_t timeout_ms,
    const std::atomic<bool>* ended,
    Group** group) {
  return guarded([&] {
    auto options = c10d::ProcessGroupGloo::Options::create(Milliseconds{timeout_ms});
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
    auto keys = c10::make_intrusive<c10d::PrefixStore>(prefix, store->tcp);
    auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(keys, rank, ranks, options);
    gloo->setTimeout(FOREVER);
    auto* made = new Group;
    made->gloo = std::move(gloo);
    made->ended = ended;
    *group = made;
  });
}

// Operations, bytes and nanoseconds so far.
void coretune_group_traffic(const Group* group, uint64_t* three) {
  three[0] = group->traffic.operations.load();
  three[1] = group->traffic.bytes.load();
  three[2] = group->traffic.nanoseconds.load();
}

bool coretune_group_is_broken(const Group* group) {
  return group->broken.load();
}

char* coretune_group_sum(const Group* group, at::Tensor* tensor) {
  return guarded([&] { sum(*group, *tensor); });
}

char* coretune_group_sum_in_graph(const Group* group, const at::Tensor* tensor, at::Tensor** total) {
  return guarded([&] {
    *total = new at::Tensor(SumOverRanks::apply(*tensor, reinterpret_cast<int64_t>(group)));
  });
}

// Fills `output`, which has a first dimension of one entry for each rank.
char* coretune_group_gather(const Group* group, const at::Tensor* input, at::Tensor* output) {
  return guarded([&] {
    std::vector<std::vector<at::Tensor>> outputs{output->unbind(0)};
    std::vector<at::Tensor> inputs{*input};
    finish(*group, group->gloo->allgather(outputs, inputs), output->nbytes());
  });
}

char* coretune_group_broadcast(const Group* group, at::Tensor* tensor, int root) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{*tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    options.rootTensor = 0;
    finish(*group, group->gloo->broadcast(tensors, options), tensor->nbytes());
  });
}

}  // extern "C"
