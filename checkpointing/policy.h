// What becomes of a step's activations, as a value: policies are compared, printed, combined and handed around.
//
//   none()              everything is kept
//   full(N)             nothing inside an outermost region is kept; of the inputs of regions every N-th is, the others
//                       are rebuilt from it (Chen et al. 2016, arXiv:1604.06174)
//   selective(names)    values of these names, or main outputs of the ops of these names, are let go
//                       (Korthikanti et al. 2022, arXiv:2205.05198)
//   block(N)            as full, in the first N regions only (Megatron-LM)
//   uniform(N)          as full, where N regions are one: each group is rebuilt as a whole (Megatron-LM)
//   nested(N)           regions inside regions: groups of N, each of whose regions is rebuilt by itself
//   a | b               what either lets go
//
// Policies know names of regions and values, not models.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "nn/autograd/retention.h"

namespace retape::checkpointing {

struct Policy {
  // A set of values that are let go and rebuilt.
  struct Rule {
    std::vector<std::string> names;                   // of values or ops; empty: all inside regions
    int end_layer = std::numeric_limits<int>::max();  // in the outermost regions before this one

    bool operator==(const Rule&) const = default;
  };
  std::vector<Rule> recompute;
  int keep_every = 1;           // of the inputs of outermost regions
  nn::RegionGrouping grouping;  // of outermost regions

  // Whether a value is let go.
  bool lets_go(const nn::ValueInfo& value) const;
  // Whether a value that is not let go is the input of an outermost region in which something is.
  bool keeps_as_checkpoint(const nn::ValueInfo& value) const;
  bool keeps_everything() const { return recompute.empty(); }
  // "full(2)", "block(3) | selective(gelu)": the same text for the same policy.
  std::string describe() const;

  bool operator==(const Policy&) const = default;
};

// Each throws ConfigError for a count below 1, or no names.
Policy none();
Policy full(int every = 1);
Policy selective(std::vector<std::string> names);
Policy block(int layers);
Policy uniform(int layers);
Policy nested(int layers);
// Throws ConfigError where both group regions, or keep only some inputs, in different ways.
Policy operator|(const Policy& a, const Policy& b);

// Whether the value is the input of an outermost region.
bool is_checkpoint(const nn::ValueInfo& value);

}  // namespace retape::checkpointing
