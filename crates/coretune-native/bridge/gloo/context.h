// What c10d's header names of gloo. The wheel of torch holds gloo inside libtorch_cpu, without its headers; only shared
// pointers to these types pass through our code.
#pragma once
#include <chrono>

namespace gloo {
class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};
namespace transport {
class UnboundBuffer;
}
}  // namespace gloo
