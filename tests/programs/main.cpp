// Checks programs at random, prints the first that fails as small as it becomes, and ends with 1 if there was one.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "nn/base/error.h"
#include "tests/programs/check.h"
#include "tests/programs/generate.h"
#include "tests/programs/isolate.h"
#include "tests/programs/shrink.h"
#include "tests/programs/text.h"

namespace retape::programs {
namespace {

struct Options {
  std::int64_t cases = 1000;
  std::int64_t seed = 1;
  std::int64_t first = 0;
  bool print = false;
};

Options parse(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--print") {
      options.print = true;
      continue;
    }
    std::int64_t* value = word == "--cases"   ? &options.cases
                          : word == "--seed"  ? &options.seed
                          : word == "--first" ? &options.first
                                              : nullptr;
    require(value != nullptr && i + 1 < count,
            "[random_programs] expected [--cases N] [--seed S] [--first K] [--print], got {}", word);
    const std::string_view text = words[++i];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
    require(error == std::errc() && end == text.data() + text.size() && *value >= 0,
            "[random_programs] {}: expected a number of at least 0, got {}", word, text);
  }
  return options;
}

// Of one kind with the numbers that it names.
std::string kind_of(const std::string& failure) {
  return failure.substr(0, failure.find_first_of("0123456789\""));
}

void report(const Options& options, const Found& found) {
  const Program program = generate(static_cast<std::uint64_t>(options.seed), found.number);
  const auto failure_of = [](const Program& smaller) {
    return run_isolated(0, 1, [&](std::int64_t) { return check(smaller); },
                        {.patience = std::chrono::seconds(20), .quiet = true})
        .failure;
  };
  const Program small = shrink(program, [&](const Program& smaller) {
    const std::string failure = failure_of(smaller);
    return !failure.empty() && kind_of(failure) == kind_of(found.failure);
  });
  fmt::print("Program {} of seed {}: {}\n\nMade small: {}\n{}\nAgain: random_programs --seed {} --first {} --cases 1\n",
             found.number, options.seed, found.failure, failure_of(small), describe(small), options.seed, found.number);
}

int run(const Options& options) {
  const auto seed = static_cast<std::uint64_t>(options.seed);
  if (options.print) {
    for (std::int64_t number = options.first; number < options.first + options.cases; ++number) {
      fmt::print("Program {} of seed {}\n{}\n", number, options.seed, describe(generate(seed, number)));
    }
    return 0;
  }
  const auto start = std::chrono::steady_clock::now();
  const Found found = run_isolated(options.first, options.first + options.cases,
                                   [&](std::int64_t number) { return check(generate(seed, number)); });
  if (!found.failure.empty()) {
    report(options, found);
    return 1;
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  fmt::print("{} programs of seed {} from {} on: no difference, {:.1f} s\n", options.cases, options.seed, options.first,
             time.count());
  return 0;
}

}  // namespace
}  // namespace retape::programs

int main(int count, char** words) {
  try {
    return retape::programs::run(retape::programs::parse(count, words));
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}
