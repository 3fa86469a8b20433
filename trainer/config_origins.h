// Remembers where each key of a configuration was set, so that a message about it can say so.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

namespace retape::trainer {

class ConfigOrigins {
 public:
  // `place` is "gpt.toml:3:7" or "--set model.dim=5". A later setting of the same key replaces the earlier one.
  void record(std::string_view key, std::string place, bool is_override) {
    origins_.insert_or_assign(std::string(key), Origin{std::move(place), is_override});
  }

  // As if the key had not been set.
  void forget(std::string_view key) {
    if (const auto origin = origins_.find(key); origin != origins_.end()) {
      origins_.erase(origin);
    }
  }

  // Whether the key was set at all; its default is in force otherwise.
  bool is_set(std::string_view key) const { return origins_.find(key) != origins_.end(); }

  // Where to look for the cause of a combination: the first of `keys` that the command line sets, else the first that
  // the file sets.
  std::string place_of(std::initializer_list<std::string_view> keys) const {
    const Origin* found = nullptr;
    for (const std::string_view key : keys) {
      const auto origin = origins_.find(key);
      if (origin != origins_.end() && (found == nullptr || (origin->second.is_override && !found->is_override))) {
        found = &origin->second;
      }
    }
    return found == nullptr ? "defaults" : found->place;
  }

 private:
  struct Origin {
    std::string place;
    bool is_override;
  };
  std::map<std::string, Origin, std::less<>> origins_;
};

}  // namespace retape::trainer
