// The settings of a run, with every default. Nothing here reads or writes: config_loader.h does.
//
// The names are those of the TOML file: [model] dropout is config.model.dropout.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "nn/base/units.h"
#include "nn/tensor/dtype.h"

namespace retape::trainer {

// The order of each list is that of its names in config_schema.cpp.
enum class DeviceChoice : std::uint8_t { automatic, cpu, cuda, meta };
enum class ModelPreset : std::uint8_t { none, gpt2, gpt2_medium, gpt2_large, gpt2_xl };
enum class DataFormat : std::uint8_t { automatic, text, u16, llmc };
enum class TokenizerChoice : std::uint8_t { byte, character };
enum class DataOrder : std::uint8_t { random, sequential };
enum class ScheduleChoice : std::uint8_t { constant, cosine };
enum class BackendChoice : std::uint8_t { automatic, self, thread, mpi, nccl };
enum class CheckpointPolicy : std::uint8_t { none, full, selective, block, uniform, nested };

struct Config {
  struct Run {
    std::string name = "gpt";
    std::string out_dir;  // empty: runs/NAME, which load_config fills in
    std::int64_t seed = 1;
    DeviceChoice device = DeviceChoice::automatic;
    std::int64_t threads = 0;        // 0: every core, or OMP_NUM_THREADS where that is less
    Bytes memory_limit = 0;          // 0: what the device has
    bool hash_gradients = false;     // a hash of all gradients in each row of the metrics
    bool log_gradients = false;      // every parameter's gradient norm in each row of the metrics
    std::int64_t log_every = 10;     // steps between printed lines; the metrics have every step
    std::int64_t sample_tokens = 0;  // printed at the end of training; 0: none
    std::string sample_prompt = "\n";

    bool operator==(const Run&) const = default;
  };

  struct Model {
    ModelPreset preset = ModelPreset::none;  // gives every shape below that is not set itself
    std::int64_t layers = 6;
    std::int64_t heads = 6;
    std::int64_t dim = 192;
    std::int64_t seq_len = 128;
    std::int64_t vocab = 0;  // 0: what the tokenizer or the token file says
    double dropout = 0.0;
    bool tie_embeddings = true;
    std::string init_from;  // safetensors with Hugging Face GPT-2 names; empty: random weights
    nn::DType dtype = nn::DType::f32;

    bool operator==(const Model&) const = default;
  };

  struct Data {
    std::vector<std::string> train;  // paths or globs, from the current directory
    std::vector<std::string> val;    // empty: the last val_fraction of train
    double val_fraction = 0.1;
    DataFormat format = DataFormat::automatic;
    TokenizerChoice tokenizer = TokenizerChoice::byte;
    DataOrder order = DataOrder::random;
    bool allow_change = false;  // a run that goes on may find other tokens than it was trained on

    bool operator==(const Data&) const = default;
  };

  struct Train {
    std::int64_t steps = 1000;
    std::int64_t batch_size = 16;    // sequences per data-parallel rank and micro-step
    std::int64_t grad_accum = 1;     // micro-steps per step
    std::int64_t eval_every = 200;   // steps; 0: never
    std::int64_t eval_batches = 20;  // 0: the whole validation set
    std::int64_t save_every = 0;     // steps; 0: at the end only
    std::int64_t keep_last = 2;      // checkpoints that stay
    std::string resume = "auto";     // "auto", "never" or the path of a checkpoint

    bool operator==(const Train&) const = default;
  };

  struct Optimizer {
    double lr = 1e-3;
    double min_lr = 0.0;  // where the cosine ends
    std::int64_t warmup_steps = 0;
    ScheduleChoice schedule = ScheduleChoice::cosine;
    std::array<double, 2> betas{0.9, 0.95};
    double eps = 1e-8;
    double weight_decay = 0.1;
    double grad_clip = 1.0;  // largest global norm; 0: no clipping

    bool operator==(const Optimizer&) const = default;
  };

  struct Parallel {
    std::int64_t tensor = 1;
    std::int64_t data = 1;
    bool sequence = false;
    BackendChoice backend = BackendChoice::automatic;

    bool operator==(const Parallel&) const = default;
  };

  struct ActivationCheckpointing {
    CheckpointPolicy policy = CheckpointPolicy::none;
    std::int64_t layers = 1;             // full: every N-th boundary; block: the first N; uniform, nested: groups of N
    std::vector<std::string> recompute;  // selective: names of ops or values
    std::string deepspeed_config;        // a JSON file with the six keys below

    bool partition_activations = false;
    bool cpu_checkpointing = false;
    bool contiguous_memory_optimization = false;
    std::int64_t number_checkpoints = 0;  // 0: measured
    bool synchronize_checkpoint_boundary = false;
    bool profile = false;
    Bytes host_memory_limit = 0;  // of cpu_checkpointing; 0: what the host has

    bool operator==(const ActivationCheckpointing&) const = default;
  };

  Run run;
  Model model;
  Data data;
  Train train;
  Optimizer optimizer;
  Parallel parallel;
  ActivationCheckpointing activation_checkpointing;

  bool operator==(const Config&) const = default;
};

}  // namespace retape::trainer
