// The commands of the program besides training. Each returns the exit status; errors are exceptions.
#pragma once

#include <string>
#include <vector>

#include "trainer/config.h"
#include "trainer/run/outputs.h"
#include "trainer/sampling.h"

namespace retape::trainer {

// Prints the validation loss of the run's newest checkpoint, or of model.init_from where there is none. Throws Error
// where it is not finite.
int evaluate(const Config& config);

struct SampleCommand {
  std::string prompt = "\n";
  SamplingOptions options;
  bool raw = false;    // the bytes as they are, rather than a text for people
  std::string output;  // a file for the bytes, which are then not printed; empty: none
};
// Prints the prompt and a text that goes on from it.
int print_sample(const Config& config, const SampleCommand& command, const OutputOptions& output = {});

struct PrepareCommand {
  std::vector<std::string> inputs;
  std::string output;
  std::string tokenizer = "char";
  std::string format = "u16";
  bool force = false;  // replaces files that it did not write
};
// Encodes text files into one token file, with its tokenizer beside it.
int prepare(const PrepareCommand& command);

// Writes the weights of the run's newest checkpoint, or of model.init_from where there is none, as safetensors.
// Replaces what an export wrote, and no file that it reads; throws DataError for others.
int export_model(const Config& config, const std::string& output, const OutputOptions& options = {});

// Prints what this machine and this build can do.
int doctor();

}  // namespace retape::trainer
