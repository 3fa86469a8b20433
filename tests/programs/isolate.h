// Work in a process of its own, so that a crash is a result like others.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace retape::programs {

struct Found {
  std::int64_t number = 0;  // how far it came
  std::string failure;      // empty where all went well
};

struct Isolation {
  std::chrono::seconds patience{60};  // a number that takes longer hangs
  bool quiet = false;                 // without what it writes to standard error
};

// Calls work(number) for first <= number < end until one returns a text. A process that dies, or hangs, is a failure of
// the number that it had come to. The calling process must have one thread.
Found run_isolated(std::int64_t first, std::int64_t end, const std::function<std::string(std::int64_t)>& work,
                   const Isolation& isolation = {});

}  // namespace retape::programs
