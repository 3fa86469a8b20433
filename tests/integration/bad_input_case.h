// What the tests of bad input share: a run to begin with, and refusals that cost it nothing.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/integration/training_case.h"

namespace retape::integration {

// Files of a folder with their bytes. A lock's only say who held it last.
std::map<std::string, std::string> contents_of(const std::filesystem::path& folder);

// Each test finds a run of four steps with its checkpoints, which would go on to eight.
class BadInput : public TrainingCase {
 protected:
  BadInput();

  Settings resumed() const { return settings("run") + Settings{"optimizer.schedule=constant"}; }

  // One line on stderr with every one of these texts, and a folder of the run that is as it was.
  void expect_refusal(const std::vector<std::string>& words, const std::vector<std::string>& texts,
                      const Surroundings& surroundings = {}) const;
  void expect_refusal_of(const Settings& more, const std::vector<std::string>& texts) const;
  // Started anew rather than resumed, in a folder of its own.
  void expect_refusal_of_start(const Settings& more, const std::vector<std::string>& texts) const;
  // The same, and of its plan.
  void expect_refusal_of_start_and_plan(const Settings& more, const std::vector<std::string>& texts) const;

  std::string newest() const;

  const std::map<std::string, std::string>& before() const { return before_; }

 private:
  std::map<std::string, std::string> before_;
};

}  // namespace retape::integration
