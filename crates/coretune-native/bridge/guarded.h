// No exception leaves the bridge: a function gives null, or the exception's text, which the caller frees with
// coretune_free_text.
#pragma once

#include <cstring>
#include <exception>

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
