// trainer [COMMAND] --config FILE [--set table.key=value ...]
#pragma once

namespace retape::trainer {

// Runs the command and returns the program's exit status. An error is one line on stderr and status 1, or
// CLI11's status where the usage is wrong.
int run_command_line(int argc, const char* const* argv);

}  // namespace retape::trainer
