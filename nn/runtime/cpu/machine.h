// The processor as a device: how many threads its kernels use, and the oneDNN handles they share.
//
// Compiled primitives are cached here, per device, so that ranks in one process share nothing.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

#include "nn/runtime/cpu/team.h"

namespace retape::nn::cpu {

class Machine {
 public:
  // 0 threads takes as many as grant_threads() gives. Throws ConfigError where `threads` are not to be had, DeviceError
  // where this processor lacks an instruction that the kernels were compiled for.
  explicit Machine(int threads);

  int threads() const { return grant_.threads; }
  // What keeps it from a thread for each processor; empty where nothing does, or where a number was asked for.
  const std::string& thread_limit() const { return grant_.limit; }
  const dnnl::engine& engine() const { return engine_; }
  dnnl::stream& stream() { return stream_; }

  // More than a step uses again. Text of growing length needs new ones for each token, and would fill the memory.
  static constexpr std::size_t kMostCached = 512;

  // The cached object of type T for `key` (the bytes of whatever identifies it), made on first use, and again where
  // all have been let go because there were too many. It is good until the next call.
  template <class T, class Make>
  T& cached(const std::string& key, Make make) {
    auto found = cache_.find(key);
    if (found == cache_.end()) {
      if (cache_.size() == kMostCached) {
        cache_.clear();
      }
      found = cache_.emplace(key, std::make_shared<T>(make())).first;
    }
    return *static_cast<T*>(found->second.get());
  }

 private:
  Grant grant_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<std::string, std::shared_ptr<void>> cache_;
};

}  // namespace retape::nn::cpu
