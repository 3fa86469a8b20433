#include "trainer/run/take_folder.h"

#include <system_error>
#include <vector>

#include "nn/base/error.h"
#include "trainer/one_line.h"
#include "trainer/run/earlier_run.h"
#include "trainer/run_state.h"

namespace retape::trainer {
namespace {

bool is_same(const std::filesystem::path& left, const std::filesystem::path& right) {
  std::error_code ignored;
  return std::filesystem::equivalent(left, right, ignored);
}

// The name of the checkpoint in the folder's own checkpoints, also where a link from elsewhere leads to it; else empty.
std::filesystem::path name_in(const std::filesystem::path& out_dir, const Checkpoint& checkpoint) {
  std::error_code ignored;
  for (const std::filesystem::path& path : {std::filesystem::absolute(checkpoint.path(), ignored),
                                            std::filesystem::canonical(checkpoint.path(), ignored)}) {
    if (is_same(path.parent_path(), checkpoints_in(out_dir))) {
      return path.filename();
    }
  }
  return {};
}

// Saves and rows of the run that lies there would otherwise be taken for those of this one, and make room for them.
bool makes_room(const Config& config, const std::optional<Checkpoint>& checkpoint) {
  if (config.train.resume == "auto" || !checkpoint) {
    return config.train.resume == "never";
  }
  const std::vector<CheckpointEntry> saved = list_checkpoints(checkpoints_in(config.run.out_dir));
  return saved.empty() || !is_same(saved.front().path, checkpoint->path());
}

}  // namespace

FoundFiles look_through(const Config& config, const std::optional<Checkpoint>& checkpoint,
                        const OutputOptions& options) {
  const std::filesystem::path out_dir = config.run.out_dir;
  FoundFiles found{.rows = {},
                   .settings = place_settings(out_dir, options.config_file, options.force),
                   .moves = makes_room(config, checkpoint),
                   .own_checkpoint = checkpoint ? name_in(out_dir, *checkpoint) : std::filesystem::path()};
  require_metrics_of_run(out_dir, options.force);
  const data::OutputRules rules = output_rules(config, options, "train");
  for (const std::filesystem::path& file : {metrics_in(out_dir), found.settings.file}) {
    require_replaceable(file, rules, [] { return true; });  // which has been seen to
  }
  if (!found.own_checkpoint.empty()) {
    found.rows = read_earlier_rows(metrics_in(out_dir), saved_position(*checkpoint));
    if (!found.rows.missing.empty()) {
      print_warning(
          fmt::format("[metrics] {}: no rows of steps {} are there, below the checkpoint of step {}; the run "
                      "goes on",
                      metrics_in(out_dir).string(), found.rows.missing, checkpoint->step()));
    }
  }
  if (found.moves) {
    require_movable(out_dir);
  }
  return found;
}

std::filesystem::path take_folder(const Config& config, const std::optional<Checkpoint>& checkpoint,
                                  const OutputOptions& options, const FoundFiles& found, RunFolder& folder) {
  folder.make();
  std::filesystem::path from = checkpoint ? checkpoint->path() : std::filesystem::path();
  Config in_force = config;
  if (found.moves) {
    const std::filesystem::path moved = move_earlier_run(folder.path(), options.config_file);
    if (!moved.empty()) {
      show(fmt::format("the run that was in {} is now in {}\n", folder.path().string(), moved.string()));
    }
    if (!moved.empty() && !found.own_checkpoint.empty()) {
      from = checkpoints_in(moved) / found.own_checkpoint;
      in_force.train.resume = from.string();
    }
  }
  probe_checkpoint_directory(checkpoint_directory(config));
  write_settings(found.settings, in_force);
  if (!found.settings.note.empty()) {
    show(found.settings.note + "\n");
  }
  return from;
}

}  // namespace retape::trainer
