// The processor as a device: how many threads its kernels use, and the oneDNN handles they share.
//
// Compiled primitives are cached here, per device, so that ranks in one process share nothing.
#pragma once

#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

namespace retape::nn::cpu {

class Machine {
 public:
  // 0 threads takes every processor that this process may run on.
  explicit Machine(int threads);

  int threads() const { return threads_; }
  const dnnl::engine& engine() const { return engine_; }
  dnnl::stream& stream() { return stream_; }

  // The cached object of type T for `key` (the bytes of whatever identifies it), made on first use.
  template <class T, class Make>
  T& cached(const std::string& key, Make make) {
    std::shared_ptr<void>& slot = cache_[key];
    if (slot == nullptr) {
      slot = std::make_shared<T>(make());
    }
    return *static_cast<T*>(slot.get());
  }

 private:
  int threads_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<std::string, std::shared_ptr<void>> cache_;
};

}  // namespace retape::nn::cpu
